"""The stages `extract`, `language` and `quality`: reads `pages` and their WARC files, writes `documents`.

The three run one after the other over each partition, so that no text is stored twice.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import BinaryIO
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.schemas import DOCUMENTS, OK
from pipeline.extraction import engines
from pipeline.extraction.many_pages import extract_pages
from pipeline.extraction.page import Page, Text
from pipeline.fetch.archives.warc import read_body
from pipeline.language import foreign_paragraphs
from pipeline.language.detect import identify
from pipeline.quality.rules import apply_rules
from pipeline.settings import Extract, Language, Quality

__all__ = ["Body", "documents", "languages", "make_documents", "run", "stored"]

LANGUAGES = "languages"  # among the facts of a partition: its LanguageSummary

Body = tuple[bytes, str | None]  # content coding undone, and the charset of the Content-Type header


def run(run: Run) -> None:
    """Makes `documents`. Raises UserError if the library of the extraction engine is not installed."""
    engines.require(run.settings.extract.engine)
    sections = run.settings.extract, run.settings.language, run.settings.quality
    map_partitions(
        run,
        "extract",
        partial(make_documents, sections=sections),
        into="documents",
        inputs=[part.checksum for part in run.sealed("pages").parts],
        settings=[section.identity() for section in sections],
    )


def make_documents(partition: Partition, sections: tuple[Extract, Language, Quality]) -> Output:
    """Makes the documents of a partition from its pages that were fetched."""
    pages = partition.read("pages")
    pages = pages.filter(pc.equal(pages["reason"], OK))
    rows, counts = documents(pages, stored(partition, pages), *sections, on_outcome=partition.tick)
    return Output(
        rows,
        {stage: dict(reasons) for stage, reasons in counts.items()},
        facts={LANGUAGES: foreign_paragraphs.summarize(rows, sections[1])},
    )


def languages(run: Run) -> foreign_paragraphs.LanguageSummary:
    """The languages of the batch's documents: how many were kept or dropped, and what is left of others.

    Raises UserError if the stage is not complete.
    """
    return foreign_paragraphs.merge(part.facts[LANGUAGES] for part in run.sealed("documents").parts)


def stored(partition: Partition, pages: pa.Table) -> Iterator[Body]:
    """Reads the bodies of pages from the batch's WARC files, in the order of the rows, one at a time."""
    columns = pages.select(["warc", "warc_offset", "warc_length", "charset"]).to_pylist()
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for row in columns:
            if (name := row["warc"]) not in files:
                path = partition.corpus.fetch(f"pages/{partition.batch}/warc/{name}", partition.scratch)
                files[name] = stack.enter_context(path.open("rb"))
            yield read_body(files[name], row["warc_offset"], row["warc_length"]).body, row["charset"]


def documents(
    pages: pa.Table,
    bodies: Iterable[Body],
    extract: Extract,
    language: Language,
    quality: Quality,
    on_outcome: Callable[[str], None] | None = None,
) -> tuple[pa.Table, dict[str, Counter[str]]]:
    """The documents of pages, a row per page, and how many each stage passed on or dropped for which reason.

    pages: a table of `schemas.PAGES`, all with the reason `ok`. bodies: one for each row, read as needed; two
    are in memory at a time. on_outcome: called with the outcome of extraction of each page as it comes.

    Returns a table of `schemas.DOCUMENTS`, and counts by stage and reason. `stage` and `reason` say where and
    why a row was dropped; they are `quality` and `ok` for one that is kept. `text` and `n_words` are set for
    all rows that the quality rules saw, so that one can look at what they remove. They are null for other
    languages, which would be most of the bytes of many a corpus, and can be extracted again from the WARC
    files.

    Raises ValueError unless there are as many bodies as pages.
    """
    outcomes = []
    for outcome in extract_pages(_pages(pages, bodies, extract, language, quality), extract):
        outcomes.append(outcome)
        if on_outcome:
            on_outcome(outcome.reason)
    found = [outcome.value for outcome in outcomes if isinstance(outcome.value, Text)]
    extracted = np.array([isinstance(outcome.value, Text) for outcome in outcomes], dtype=np.bool_)
    texts = pa.array([document.text for document in found], pa.large_string())
    samples = [outcome.value.text if outcome.value else "" for outcome in outcomes]
    readable = np.array([bool(sample) for sample in samples], dtype=np.bool_)

    identified = identify(
        pa.array(samples, pa.large_string()).filter(pa.array(readable)), language
    ).combine_chunks()
    by_language = identified["reason"].filter(pa.array(extracted[readable]))
    understood = np.asarray(pc.equal(by_language, OK))
    texts = texts.filter(pa.array(understood))
    n_words, by_quality = apply_rules(texts, quality)

    judged = extracted.copy()
    judged[extracted] = understood
    stage = np.where(judged, "quality", np.where(extracted, "language", "extract"))
    reason = np.array([outcome.reason for outcome in outcomes], dtype=object)
    reason[extracted] = by_language.to_pylist()
    reason[judged] = by_quality.to_pylist()
    columns = {
        **{name: pages[name] for name in ("doc_id", "url", "karma")},
        "hostname": [urlsplit(url).hostname for url in pages["final_url"].to_pylist()],
        "title": _spread(pa.array([document.title for document in found], pa.string()), extracted),
        "date": _spread(pa.array([document.date for document in found], pa.string()), extracted),
        **{
            name: _spread(identified[name], readable)
            for name in ("language", "language_probability", "english_probability", "runner_up")
        },
        "n_words": _spread(n_words, judged),
        "text": _spread(texts, judged),
        "stage": pa.array(stage, pa.string()),
        "reason": pa.array(reason, pa.string()),
    }
    counts = {
        "extract": Counter(outcome.reason for outcome in outcomes),
        "language": Counter(by_language.to_pylist()),
        "quality": Counter(by_quality.to_pylist()),
    }
    return pa.table(columns, schema=DOCUMENTS), counts


def _pages(
    pages: pa.Table, bodies: Iterable[Body], extract: Extract, language: Language, quality: Quality
) -> Iterator[Page]:
    english_only = extract.early_language and language.keep == ["en"]
    min_words = quality.min_words if extract.early_length and quality.min_words else 0
    columns = pages.select(["final_url", "content_type", "fetched"]).to_pylist()
    for row, (body, charset) in zip(columns, bodies, strict=True):
        yield Page(
            body,
            row["final_url"],
            charset,
            row["content_type"],
            fetched=row["fetched"].date().isoformat() if row["fetched"] else None,
            engine=extract.engine,
            english_only=english_only,
            min_words=min_words,
            drop_notices=extract.boilerplate,
        )


def _spread(values: pa.Array, rows: npt.NDArray[np.bool_]) -> pa.Array:
    """The values at the rows that are selected, in order, and null at the others."""
    return values.take(pa.array(np.cumsum(rows) - 1, mask=~rows))
