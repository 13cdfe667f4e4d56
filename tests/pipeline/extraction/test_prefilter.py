"""What is dropped before extraction would have been dropped after it."""

import json
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html

from pipeline.extraction import prefilter
from pipeline.extraction.one_page import extract_page
from pipeline.extraction.page import Dropped, Page, Text
from tests.pipeline.language.test_detect import TEXTS
from tests.pipeline.pages import Pages, demo, english, news, readability, sample
from tests.pipeline.quality.test_rules import GOOD
from tests.shared import SHARED, private

GERMAN = (TEXTS[1] + " ") * 10
NOTICE = "You need to enable JavaScript to run this app."


def judged(body: str, english: bool = True, min_words: int = 50) -> str | None:
    page = Page(b"", "http://example.org/", english_only=english, min_words=min_words)
    found = prefilter.judge(html.fromstring(f"<html><body>{body}</body></html>"), page)
    return found and found.reason


def test_reasons() -> None:
    assert judged(GOOD) is None
    assert judged(GERMAN) == "not_english"
    assert judged(GERMAN, english=False) is None
    assert judged("too short a text") == "too_short"
    assert judged("too short a text", min_words=0) is None
    assert judged(f"<title>Shop</title><noscript>{NOTICE}</noscript>") == "needs_javascript"
    assert judged(f"<p>{GOOD[:150]}</p>{NOTICE}") == "too_short", "more than a notice"
    assert judged("") is None, "empty is an outcome of extraction"


@pytest.mark.parametrize("before", [0, 1, 20])
@pytest.mark.parametrize("after", [0, 1, 20])
def test_english_is_found_wherever_it_is(before: int, after: int) -> None:
    assert judged(f"<p>{GERMAN * before}</p><p>{GOOD}</p><p>{GERMAN * after}</p>") is None


def test_json_that_an_engine_may_read_counts() -> None:
    data = json.dumps({"@type": "Article", "articleBody": GOOD})
    assert judged(f"<script type='application/ld+json'>{data}</script><p>{GERMAN}</p>") is None


def test_the_sample_is_from_the_middle() -> None:
    page = Page(b"", "", english_only=True)
    found = prefilter.judge(html.fromstring(f"<p>{'eins ' * 1000} {GERMAN * 10} {'zwei ' * 1000}</p>"), page)
    assert found
    assert len(found.text) == prefilter.SAMPLE
    assert "Fähre" in found.text


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([*GOOD.split(), *GERMAN.split(), "<b>", "</b>", "<p>", "<br>"]), max_size=150)
)
def test_no_text_of_enough_words_is_too_short(words: list[str]) -> None:
    body = f"<html><body><article><p>{' '.join(words)}</p></article></body></html>".encode()
    whole = extract_page(Page(body, ""))
    found = extract_page(Page(body, "", min_words=50))
    if isinstance(found, Dropped):
        assert whole is None or (isinstance(whole, Text) and len(whole.text.split()) < 50)
    else:
        assert found == whole


@pytest.mark.parametrize(
    ("pages", "at_least"), [(sample, 2), (demo, 1), *private((news, 9), (readability, 0))]
)
def test_no_english_page_is_lost(pages: Pages, at_least: int) -> None:
    """Of 15 real pages each; docs/measurements.md has them all."""
    dropped = 0
    for page in (page for page, text in pages() if text):
        whole = extract_page(page)
        found = extract_page(Page(page.body, page.url, fetched=page.fetched, english_only=True, min_words=50))
        assert isinstance(whole, Text)
        if isinstance(found, Dropped):
            dropped += 1
            stretches = [whole.text[at : at + 500] for at in range(0, len(whole.text), 500)]
            assert not any(" the " in stretch and " and " in stretch for stretch in stretches)
        else:
            assert found == whole
    assert dropped >= at_least


def posts() -> list[str]:
    with zstandard.open(SHARED / "text/selfposts.ndjson.zst", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["selftext"] for line in lines][::7]


@pytest.mark.parametrize(("texts", "at_least", "most_lost"), [(english, 60, 0), *private((posts, 2_000, 14))])
def test_of_english_texts_few_are_lost(texts: Callable[[], list[str]], at_least: int, most_lost: int) -> None:
    """May fall, not rise: of all posts 48 of 15,833, tables of scores mostly."""
    long = [text for text in texts() if len(text.split()) >= prefilter.STRETCH]
    lost = [text for text in long if judged(text.replace("<", " ").replace("&", " ")) == "not_english"]
    assert len(long) >= at_least
    assert len(lost) <= most_lost
