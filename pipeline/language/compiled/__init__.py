"""langdetect's answers, compiled: the same languages and probabilities, without a Python object per n-gram.

With a seed, langdetect's answer is a function of the text. It cleans the text (`cleaning`), collects the
n-grams of 1 to 3 characters that any of its profiles knows, and in seven trials multiplies the profiles of
n-grams drawn at random until one language has nearly all the probability (`detection`). Each text starts from
the same seed, so the random numbers are tabulated once, as is all that the installed langdetect ships
(`profiles`).

Algorithm: Nakatani Shuyo, "Language Detection Library for Java" (2010), in the Python port langdetect 1.0.9.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dedup.words import utf8
from pipeline.language.compiled.cleaning import clean
from pipeline.language.compiled.detection import detect
from pipeline.language.compiled.profiles import random_words, tables


def detect_langs(
    texts: pa.Array | pa.ChunkedArray | Sequence[str], *, max_chars: int | None = None, seed: int = 0
) -> list[list[tuple[str, float]]]:
    """Languages and probabilities (above 0.1, best first) of each text; an empty list where langdetect raises
    "No features in text". See `pipeline.language.detect.detect_langs`, which calls this.

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
    """`dedup.words.utf8` that lets lone surrogates pass: langdetect reads them like any other character."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    offsets.setflags(write=False)  # for numba, another type
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)
