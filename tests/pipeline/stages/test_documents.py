"""The three stages in one pass: every page accounted for, whatever order and company it comes in."""

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.batch.stage import Partition
from pipeline.corpus.files import Corpus
from pipeline.corpus.schemas import DOCUMENTS, PAGES
from pipeline.settings import Extract, Language, Quality
from pipeline.stages.documents import Body, documents, stored
from tests.pipeline.pages import Pages, demo, news, readability, sample
from tests.pipeline.quality.test_rules import GOOD
from tests.shared import SHARED, private

GERMAN = "Die Fähre verließ den Hafen vor der Dämmerung, und niemand am Kai sah, wer am Steuer stand. " * 8


def article(text: str) -> bytes:
    paragraphs = "".join(f"<p>{line}</p>" for line in text.splitlines())
    return f"<html><head><title>T</title></head><body><article>{paragraphs}</article></body></html>".encode()


WEB: dict[str, tuple[bytes, str, str]] = {  # name -> body, stage and reason
    "kept": (article(GOOD), "quality", "ok"),
    "german": (article(GERMAN), "language", "other_language"),
    "empty": (b"<html><body></body></html>", "extract", "empty"),
    "digits": (article("12 34 56 78 90 " * 20), "language", "no_language"),
    "short": (article(GOOD.splitlines()[0]), "quality", "min_words"),
    "lorem": (article(f"{GOOD}\nLorem ipsum."), "quality", "max_lorem_ipsum"),
    "kept too": (article(GOOD.replace("ferry", "packet boat")), "quality", "ok"),
}
EARLY = {"german": "not_english", "short": "too_short", "digits": "not_english"}  # in the stage extract


def pages(names: Sequence[str], **more: Any) -> pa.Table:
    rows = [
        {
            "doc_id": f"{number:032x}",
            "url": f"http://example.org/{number}",
            "final_url": f"http://www.Example.org:8080/{number}",
            "karma": number,
            "content_type": "text/html",
            "fetched": datetime(2020, 1, 1, tzinfo=UTC),
            "reason": "ok",
            **more,
        }
        for number, _ in enumerate(names)
    ]
    return pa.Table.from_pylist(rows, schema=PAGES)


LATE = Extract(early_language=False, early_length=False, boilerplate=False)


def made(names: list[str], settings: Extract = LATE) -> tuple[pa.Table, dict[str, Counter[str]]]:
    bodies: Iterator[Body] = ((WEB[name][0], "utf-8") for name in names)
    return documents(pages(names), bodies, settings, Language(), Quality())


def conserved(given: int, counts: dict[str, Counter[str]]) -> bool:
    for stage in ("extract", "language", "quality"):
        if counts[stage].total() != given:
            return False
        given = counts[stage]["ok"]
    return True


def test_each_page_has_its_outcome() -> None:
    names = [*WEB, *reversed(WEB)]
    table, counts = made(names, LATE.model_copy(update={"recycle_after": 4}))
    assert table.schema.equals(DOCUMENTS)
    assert list(zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True)) == [
        WEB[name][1:] for name in names
    ]
    assert table["doc_id"].to_pylist() == pages(names)["doc_id"].to_pylist()
    assert conserved(len(names), counts)
    assert counts == {
        "extract": {"ok": 12, "empty": 2},
        "language": {"ok": 8, "other_language": 2, "no_language": 2},
        "quality": {"ok": 4, "min_words": 2, "max_lorem_ipsum": 2},
    }


def test_what_can_be_told_before_extraction_is_dropped_there() -> None:
    table, counts = made(list(WEB), Extract())
    fates = list(zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True))
    assert fates == [("extract", EARLY[name]) if name in EARLY else WEB[name][1:] for name in WEB]
    assert conserved(len(WEB), counts)
    german = table.to_pylist()[list(WEB).index("german")]
    assert (german["language"], german["text"], german["n_words"]) == ("de", None, None)
    late, _ = made(list(WEB))
    kept = [reason == "ok" for reason in late["reason"].to_pylist()]
    assert table.filter(kept).equals(late.filter(kept))


@pytest.mark.parametrize("keep", [["de"], ["en", "de"]])
def test_languages_that_are_kept_are_not_dropped_early(keep: list[Any]) -> None:
    bodies: list[Body] = [(WEB["german"][0], None)]
    quality = Quality(min_stop_words=None)
    table, counts = documents(pages(["german"]), bodies, Extract(), Language(keep=keep), quality)
    assert table["language"].to_pylist() == ["de"]
    assert counts["language"] == {"ok": 1}


def test_a_page_of_nothing_but_a_notice_has_its_kind_as_reason() -> None:
    notice = "This process is automatic. Your browser will redirect to your requested content shortly."
    bodies = [article("\n".join([notice, "Just a moment..."])), article(f"{GOOD}\n{notice}")]
    for settings, reason in ((Extract(early_length=False), "bot_check"), (LATE, "min_words")):
        table, counts = documents(
            pages(["", ""]), [(body, None) for body in bodies], settings, Language(), Quality()
        )
        assert table["reason"].to_pylist() == [reason, "ok"]
        assert conserved(2, counts)


def test_what_a_document_is_does_not_depend_on_its_neighbours() -> None:
    columns = ["title", "language", "language_probability", "n_words", "text", "stage", "reason"]
    together, _ = made(list(WEB))
    for number, name in enumerate(WEB):
        alone, _ = made([name])
        assert alone.select(columns).to_pylist() == together.slice(number, 1).select(columns).to_pylist()


