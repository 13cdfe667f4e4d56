"""Words of a text: the normal form that near-duplicates and benchmark overlap share.

A word is a maximal run of Unicode alphanumerics (`str.isalnum`), lower-cased. The rule is a table over code
points: a character that is not alphanumeric separates words, any other becomes the alphanumerics of its own
`str.lower()`. Nothing looks at a character's neighbours, so a capital sigma is always σ, never a final ς, and
İ, whose lower case is an i and a combining dot, becomes i.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3


class _Characters(dict[int, str]):
    """Code point -> what it becomes, for `str.translate`; filled as characters are met."""

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
    """64-bit FNV-1a (Fowler, Noll, Vo) of the UTF-8 bytes of a normalised word."""
    value = FNV_OFFSET
    for byte in word.encode():
        value = (value ^ byte) * FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return value


def word_hashes(text: str) -> NDArray[np.uint64]:
    """`word_hash` of every word of a text, in order: shape (words,), uint64."""
    words = text.translate(CHARACTERS).split()
    return np.fromiter(map(word_hash, words), np.uint64, len(words))
