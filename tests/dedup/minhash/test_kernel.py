"""The compiled loops make the signatures that datasketch makes, with and without numba."""

import io
import json
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from dedup import words
from dedup.jit import has_numba
from dedup.minhash import kernel, signatures
from tests import prose
from tests.dedup.texts import DIRTY, TEXTS, VALID
from tests.shared import SAMPLE, SHARED, private


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


def sample() -> list[str]:
    """Prose, and short texts in many scripts."""
    lines = (SAMPLE / "languages/udhr.jsonl").read_text(encoding="utf-8").splitlines()
    return [*prose.texts().values(), *(json.loads(line)["text"] for line in lines)]


def posts() -> list[str]:
    with (SHARED / "text/selfposts.ndjson.zst").open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        return [json.loads(line)["selftext"] for line in lines]


@pytest.mark.parametrize(("source", "count"), [(sample, 147), *private((posts, 28_594))])
def test_signatures_of_texts_are_datasketch_s(source: Callable[[], list[str]], count: int) -> None:
    texts = source()
    assert len(texts) == count
    rows, counts = signatures.signatures_and_counts(texts)
    expected_rows, expected_counts = signatures.reference(texts)
    assert np.array_equal(rows, expected_rows)
    assert np.array_equal(counts, expected_counts)
