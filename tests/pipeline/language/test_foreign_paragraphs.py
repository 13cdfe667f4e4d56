"""What is left of other languages in documents that are kept."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.schemas import DOCUMENTS
from pipeline.language.foreign_paragraphs import EXAMPLES, EXCERPT, MIN_CHARS, merge, summarize
from pipeline.settings import Language
from tests.pipeline.language.test_detect import TEXTS

ENGLISH, GERMAN, FRENCH = (" ".join([text] * 4) for text in TEXTS[:3])
PARAGRAPHS = [ENGLISH, GERMAN, FRENCH, f"{GERMAN} {GERMAN}", TEXTS[1], ""]
Rows = list[tuple[str, str, list[str] | None]]  # stage, reason, paragraphs


def table(rows: Rows, language: str = "en") -> pa.Table:
    made = [
        {
            "url": f"http://example.org/{number}",
            "language": language,
            "stage": stage,
            "reason": reason,
            "text": None if paragraphs is None else "\n".join(paragraphs),
        }
        for number, (stage, reason, paragraphs) in enumerate(rows)
    ]
    return pa.Table.from_pylist(made, schema=DOCUMENTS)


def test_residue() -> None:
    found = summarize(
        table(
            [
                ("quality", "ok", [ENGLISH, GERMAN, TEXTS[2]]),
                ("quality", "ok", [ENGLISH, f"{GERMAN} {GERMAN}", GERMAN, FRENCH]),
                ("quality", "min_words", [FRENCH]),
                ("language", "other_language", None),
                ("extract", "not_english", None),
            ]
        ),
        Language(),
    )
    assert found["documents"] == {"en": {"ok": 2, "quality": 1, "language": 1, "extract": 1}}
    assert list(found["residue"]) == ["de", "fr"]
    german = found["residue"]["de"]
    size = len(GERMAN.encode())
    assert (german["documents"], german["paragraphs"], german["bytes"]) == (2, 3, 4 * size + 1)
    assert [example["url"][-1] for example in german["examples"]] == ["1", "0"]
    assert [example["bytes"] for example in german["examples"]] == [2 * size + 1, size]
    assert german["examples"][0]["text"] == f"{GERMAN} {GERMAN}"[:EXCERPT]
    assert found["judged"] == 4 * size + 1 + 2 * len(ENGLISH.encode()) + len(FRENCH.encode())
    assert found["bytes"] == found["judged"] + len(TEXTS[2].encode()) + 5


def test_what_is_kept_is_no_residue() -> None:
    rows: Rows = [("quality", "ok", [ENGLISH, GERMAN])]
    assert list(summarize(table(rows), Language(keep=["de"]))["residue"]) == ["en"]
    assert summarize(table(rows), Language(keep=["de", "en"]))["residue"] == {}
    assert summarize(table([("quality", "ok", ["1" * MIN_CHARS])]), Language())["residue"] == {}


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from(PARAGRAPHS), min_size=1, max_size=4), max_size=8), st.integers(0, 8))
def test_partitions_add_up(documents: list[list[str]], cut: int) -> None:
    whole = table([("quality", "ok", paragraphs) for paragraphs in documents])
    parts = [summarize(part, Language()) for part in (whole[:cut], whole[cut:])]
    assert merge(parts) == merge(reversed(parts)) == summarize(whole, Language())
    assert all(len(left["examples"]) <= EXAMPLES for left in merge(parts)["residue"].values())


def test_nothing() -> None:
    assert merge([]) == summarize(table([]), Language())