def test_what_a_row_holds() -> None:
    names = list(WEB)
    table, _ = made(names)
    rows = dict(zip(names, table.to_pylist(), strict=True))
    kept = rows["kept"]
    assert kept["text"] == GOOD
    assert kept["n_words"] == len(GOOD.split())
    assert (kept["hostname"], kept["title"], kept["language"]) == ("www.example.org", "T", "en")
    assert kept["language_probability"] == kept["english_probability"] > 0.99
    assert (rows["german"]["english_probability"], rows["german"]["runner_up"]) == (0, None)
    assert rows["short"]["text"], "what the quality rules remove can be looked at"
    assert rows["german"]["language"] == "de"
    for name in ("german", "empty", "digits"):
        assert (rows[name]["text"], rows[name]["n_words"]) == (None, None)


def test_bodies_are_read_as_they_are_needed() -> None:
    outcomes: list[str] = []
    ahead: list[int] = []

    def bodies() -> Iterator[Body]:
        for number, name in enumerate(WEB):
            ahead.append(number - len(outcomes))
            yield WEB[name][0], None

    documents(pages(list(WEB)), bodies(), LATE, Language(), Quality(), on_outcome=outcomes.append)
    assert Counter(outcomes) == {"ok": 6, "empty": 1}
    assert max(ahead) <= 2


def test_bodies_must_be_those_of_the_pages() -> None:
    with pytest.raises(ValueError, match="zip"):
        documents(pages(["kept", "short"]), [(b"", None)], Extract(), Language(), Quality())


def test_no_pages() -> None:
    table, counts = made([])
    assert table.schema.equals(DOCUMENTS)
    assert (len(table), counts) == (0, {"extract": {}, "language": {}, "quality": {}})


def test_bodies_come_from_warc_files_in_the_order_of_the_rows(tmp_path: Path) -> None:
    corpus = Corpus.create(str(tmp_path / "corpus"))
    places = []
    for name in ("a.warc.gz", "b.warc.gz"):
        file = io.BytesIO()
        writer = WARCWriter(file, gzip=True)
        for number in range(2):
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
            body = f"{name} {number}".encode()
            start = file.tell()
            writer.write_record(
                writer.create_warc_record(
                    "http://e.org/", "response", io.BytesIO(body), length=len(body), http_headers=headers
                )
            )
            places.append((name, start, file.tell() - start, body))
        with corpus.writing(f"pages/2020/warc/{name}") as path:
            path.write_bytes(file.getvalue())
    places = [places[i] for i in (3, 0, 2, 1)]
    rows = [
        {"warc": name, "warc_offset": offset, "warc_length": length, "charset": f"c{i}"}
        for i, (name, offset, length, _) in enumerate(places)
    ]
    partition = Partition(corpus, "2020", 0, tmp_path, "extract")
    found = list(stored(partition, pa.Table.from_pylist(rows)))
    assert found == [(body, f"c{i}") for i, (*_, body) in enumerate(places)]


Declared = list[tuple[bytes, str]]  # body, and language as the page has it


def of_the_sample() -> Declared:
    found = re.compile(rb'<html[^>]*lang="(..)')
    return [(page.body, match[1].decode()) for page, _ in sample() if (match := found.search(page.body))]


def of_news() -> Declared:
    lines = (SHARED / "html/news/gold.jsonl").read_text("utf-8").splitlines()[::6]
    golds = [json.loads(line) for line in lines]
    return [
        (
            gzip.decompress((SHARED / "html/news" / gold["html"]).read_bytes()),
            (gold["html_lang"] or "??")[:2].lower(),
        )
        for gold in golds
    ]


@pytest.mark.parametrize(
    ("source", "extract"),
    [(of_the_sample, {"ok": 9, "not_english": 2}), *private((of_news, {"ok": 6, "not_english": 14}))],
)
def test_english_is_kept(source: Callable[[], Declared], extract: dict[str, int]) -> None:
    """Pages in English are kept, and no other; of the others most are not even extracted."""
    bodies, languages = zip(*source(), strict=True)
    table, counts = documents(
        pages(languages), ((body, None) for body in bodies), Extract(), Language(), Quality()
    )
    assert conserved(len(bodies), counts)
    assert counts["extract"] == extract
    english = [language == "en" for language in languages]
    assert [stage == "quality" for stage in table["stage"].to_pylist()] == english
    assert counts["quality"] == {"ok": sum(english)}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (
            (sample, demo),
            {
                "extract": {"ok": 83, "not_english": 3, "too_short": 1},
                "language": {"ok": 78, "other_language": 5},
                "quality": {"ok": 77, "min_words": 1},
            },
        ),
        *private(
            (
                (partial(news, every=1), partial(readability, every=1)),
                {
                    "extract": {"ok": 130, "not_english": 114, "too_short": 6},
                    "language": {"ok": 110, "other_language": 19, "low_probability": 1},
                    "quality": {"ok": 107, "max_duplicate_5gram_chars": 2, "min_alphabetic_words": 1},
                },
            )
        ),
    ],
)
def test_outcomes_of_pages(sources: tuple[Pages, ...], expected: dict[str, dict[str, int]]) -> None:
    """Of all of them. Whoever changes these counts has looked at the pages."""
    found = [each for source in sources for each in source()]
    _, counts = documents(
        pages([page.url for page, _ in found]),
        [(page.body, None) for page, _ in found],
        Extract(),
        Language(),
        Quality(),
    )
    assert conserved(len(found), counts)
    assert counts == expected
