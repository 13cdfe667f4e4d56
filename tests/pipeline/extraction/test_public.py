"""`pipeline.extraction.extract`, for people outside, finds what the pipeline finds."""

import pydoc
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, get_args

import pyarrow as pa
import pytest

import pipeline.extraction
from pipeline.corpus.schemas import PAGES
from pipeline.demo import content, oddities
from pipeline.extraction import Text, engines, extract
from pipeline.media_type import media_type
from pipeline.settings import Extract, Language, LanguageCode, Quality
from pipeline.stages.documents import documents
from tests.pipeline.pages import Pages, news, readability, sample
from tests.pipeline.quality.test_rules import GOOD
from tests.shared import private

Given = tuple[bytes, str, str | None]  # body, URL, Content-Type
EVERY_LANGUAGE = Language(keep=list(get_args(LanguageCode)), min_probability=0.0)
NO_RULES = Quality(**dict.fromkeys(Quality.model_fields))
NOTICE = (
    "<body><p>Checking your browser before accessing example.com.</p><p>Please allow up to 5 seconds.</p>"
)


def article(text: str) -> str:
    return (
        f"<html><head><title>Ein  Titel\n</title></head><body><article><p>{text}</p></article></body></html>"
    )


def web() -> Iterator[Given]:
    """The demo's pages and oddities, and pages that are hard to decode, short, foreign, empty, or notices."""
    for address, page in content.pages().items():
        yield content.render(page), f"http://{address}", content.content_type(page)
    for address, answer in oddities.add({}).items():
        if answer.content_type == oddities.HTML:
            yield answer.body, f"http://{address}", answer.content_type
    greek = article(
        "Το πλοίο έφυγε από το λιμάνι πριν την αυγή, και κανείς δεν είδε ποιος ήταν στο τιμόνι. " * 4
    )
    for charset in ("utf-8", "utf-16", "iso-8859-7"):
        yield greek.encode(charset), "http://a.example/2019/03/04/x", f"Text/HTML ; Charset = '{charset}'"
        yield greek.encode(charset), "http://a.example/2019-03-05-x", None
    for text in (
        GOOD,
        GOOD[:150],
        "Ein kurzer Satz.",
        "cafe\u0301 \u0001 " * 30,
        "12 34 56 " * 50,
        "",
        NOTICE,
    ):
        for kind in (
            None,
            "",
            "text/html",
            "text/plain",
            "TEXT/PLAIN; charset=utf-8",
            "application/xhtml+xml",
        ):
            yield article(text).encode(), "http://b.example/", kind
            yield text.encode(), "", kind


def by_the_pipeline(pages: list[Given], **settings: Any) -> list[Text | str | None]:
    """What the stages make of pages: a text, why there is none, or None where a later stage drops it."""
    rows = [
        {
            "doc_id": f"{number:032x}",
            "final_url": url,
            "reason": "ok",
            **dict(zip(("content_type", "charset"), media_type(header), strict=True)),
        }
        for number, (_, url, header) in enumerate(pages)
    ]
    table = pa.Table.from_pylist(rows, schema=PAGES)
    bodies = [(body, row["charset"]) for (body, _, _), row in zip(pages, rows, strict=True)]
    made, _ = documents(table, bodies, Extract(**settings), EVERY_LANGUAGE, NO_RULES)
    return [
        Text(row["text"], row["title"], row["date"])
        if row["text"]
        else (row["reason"] if row["stage"] == "extract" else None)
        for row in made.to_pylist()
    ]


def assert_the_same(pages: list[Given], engine: str | None = None) -> list[Text | str | None]:
    settings = {"engine": engine} if engine else {}
    expected = by_the_pipeline(pages, **settings)
    for (body, url, header), theirs in zip(pages, expected, strict=True):
        found = extract(body, url=url or None, content_type=header, engine=engine)
        if isinstance(theirs, Text):
            assert found == theirs, (url, header)
        elif theirs:
            assert found is None, (url, header, theirs)
    return expected


@pytest.mark.parametrize("engine", [None, *engines.ENGINES])
def test_it_finds_what_the_pipeline_finds(engine: str | None) -> None:
    if engine == "resiliparse":
        pytest.importorskip("resiliparse", reason="the extra 'resiliparse' is not installed")
    expected = assert_the_same(list(web()), engine)
    assert sum(isinstance(found, Text) for found in expected) > 100
    assert {found for found in expected if isinstance(found, str)} == {"empty", "bot_check"}


@pytest.mark.parametrize("source", [sample, *private(partial(news, every=3), partial(readability, every=3))])
def test_it_finds_what_the_pipeline_finds_in_pages(source: Pages) -> None:
    pages = [(page.body, page.url, "text/html") for page, _ in source()]
    assert all(isinstance(found, Text) for found in assert_the_same(pages))


def test_short_and_foreign_pages_are_extracted() -> None:
    for text in ("Ein kurzer Satz.", GOOD[:60]):
        found = extract(article(text).encode())
        assert found
        assert (found.text, found.title) == (text, "Ein Titel")


def test_what_is_none() -> None:
    for body in (b"", b"  \n", b"<html><body></body></html>", NOTICE.encode()):
        assert extract(body) is None


def test_the_url_helps_to_find_the_date() -> None:
    body = article(GOOD).encode()
    dates = {"http://a.example/2019/03/04/x": "2019-03-04", "http://a.example/x": None}
    for url, date in dates.items():
        found = extract(body, url=url)
        assert found
        assert found.date == date


def test_an_unknown_engine_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'lynx'; there are trafilatura, trafilatura-fast, resiliparse"):
        extract(b"", engine="lynx")


def test_importing_it_is_cheap_and_help_explains_it() -> None:
    heavy = "{'trafilatura', 'lxml', 'pydantic'}"
    code = f"import sys, pipeline.extraction; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
    text = pydoc.render_doc(pipeline.extraction, renderer=pydoc.plaintext)
    assert "extract(" in text
    assert "Returns None" in text
