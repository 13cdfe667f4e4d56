"""MinHash signatures (Broder 1997) of word shingles, equal bit for bit to those of datasketch 2.

A shingle is `shingle` consecutive words; a text shorter than that has one shingle of what it has, a text
without words has none. Its 32-bit hash is made of the 64-bit hashes w₁…wₖ of its words (`dedup.words`):

    (w₁·Mᵏ⁻¹ + w₂·Mᵏ⁻² + … + wₖ) mod 2⁶⁴,   finalised by `mix`, upper 32 bits,     M = MULTIPLIER

so a window rolls over the words and no string is built. These hashes are what datasketch permutes (scheme
"affine32"): `MinHash(num_perm=128, seed=1, hashfunc=int)` fed with `shingle_hashes(text)` has the
`hashvalues` that `minhash_signatures` returns.
"""

import hashlib
from functools import lru_cache

import numpy as np
import pyarrow as pa
from datasketch import LeanMinHash, MinHash
from numpy.typing import NDArray

from dedup.jit import has_numba
from dedup.words import Texts, table, utf8, word_hashes

__all__ = [
    "MULTIPLIER",
    "SCHEME",
    "checksum",
    "from_bytes",
    "minhash_signatures",
    "mix",
    "permutations",
    "reference",
    "shingle_hashes",
    "shingle_sets",
    "signatures_and_counts",
    "to_bytes",
    "to_datasketch",
]

MULTIPLIER = 0x9E3779B97F4A7C15
SCHEME = "affine32"
_SHINGLES_PER_STEP = 4096  # of `reference`: 2 MiB for 128 permutations


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The 64-bit finaliser of MurmurHash3 (Appleby): a bijection that spreads every bit over all bits."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def shingle_hashes(text: str, *, shingle: int = 5) -> NDArray[np.uint32]:
    """The 32-bit hash of every shingle of a text, in order, repeats included: shape (shingles,), uint32.

    Raises UnicodeEncodeError for a text that is not valid Unicode (lone surrogates).
    """
    _check(shingle)
    if not has_numba():
        return _shingle_hashes(text, shingle)
    from dedup.minhash import kernel

    data = np.frombuffer(text.encode(), np.uint8)
    hashes: NDArray[np.uint32] = kernel.shingles(data, table(), shingle, np.uint64(MULTIPLIER))
    return hashes


def shingle_sets(texts: Texts, *, shingle: int = 5) -> pa.Array:
    """The distinct `shingle_hashes` of each text, sorted: Arrow binary, 4 bytes each, little-endian."""
    sets = [np.unique(shingle_hashes(str(text), shingle=shingle)).astype("<u4") for text in texts]
    return pa.array([hashes.tobytes() for hashes in sets], pa.binary())


def minhash_signatures(
    texts: Texts, *, num_perm: int = 128, seed: int = 1, shingle: int = 5
) -> NDArray[np.uint32]:
    """MinHash signatures: shape (texts, num_perm), uint32; a text without words has 2³²-1 everywhere.

    texts: strings, or an Arrow array of strings. num_perm, seed: those of `datasketch.MinHash`. shingle:
    words of a shingle. Raises UnicodeEncodeError for a string that is not valid Unicode (lone surrogates),
    ValueError for a null or invalid UTF-8 in Arrow.
    """
    return signatures_and_counts(texts, num_perm=num_perm, seed=seed, shingle=shingle)[0]


def signatures_and_counts(
    texts: Texts, *, num_perm: int = 128, seed: int = 1, shingle: int = 5
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """`minhash_signatures`, and the number of shingles per text: shape (texts,), int64, repeats included."""
    _check(shingle)
    offsets, data = utf8(texts)
    if not has_numba():
        return reference(texts, num_perm=num_perm, seed=seed, shingle=shingle)
    from dedup.minhash import kernel

    computed: tuple[NDArray[np.uint32], NDArray[np.int64]] = kernel.signatures_and_counts(
        offsets, data, table(), shingle, np.uint64(MULTIPLIER), permutations(num_perm, seed)
    )
    return computed


def reference(
    texts: Texts, *, num_perm: int = 128, seed: int = 1, shingle: int = 5
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The same as `signatures_and_counts`, by datasketch: for tests, and where numba is missing."""
    _check(shingle)
    rows = np.empty((len(texts), num_perm), np.uint32)
    counts = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        hashes = _shingle_hashes(str(text), shingle)
        counts[row] = len(hashes)
        minhash = _empty(num_perm, seed).copy()
        distinct = np.unique(hashes)
        for start in range(0, len(distinct), _SHINGLES_PER_STEP):
            minhash.update_batch(distinct[start : start + _SHINGLES_PER_STEP])
        rows[row] = minhash.hashvalues
    return rows, counts


def permutations(num_perm: int, seed: int) -> NDArray[np.uint32]:
    """datasketch's a and b: a permuted hash is a · mix(hash) + b modulo 2³². Shape (2, num_perm), uint32."""
    return np.array(_empty(num_perm, seed).permutations, np.uint32)


def _shingle_hashes(text: str, shingle: int) -> NDArray[np.uint32]:
    words = word_hashes(text)
    size = min(shingle, len(words))
    if not size:
        return np.empty(0, np.uint32)
    rolled = np.zeros(len(words) - size + 1, np.uint64)
    for start in range(size):
        rolled = rolled * np.uint64(MULTIPLIER) + words[start : start + len(rolled)]
    return (mix(rolled) >> np.uint64(32)).astype(np.uint32)


def checksum(num_perm: int, seed: int) -> str:
    """A checksum of the permutations, 32 hexadecimal digits: signatures with equal ones can be compared."""
    data = permutations(num_perm, seed).astype("<u4").tobytes()
    return hashlib.blake2b(SCHEME.encode() + data, digest_size=16).hexdigest()


@lru_cache(maxsize=8)
def _empty(num_perm: int, seed: int) -> MinHash:
    return MinHash(num_perm=num_perm, seed=seed, hashfunc=int, scheme=SCHEME)


def _check(shingle: int) -> None:
    if shingle < 1:
        raise ValueError(f"a shingle has at least one word, found shingle={shingle}")


def to_datasketch(row: NDArray[np.uint32], *, seed: int = 1) -> LeanMinHash:
    """A row of `minhash_signatures` as an object of datasketch, for its `jaccard`, `MinHashLSH` and so on."""
    return LeanMinHash(seed=seed, hashvalues=row, scheme=SCHEME)


def to_bytes(rows: NDArray[np.uint32]) -> pa.Array:
    """Signatures as an Arrow binary column, num_perm · 4 bytes each, little-endian."""
    width = rows.shape[1] * 4
    data = pa.py_buffer(np.ascontiguousarray(rows, "<u4"))
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, data]).cast(pa.binary())


def from_bytes(column: pa.Array | pa.ChunkedArray, num_perm: int) -> NDArray[np.uint32]:
    """The inverse of `to_bytes`: shape (rows, num_perm), uint32, read-only; not copied if there is one chunk.

    Raises ValueError if a row is null or has another number of bytes.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    width = num_perm * 4
    _, offsets, data = column.cast(pa.large_binary()).buffers()
    if column.null_count or not len(column):
        ends = np.arange(len(column) + 1) if column.null_count else np.zeros(1, np.int64)
    else:
        ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    if (np.diff(ends) != width).any():
        raise ValueError(f"signatures of {num_perm} permutations have {width} bytes each, found others")
    size = len(column) * num_perm
    return np.frombuffer(data or b"", "<u4", size, int(ends[0]) if size else 0).reshape(-1, num_perm)
