"""Which languages documents are in, and what is left of others in those that are kept, by paragraph.

The GPT-2 paper (section 3.7) found 10 MB of French in WebText behind its filter, enough to learn to
translate. Here every paragraph (a line of the extracted text) of `MIN_CHARS` and more is asked for its
language; shorter ones are too often taken for another (docs/measurements.md). Nothing is dropped for it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schemas import OK
from pipeline.language.detect import detect_langs
from pipeline.settings import Language

MIN_CHARS = 200
MIN_PROBABILITY = 0.99
EXAMPLES = 3  # of a language
EXCERPT = 200  # characters


class Example(TypedDict):
    """A paragraph: its size in UTF-8, the document's URL, and how it begins."""

    bytes: int
    url: str
    text: str


class Residue(TypedDict):
    """What is left of a language. bytes: in UTF-8. examples: the longest paragraphs, one a document."""

    paragraphs: int
    documents: int
    bytes: int
    examples: list[Example]


class Languages(TypedDict):
    """What is said of some documents, ready for JSON.

    documents: language -> `ok`, or the stage that dropped them -> how many. bytes: of the text of those kept;
    judged: of their paragraphs that were asked. residue: by language.
    """

    documents: dict[str, dict[str, int]]
    bytes: int
    judged: int
    residue: dict[str, Residue]


def languages(documents: pa.Table, settings: Language) -> Languages:
    """Of a partition's documents (`schemas.DOCUMENTS`). All kept ones are looked at."""
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
    return Languages(
        documents=_fates(documents),
        bytes=sum(len(row["text"].encode()) for row in kept),
        judged=sum(len(line.encode()) for _, line in paragraphs),
        residue={
            language: Residue(
                paragraphs=len(found),
                documents=len({example["url"] for example in found}),
                bytes=sum(example["bytes"] for example in found),
                examples=_longest(found),
            )
            for language, found in sorted(foreign.items())
        },
    )


def merge(parts: Iterable[Languages]) -> Languages:
    """What is said of several partitions together."""
    total = Languages(documents={}, bytes=0, judged=0, residue={})
    for part in parts:
        total["bytes"] += part["bytes"]
        total["judged"] += part["judged"]
        for language, fates in part["documents"].items():
            known = total["documents"].get(language, {})
            total["documents"][language] = dict(Counter(known) + Counter(fates))
        for language, found in part["residue"].items():
            before = total["residue"].get(language, Residue(paragraphs=0, documents=0, bytes=0, examples=[]))
            total["residue"][language] = Residue(
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
