"""How many documents are in which language, and which paragraphs of kept documents are in a foreign one.

The GPT-2 paper (section 3.7) found 10 MB of French left in WebText after its language filter, enough to learn
to translate. Here the language of every paragraph (a line of the extracted text) of at least `MIN_CHARS`
characters is identified; that of shorter ones is too often mistaken (docs/measurements.md). The result is
only reported: no document is dropped for it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schemas import OK
from pipeline.language.detect import detect_langs
from pipeline.settings import Language

__all__ = [
    "EXAMPLES",
    "EXCERPT",
    "MIN_CHARS",
    "MIN_PROBABILITY",
    "Example",
    "ForeignText",
    "LanguageSummary",
    "merge",
    "summarize",
]

MIN_CHARS = 200  # of a paragraph whose language is identified
MIN_PROBABILITY = 0.99  # of a foreign language, for a paragraph to be reported
EXAMPLES = 3  # that are kept of each language
EXCERPT = 200  # characters of an example


class Example(TypedDict):
    """A paragraph: its size in bytes of UTF-8, the document's URL, and its first EXCERPT characters."""

    bytes: int
    url: str
    text: str


class ForeignText(TypedDict):
    """What kept documents hold of one foreign language.

    bytes: of its paragraphs, in UTF-8. examples: the longest paragraphs, one per document.
    """

    paragraphs: int
    documents: int
    bytes: int
    examples: list[Example]


NOTHING = ForeignText(paragraphs=0, documents=0, bytes=0, examples=[])


class LanguageSummary(TypedDict):
    """The languages of some documents, ready for JSON.

    documents: language -> `ok` or the stage that dropped them -> number of documents. bytes: of the text of
    kept documents, in UTF-8. judged: of their paragraphs whose language was identified. residue: language ->
    what kept documents hold of it; the languages that are wanted are not in it.
    """

    documents: dict[str, dict[str, int]]
    bytes: int
    judged: int
    residue: dict[str, ForeignText]


def summarize(documents: pa.Table, settings: Language) -> LanguageSummary:
    """The languages of documents: a table of `schemas.DOCUMENTS`. Every paragraph counts, none is sampled."""
    kept = documents.filter(pc.equal(documents["reason"], OK)).select(["url", "text"]).to_pylist()
    paragraphs = [
        (row["url"], line) for row in kept for line in row["text"].split("\n") if len(line) >= MIN_CHARS
    ]
    answers = detect_langs([line for _, line in paragraphs], max_chars=settings.max_chars, seed=settings.seed)
    foreign: dict[str, list[Example]] = {}
    for (url, line), answer in zip(paragraphs, answers, strict=True):
        language, probability = answer[0] if answer else (None, 0.0)
        if language and language not in settings.keep and probability >= MIN_PROBABILITY:
            found = Example(bytes=len(line.encode()), url=url, text=line[:EXCERPT])
            foreign.setdefault(language, []).append(found)
    return LanguageSummary(
        documents=_fates(documents),
        bytes=sum(len(row["text"].encode()) for row in kept),
        judged=sum(len(line.encode()) for _, line in paragraphs),
        residue={
            language: ForeignText(
                paragraphs=len(found),
                documents=len({example["url"] for example in found}),
                bytes=sum(example["bytes"] for example in found),
                examples=_longest(found),
            )
            for language, found in sorted(foreign.items())
        },
    )


def merge(parts: Iterable[LanguageSummary]) -> LanguageSummary:
    """The summary of all documents together from those of their partitions, in any order."""
    total = LanguageSummary(documents={}, bytes=0, judged=0, residue={})
    for part in parts:
        total["bytes"] += part["bytes"]
        total["judged"] += part["judged"]
        for language, fates in part["documents"].items():
            known = total["documents"].get(language, {})
            total["documents"][language] = dict(Counter(known) + Counter(fates))
        for language, found in part["residue"].items():
            before = total["residue"].get(language, NOTHING)
            total["residue"][language] = ForeignText(
                paragraphs=before["paragraphs"] + found["paragraphs"],
                documents=before["documents"] + found["documents"],
                bytes=before["bytes"] + found["bytes"],
                examples=_longest([*before["examples"], *found["examples"]]),
            )
    return total


def _fates(documents: pa.Table) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    rows = documents.select(["language", "stage", "reason"]).filter(pc.is_valid(documents["language"]))
    for row in rows.to_pylist():
        found.setdefault(row["language"], Counter())[OK if row["reason"] == OK else row["stage"]] += 1
    return {language: dict(sorted(fates.items())) for language, fates in sorted(found.items())}


def _longest(found: Iterable[Example]) -> list[Example]:
    best: dict[str, Example] = {}
    for example in sorted(found, key=lambda one: (-one["bytes"], one["url"], one["text"])):
        best.setdefault(example["url"], example)
    return list(best.values())[:EXAMPLES]
