"""The compiled loops do what the Python and numpy of `dedup.words` and `dedup.minhash.signatures` say."""

import io
import json
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from dedup import words, words_kernel
from dedup.jit import has_numba
from dedup.minhash import kernel, signatures
from tests.shared import SHARED, needs_shared

VALID = st.text(st.characters(exclude_categories=["Cs"]))
DIRTY = st.lists(
    st.sampled_from(
        ["word", "İ", "ẞ", "Σ", "ﬁ", "Ⱥ", "\0", "\u0301", "𐐀", "𝔘", "é", "東京", "½", " ", "—", "\n"]
    ),
    max_size=60,
).map("".join)
TEXTS = st.lists(VALID | DIRTY, max_size=5)


def hashed(texts: list[str]) -> list[list[int]]:
    offsets, data = words.utf8(texts)
    found = []
    for start, stop in pairwise(offsets):
        out = np.full(
            (stop - start) // 2 + 3, 7, np.uint64
        )  # one more than is asked for, to see it untouched
        ends = np.full(len(out), -7, np.int64)
        count = words_kernel.hash_words(data, start, stop, words.table(), out, ends)
        assert out[-1] == 7
        assert ends[-1] == -7
        pieces = [data[a:b].tobytes().decode() for a, b in pairwise([start, *ends[:count]])]
        assert [words.normalize(piece) for piece in pieces] == words.normalize(
            data[start:stop].tobytes().decode()
        ).split()
        found.append(out[:count].tolist())
    return found


@given(TEXTS)
def test_words(texts: list[str]) -> None:
    assert hashed(texts) == [words.word_hashes(text).tolist() for text in texts]


@given(TEXTS)
def test_normal_form(texts: list[str]) -> None:
    offsets, data = words.utf8(texts)
    ends, normal = words_kernel.normalize_all(offsets, data, words.table())
    found = [normal[a:b].tobytes().decode() for a, b in pairwise(ends)]
    assert found == [words.normalize(text) for text in texts]
    assert words.text_hashes(texts).to_pylist() == [words.text_hash(text) for text in texts]


def test_every_character() -> None:
    text = " ".join(f"x{chr(c)}Y" for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)
    assert hashed([text]) == [words.word_hashes(text).tolist()]
    assert words.text_hashes([text])[0].as_py() == words.text_hash(text)


@given(TEXTS, st.integers(2, 40), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_signatures(texts: list[str], num_perm: int, seed: int, shingle: int) -> None:
    compiled = signatures.signatures_and_counts(texts, num_perm=num_perm, seed=seed, shingle=shingle)
    expected = signatures.reference(texts, num_perm=num_perm, seed=seed, shingle=shingle)
    for found, wanted in zip(compiled, expected, strict=True):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


@given(VALID | DIRTY, st.integers(1, 9))
def test_shingles(text: str, shingle: int) -> None:
    minima = signatures.reference([text], num_perm=2, shingle=shingle)
    hashes = signatures.shingle_hashes(text, shingle=shingle)
    assert len(hashes) == minima[1][0]
    sketch = MinHash(num_perm=2, seed=1, hashfunc=int)
    sketch.update_batch(hashes.tolist())
    assert np.array_equal(sketch.hashvalues, minima[0][0])


@given(TEXTS.filter(lambda texts: len(texts) > 1))
def test_slices_and_chunks(texts: list[str]) -> None:
    expected = signatures.minhash_signatures(texts)
    hashes = words.text_hashes(texts)
    whole = pa.array(texts)
    for column in (whole, whole.cast(pa.large_string()), pa.chunked_array([texts[:1], texts[1:]])):
        assert np.array_equal(signatures.minhash_signatures(column), expected)
        assert np.array_equal(signatures.minhash_signatures(column[1:]), expected[1:])
        assert words.text_hashes(column[1:-1]).equals(hashes[1:-1])
    assert signatures.minhash_signatures(pa.chunked_array([], pa.string())).shape == (0, 128)


def test_invalid_utf8_is_refused() -> None:
    for raw in (b"\xed\xa0\x80", b"a\xff", b"\xe2\x82"):
        column = pa.Array.from_buffers(
            pa.string(),
            1,
            [None, pa.py_buffer(np.array([0, len(raw)], np.int32).tobytes()), pa.py_buffer(raw)],
        )
        with pytest.raises(ValueError, match="UTF8"):
            signatures.minhash_signatures(column)
    with pytest.raises(UnicodeEncodeError):
        words.text_hashes(["\ud800"])


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "numba", None)
    has_numba.cache_clear()
    yield
    has_numba.cache_clear()


@pytest.mark.usefixtures("without_numba")
def test_without_numba_everything_is_the_same_and_a_warning_says_so() -> None:
    texts = ["The quick brown fox jumps over", "", "İt’s ½ past 東京"]
    with pytest.warns(UserWarning, match="without numba"):
        rows, counts = signatures.signatures_and_counts(texts)
    offsets, data = words.utf8(texts)
    expected = kernel.signatures_and_counts(
        offsets, data, words.table(), 5, np.uint64(signatures.MULTIPLIER), signatures.permutations(128, 1)
    )
    assert np.array_equal(rows, expected[0])
    assert np.array_equal(counts, expected[1])
    assert words.text_hashes(texts).to_pylist() == [words.text_hash(text) for text in texts]


@needs_shared
def test_signatures_of_every_real_post_are_datasketch_s() -> None:
    with (SHARED / "text/selfposts.ndjson.zst").open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        texts = [json.loads(line)["selftext"] for line in lines]
    assert len(texts) == 28_594
    rows, counts = signatures.signatures_and_counts(texts)
    expected_rows, expected_counts = signatures.reference(texts)
    assert np.array_equal(rows, expected_rows)
    assert np.array_equal(counts, expected_counts)
