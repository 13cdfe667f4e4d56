"""The compiled loops and numpy find the same n-grams and positions, whatever a dictionary has forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dedup.hashes import splitmix64
from dedup.ngrams import hashing, lookup, vocabulary
from dedup.ngrams.hashing import HashedNGrams, NGramHasher
from dedup.ngrams.lookup import Lookup
from dedup.ngrams.vocabulary import Vocabulary
from shards import tokenizer

GPT2 = tokenizer.load("gpt2")
WORDS = st.sampled_from(
    ["the", "of", "İstanbul", "ﬁ", "Ⱥb", "東京", "½", "é-é", "antidisestablishment", "x1", "_"]
)
PIECES = st.lists(WORDS | st.sampled_from([" ", "—", "\n", "\0", "."]), max_size=40).map(" ".join)
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | PIECES, max_size=6)
HASHES = st.lists(
    st.integers(0, 500).map(lambda value: int(splitmix64(np.array([value], np.uint64))[0])), max_size=300
)
EDGES = st.lists(st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1]), max_size=9)


@contextmanager
def without_numba() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (hashing, lookup):
            patch.setattr(module, "has_numba", lambda: False)
        yield


def kinds(n: int) -> list[NGramHasher]:
    return [NGramHasher("words", n), NGramHasher("tokens", n, GPT2.encode_batch, GPT2.checksum)]


def assert_same(found: HashedNGrams, expected: HashedNGrams) -> None:
    for name in ("hashes", "offsets", "short"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs), name


@given(TEXTS, st.integers(1, 9), st.integers(1, 200))
def test_grams(texts: list[str], n: int, at_once: int) -> None:
    """In lists, in slices of Arrow's arrays, and in chunks of any size."""
    for kind in kinds(n):
        with without_numba():
            expected = kind.hash(texts)
        assert_same(kind.hash(texts), expected)
        column = pa.chunked_array([["before", *texts[:2]], texts[2:]], pa.large_string()).slice(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hashing, "_CHUNK_BYTES", at_once)
            assert_same(kind.hash(column), expected)


@given(st.lists(TEXTS, max_size=5), st.integers(0, 6))
def test_a_dictionary_that_forgets(batches: list[list[str]], max_words: int) -> None:
    (_, kind) = kinds(3)
    forgetful = Vocabulary(GPT2.encode_batch, max_words)
    for texts in batches:
        expected = kind.hash(texts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vocabulary, "vocabulary", lambda encode_batch: forgetful)
            assert_same(kind.hash(texts), expected)
            assert_same(kind.hash(texts), expected)


def test_a_dictionary_is_bounded_and_grows_until_then() -> None:
    (_, kind) = kinds(2)
    known = Vocabulary(GPT2.encode_batch, max_words=20_000)
    sizes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "vocabulary", lambda encode_batch: known)
        for start in range(0, 45_000, 9_000):
            kind.hash([" ".join(f"w{i}" for i in range(start, start + 9_000))])
            sizes.append(len(known))
    assert sizes == [9_000, 18_000, 9_000, 18_000, 9_000]


@given(HASHES | EDGES, HASHES | EDGES)
def test_lookup(present: list[int], wanted: list[int]) -> None:
    hashes = np.unique(np.array(present, np.uint64))
    asked = np.array([*wanted, *present[::2]], np.uint64)
    positions, found = Lookup(hashes).find(asked)
    with without_numba():
        plain = Lookup(hashes).find(asked)
    assert (positions.tolist(), found.tolist()) == (plain[0].tolist(), plain[1].tolist())
    assert positions.tolist() == [i for i, value in enumerate(asked.tolist()) if value in set(present)]
    assert hashes[found].tolist() == asked[positions].tolist()


@given(
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=60)))
)
def test_group(drawn: tuple[int, list[int]]) -> None:
    n_keys, values = drawn
    keys: NDArray[np.int32] = np.array(values, np.int32)
    first, positions = lookup.group_positions(keys, n_keys)
    with without_numba():
        plain = lookup.group_positions(keys, n_keys)
    assert (first.dtype, positions.dtype) == (plain[0].dtype, plain[1].dtype)
    assert (first.tolist(), positions.tolist()) == (plain[0].tolist(), plain[1].tolist())
    for key in range(n_keys):
        mine = positions[first[key] : first[key + 1]].tolist()
        assert mine == [i for i, value in enumerate(values) if value == key]


@pytest.mark.parametrize("numba", [True, False])
def test_hashes_of_another_type_are_refused(numba: bool) -> None:
    hashes = splitmix64(np.arange(9, dtype=np.uint64))
    known = Lookup(np.sort(hashes))

    def hashed(values: Any) -> HashedNGrams:
        return HashedNGrams(values, np.array([0, 9]), np.zeros(1, np.bool_))

    wrong: list[Any] = [
        np.arange(9),
        hashes.astype(">u8"),
        hashes.astype(float),
        hashes.reshape(3, 3),
        [1, 2],
    ]
    with nullcontext() if numba else without_numba():
        for values in wrong:
            for work in (known.find, Lookup, hashed):
                with pytest.raises(ValueError, match=r"^hashes must be .* uint64, found [^\n]*$"):
                    work(values)
        for positions in (known.find(hashes[::2])[0], known.find(np.repeat(hashes, 2)[::2])[0]):
            assert positions.tolist() == list(range(len(positions)))
        for unsorted in (hashes, np.sort(np.repeat(hashes, 2))):
            with pytest.raises(ValueError, match="must rise"):
                Lookup(unsorted)
    with pytest.raises(ValueError, match="offsets"):
        HashedNGrams(hashes, np.array([0, 8]), np.zeros(1, np.bool_))
    with pytest.raises(ValueError, match="short"):
        HashedNGrams(hashes, np.array([0, 9]), np.zeros(2, np.bool_))
