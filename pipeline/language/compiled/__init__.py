"""langdetect's algorithm, compiled with numba: the same answers without a Python object per n-gram.

The algorithm is that of Nakatani Shuyo, "Language Detection Library for Java" (2010), as the Python package
langdetect 1.0.9 has it: naive Bayes over character n-grams. It cleans the text (`cleaning`), collects the
n-grams of 1 to 3 characters that are in any of its 55 language profiles, and in seven trials multiplies the
probabilities of n-grams drawn at random until one language has nearly all of it (`detection`). With a seed,
the answer is a function of the text. Each text starts from the same seed, so the random numbers are tabulated
once, as are the profiles and character tables of the installed langdetect (`profiles`).

numba's cache notices changes in a function's own file only: what a compiled function calls is in its file.

The tests compare it with langdetect itself.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dedup.words import utf8
from pipeline.language.compiled.cleaning import clean
from pipeline.language.compiled.detection import detect
from pipeline.language.compiled.profiles import random_words, tables

__all__ = ["detect_langs"]


def detect_langs(
    texts: pa.Array | pa.ChunkedArray | Sequence[str], *, max_chars: int | None = None, seed: int = 0
) -> list[list[tuple[str, float]]]:
    """For each text its languages with their probabilities above 0.1, most probable first.

    See `pipeline.language.detect.detect_langs`, which calls this. The list is empty where langdetect raises
    "No features in text".

    Raises ValueError for an Arrow array that holds nulls or invalid UTF-8.
    """
    names, arrays = tables()
    offsets, data = utf8(texts) if isinstance(texts, pa.Array | pa.ChunkedArray) else _utf8(texts)
    characters, ends = clean(data, offsets, -1 if max_chars is None else max_chars, arrays.composed)
    counts, languages, probabilities = detect(characters, ends, random_words(seed), arrays)
    return [
        [(names[language], share) for language, share in zip(found[:count], shares, strict=False)]
        for count, found, shares in zip(
            counts.tolist(), languages.tolist(), probabilities.tolist(), strict=True
        )
    ]


def _utf8(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """As `dedup.words.utf8`, but lone surrogates pass: langdetect reads them like any other character."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    offsets.setflags(write=False)  # for numba, another type
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)
