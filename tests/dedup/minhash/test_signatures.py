"""Signatures are datasketch's, bit for bit."""

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from dedup.minhash import signatures
from dedup.words import normalize, word_hash

VALID = st.text(st.characters(exclude_categories=["Cs"]))
PROSE = st.lists(st.text("aBé İΣ-東0", min_size=1), max_size=40).map(" ".join)


def by_datasketch(text: str, num_perm: int = 128, seed: int = 1, shingle: int = 5) -> MinHash:
    """Straight from the definition: strings of words, integers of Python, MinHash.update."""

    def hash32(gram: tuple[str, ...]) -> int:
        value = 0
        for word in gram:
            value = (value * signatures.MULTIPLIER + word_hash(word)) % 2**64
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            value = (value ^ value >> 33) * factor % 2**64
        return (value ^ value >> 33) >> 32

    words = normalize(text).split()
    size = min(shingle, len(words))
    sketch = MinHash(num_perm=num_perm, seed=seed, hashfunc=hash32)
    for start in range(len(words) - size + 1 if words else 0):
        sketch.update(tuple(words[start : start + size]))
    return sketch


@given(st.lists(VALID | PROSE, max_size=4))
def test_signatures_equal_datasketch(texts: list[str]) -> None:
    rows = signatures.minhash_signatures(texts)
    assert rows.shape == (len(texts), 128)
    assert rows.dtype == np.uint32
    for text, row in zip(texts, rows, strict=True):
        assert np.array_equal(row, by_datasketch(text).hashvalues)


@given(PROSE, st.integers(2, 40), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_for_any_parameters(text: str, num_perm: int, seed: int, shingle: int) -> None:
    rows = signatures.minhash_signatures([text], num_perm=num_perm, seed=seed, shingle=shingle)
    assert np.array_equal(rows[0], by_datasketch(text, num_perm, seed, shingle).hashvalues)


def test_shingle_hashes_are_what_datasketch_permutes() -> None:
    text = "one two three four five six seven " * 3000  # more shingles than are permuted at once
    sketch = MinHash(num_perm=128, seed=1, hashfunc=int)
    sketch.update_batch(signatures.shingle_hashes(text).tolist())
    assert np.array_equal(signatures.minhash_signatures([text])[0], sketch.hashvalues)
    many = " ".join(map(str, range(10_000)))
    assert np.array_equal(signatures.minhash_signatures([many])[0], by_datasketch(many).hashvalues)


@pytest.mark.parametrize(
    ("text", "shingles"), [("", 0), ("…", 0), ("one", 1), ("a b c d e", 1), ("a b c d e f", 2)]
)
def test_number_of_shingles(text: str, shingles: int) -> None:
    assert len(signatures.shingle_hashes(text)) == shingles
    assert signatures.signatures_and_counts([text])[1].tolist() == [shingles]


def test_a_row_is_datasketch_s_own_object() -> None:
    left, right = signatures.minhash_signatures(["a b c d e f g h", "a b c d e f g x"])
    expected = np.mean(left == right)
    assert signatures.to_datasketch(left).jaccard(signatures.to_datasketch(right)) == expected > 0
    assert signatures.to_datasketch(left).jaccard(by_datasketch("a b c d e f g h")) == 1


def test_arrow_columns() -> None:
    texts = ["one two", "three", ""]
    expected = signatures.minhash_signatures(texts)
    for column in (
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.chunked_array([texts[:1], texts[1:]]),
    ):
        assert np.array_equal(signatures.minhash_signatures(column), expected)
    assert signatures.minhash_signatures([]).shape == (0, 128)


def test_what_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        signatures.minhash_signatures(["\ud800"])
    with pytest.raises(ValueError, match="1 null of 2"):
        signatures.minhash_signatures(pa.array(["a", None]))
    with pytest.raises(ValueError, match="at least one word"):
        signatures.minhash_signatures(["a"], shingle=0)


def test_bytes_and_back() -> None:
    rows = signatures.minhash_signatures(["a b c", "d", ""], num_perm=16)
    column = signatures.to_bytes(rows)
    assert column.type == pa.binary()
    assert column[0].as_py() == rows[0].astype("<u4").tobytes()
    assert np.array_equal(signatures.from_bytes(column, 16), rows)
    assert np.array_equal(
        signatures.from_bytes(pa.chunked_array([column[2:], column[:2]]), 16), rows[[2, 0, 1]]
    )
    with pytest.raises(ValueError, match="68 bytes each"):
        signatures.from_bytes(column, 17)
