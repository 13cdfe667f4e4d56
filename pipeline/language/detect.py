"""The language of a document by langdetect, reproducibly.

langdetect draws n-grams at random: without a seed its answers vary. Here every document starts from the same
seed, so its answer depends on its text alone, and profiles are loaded in the order of their names, not of the
directory. The answers are those of `langdetect.detect_langs` with `DetectorFactory.seed` set, computed by
`pipeline.language.compiled`.
"""

import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa
from langdetect import DetectorFactory, LangDetectException
from langdetect.detector_factory import PROFILES_DIRECTORY

from pipeline.corpus.schemas import OK

if TYPE_CHECKING:
    from pipeline.settings import Language

__all__ = ["IDENTIFIED", "beginning", "detect_langs", "identify", "reference"]

OTHER, UNSURE, NONE = "other_language", "low_probability", "no_language"

IDENTIFIED = pa.schema(
    [
        ("language", pa.string()),  # the most probable, as langdetect names it: ISO 639-1, zh-cn, zh-tw
        ("language_probability", pa.float32()),
        ("english_probability", pa.float32()),  # 0 where langdetect reports less than 0.1
        ("runner_up", pa.string()),  # the second most probable; null if no other reaches 0.1
        ("reason", pa.string()),  # see `identify`
    ]
)


def identify(texts: pa.Array | Sequence[str], settings: "Language") -> pa.Table:
    """The language of each text, and whether it is kept: a table of schema IDENTIFIED, one row per text.

    reason: `ok`; `other_language`, which is not among those of `settings.keep`; `low_probability`, one of
    those, but with less than `settings.min_probability`; `no_language` for a text without letters that
    langdetect knows, where all other columns are null.
    """
    rows = []
    for found in detect_langs(texts, max_chars=settings.max_chars, seed=settings.seed):
        row: dict[str, str | float] = {"reason": NONE}
        if found:
            name, probability = found[0]
            kept = OK if probability >= settings.min_probability else UNSURE
            row = {
                "language": name,
                "language_probability": probability,
                "english_probability": dict(found).get("en", 0.0),
                "reason": kept if name in settings.keep else OTHER,
            }
            if len(found) > 1:
                row["runner_up"] = found[1][0]
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=IDENTIFIED)


def detect_langs(
    texts: pa.Array | pa.ChunkedArray | Sequence[str], *, max_chars: int | None = None, seed: int = 0
) -> list[list[tuple[str, float]]]:
    """For each text its languages with their probabilities, those above 0.1, most probable first.

    The list is empty where langdetect raises "No features in text".

    texts: an Arrow string array without nulls, or strings. max_chars: only this many characters from the
    beginning of each text are read (`beginning`); langdetect itself stops after 10,000. seed: of the random
    draws, for each text anew. Raises ValueError for an Arrow array with nulls or invalid UTF-8.
    """
    kernel = _compiled()
    if kernel is None:
        return reference(texts, max_chars=max_chars, seed=seed)
    found: list[list[tuple[str, float]]] = kernel.detect_langs(texts, max_chars=max_chars, seed=seed)
    return found


def reference(
    texts: pa.Array | pa.ChunkedArray | Sequence[str], *, max_chars: int | None = None, seed: int = 0
) -> list[list[tuple[str, float]]]:
    """The same as `detect_langs` by langdetect itself: to compare with, and where numba is missing."""
    detectors = _detectors(seed)
    return [_detect(detectors, beginning(text, max_chars)) for text in _strings(texts)]


@cache
def _compiled() -> ModuleType | None:
    """`pipeline.language.compiled`; None, with a warning, where numba cannot be imported."""
    try:
        from pipeline.language import compiled
    except ImportError as error:
        warnings.warn(f"detecting languages without numba, about 100 times slower: {error}", stacklevel=2)
        return None
    return compiled


def beginning(text: str, max_chars: int | None) -> str:
    """The first `max_chars` characters, or up to the last space or line end if one is in their last tenth."""
    if max_chars is None or len(text) <= max_chars:
        return text
    head = text[: max_chars + 1]
    end = max(head.rfind(" "), head.rfind("\n"))
    return head[: end if end >= max_chars * 0.9 else max_chars]


def _detect(detectors: DetectorFactory, text: str) -> list[tuple[str, float]]:
    detector = detectors.create()
    detector.append(text)
    try:
        return [(found.lang, found.prob) for found in detector.get_probabilities()]
    except LangDetectException:
        return []


@cache
def _detectors(seed: int) -> DetectorFactory:
    profiles = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if not path.name.startswith("."))
    detectors = DetectorFactory()
    detectors.load_json_profile([profile.read_text(encoding="utf-8") for profile in profiles])
    detectors.set_seed(seed)
    return detectors


def _strings(texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> Iterable[str]:
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return (text.as_py() for text in texts)
    return texts
