"""Words and the normal form of a text, which near-duplicates and n-gram overlap share.

A word is a maximal run of Unicode alphanumerics (`str.isalnum`), lower-cased. The rule is a table over code
points: a character that is not alphanumeric separates words, any other becomes the alphanumerics of its own
`str.lower()`. Nothing looks at a character's neighbours, so a capital sigma is always σ, never a final ς, and
İ, whose lower case is an i and a combining dot, becomes i.
"""

import hashlib
import sys
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.fnv import fnv1a
from dedup.jit import has_numba

__all__ = [
    "CHARACTERS",
    "Texts",
    "normalize",
    "table",
    "text_hash",
    "text_hashes",
    "utf8",
    "word_hash",
    "word_hashes",
]


class _Characters(dict[int, str]):
    """What each code point becomes, for `str.translate`; filled when a character is first seen."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        lowered = "".join(c for c in character.lower() if c.isalnum()) if character.isalnum() else " "
        self[code_point] = lowered
        return lowered


CHARACTERS = _Characters()


def normalize(text: str) -> str:
    """The words of a text, joined by single spaces. Idempotent; empty for a text without words."""
    return " ".join(text.translate(CHARACTERS).split())


def text_hash(text: str) -> bytes:
    """128-bit BLAKE2b of the normalised text: equal for exact copies up to case and punctuation."""
    return hashlib.blake2b(normalize(text).encode(), digest_size=16).digest()


@lru_cache(maxsize=1 << 16)
def word_hash(word: str) -> int:
    """64-bit FNV-1a of the UTF-8 bytes of a normalised word."""
    return fnv1a(word.encode())


def word_hashes(text: str) -> NDArray[np.uint64]:
    """`word_hash` of every word of a text, in order: shape (words,), uint64."""
    words = text.translate(CHARACTERS).split()
    return np.fromiter(map(word_hash, words), np.uint64, len(words))


Texts: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray


@cache
def table() -> NDArray[np.uint32]:
    """What each code point becomes, for `dedup.words_kernel`: shape (last alphanumeric + 1,), uint32.

    The UTF-8 bytes of the normalised character, the first byte lowest; a space for a separator of words.
    """
    alphanumeric = [code_point for code_point in range(sys.maxunicode + 1) if chr(code_point).isalnum()]
    packed = np.full(alphanumeric[-1] + 1, ord(" "), np.uint32)
    for code_point in alphanumeric:
        packed[code_point] = int.from_bytes(CHARACTERS[code_point].encode(), "little")  # one character: ≤ 4
    return packed


def utf8(texts: Texts) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Texts for `dedup.words_kernel`: offsets, shape (texts + 1,), int64, and their UTF-8 bytes, uint8.

    Both are read-only; Arrow data are not copied.

    Raises UnicodeEncodeError for a string that is not valid Unicode (lone surrogates), pyarrow.ArrowInvalid,
    a ValueError, for an Arrow array of invalid UTF-8, ValueError for a null.
    """
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        texts = pa.array(texts, pa.large_string())
    elif isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if texts.null_count:
        raise ValueError(f"texts must not be null, found {texts.null_count} null of {len(texts)}")
    texts.validate(full=True)
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    ends = np.zeros(1, np.int64) if offsets is None else np.frombuffer(offsets, np.int64)
    characters = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    for array in (ends, characters):
        array.setflags(write=False)
    return ends[texts.offset : texts.offset + len(texts) + 1], characters


def text_hashes(texts: Texts) -> pa.Array:
    """`text_hash` of every text: an Arrow binary array, 16 bytes per text. Raises what `utf8` raises."""
    offsets, data = utf8(texts)
    if not has_numba():
        raw = data.tobytes()
        return pa.array([text_hash(raw[a:b].decode()) for a, b in pairwise(offsets.tolist())], pa.binary())
    from dedup import words_kernel

    ends, normal = words_kernel.normalize_all(offsets, data, table())
    view = normal.data
    hashes = [hashlib.blake2b(view[a:b], digest_size=16).digest() for a, b in pairwise(ends.tolist())]
    return pa.array(hashes, pa.binary())
