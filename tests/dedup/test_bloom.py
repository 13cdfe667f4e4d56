"""Bloom filters: no false negative at any size, the promised rate, equal bytes, foreign ones refused."""

import math
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.bloom import MIN_BITS, BloomFilter, BloomFilterError
from dedup.distinct import RELATIVE_ERROR, DistinctCounter
from dedup.ngrams import Hashes, NGrams, mix

ABOUT = NGrams("words", 8).identity
SIZES = sorted({max(1, 2**e + d) for e in range(15) for d in (-1, 0, 1)} | {100, 777, 12_345})


def items(count: int, seed: int = 0) -> Hashes:
    """Distinct hashes (mix is a bijection); of different seeds, disjoint."""
    return mix(np.arange(count, dtype=np.uint64) + np.uint64(seed << 40))


@pytest.mark.parametrize("n_bits", SIZES)
def test_every_size_uses_all_its_bits_and_forgets_nothing(n_bits: int) -> None:
    filter_ = BloomFilter(n_bits, 3)
    present = items(n_bits)
    filter_.add(present)
    assert filter_.contains(present).all()
    # of n * 3 throws, each bit is missed by all with probability e**-3; powers of two are no worse
    expected = 1 - (1 - 1 / n_bits) ** (3 * n_bits)
    assert abs(filter_.fill - expected) < 5 * math.sqrt(0.05 / n_bits)
    assert filter_.fill <= 1
    last = np.unpackbits(filter_.bits, bitorder="little")[n_bits:]
    assert not last.any()


@pytest.mark.parametrize("count", [1, 10, 1_000, 1024, 30_000])
@pytest.mark.parametrize("rate", [0.3, 1e-2, 1e-3])
def test_measured_rate_is_the_rate_asked_for(count: int, rate: float) -> None:
    filter_ = BloomFilter.sized(count, rate)
    filter_.add(items(count))
    trials = 200_000
    found = int(filter_.contains(items(trials, seed=1)).sum())
    assert found <= trials * rate + 4 * math.sqrt(trials * rate)
    if filter_.n_bits > MIN_BITS:
        assert found >= trials * rate * 0.8 - 4 * math.sqrt(trials * rate)


def test_small_filter_has_no_floor() -> None:
    """With double hashing such a filter finds thousands of these ten million (see `dedup.bloom`)."""
    filter_ = BloomFilter(1 << 10, 40)
    filter_.add(items(18))
    assert 0.4 < filter_.fill < 0.6
    assert not filter_.contains(items(10_000_000, seed=1)).any()


@pytest.mark.parametrize("count", [2_000, 50_000])
def test_rate_of_the_paper(count: int) -> None:
    filter_ = BloomFilter.sized(count, 1e-8)
    filter_.add(items(count))
    assert filter_.n_hashes in (26, 27)
    assert filter_.false_positive_rate(count) <= 1.05e-8
    assert not filter_.contains(items(1_000_000, seed=1)).any()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=200),
    st.integers(1, 5_000),
    st.integers(1, 30),
    st.integers(0, 200),
)
def test_union_is_the_filter_of_all(values: list[int], n_bits: int, n_hashes: int, cut: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    whole, left, right = (BloomFilter(n_bits, n_hashes) for _ in range(3))
    whole.add(hashes)
    left.add(hashes[:cut][::-1])
    right.add(hashes[cut:])
    left |= right
    assert left.bits.tobytes() == whole.bits.tobytes()
    assert whole.contains(hashes).all()


def test_bits_are_where_the_file_format_says() -> None:
    """Against the definition, with Python's own integers."""
    filter_ = BloomFilter(1001, 5)
    filter_.add(np.array([12345], dtype=np.uint64))
    mask, expected, state = 2**64 - 1, set(), 12345
    for _ in range(5):  # SplitMix64, as published
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        expected.add(((z ^ (z >> 31)) * 1001) >> 64)
    assert set(np.flatnonzero(np.unpackbits(filter_.bits, bitorder="little")).tolist()) == expected


@pytest.mark.parametrize("memory", [False, True])
def test_file_round_trip(tmp_path: Path, memory: bool) -> None:
    url = f"memory://{tmp_path.name}/filter" if memory else str(tmp_path / "filter")
    filter_ = BloomFilter.sized(5_000, 1e-6, ABOUT)
    filter_.add(items(5_000))
    filter_.save(url)
    loaded = BloomFilter.load(url, ABOUT)
    assert loaded.parameters == filter_.parameters
    assert loaded.contains(items(5_000)).all()
    assert np.array_equal(loaded.bits, filter_.bits)
    assert isinstance(loaded.bits, np.memmap) is not memory
    loaded.save(url + "2")
    with fsspec.open(url, "rb") as one, fsspec.open(url + "2", "rb") as two:
        assert one.read() == two.read()


def test_foreign_filters_are_refused(tmp_path: Path) -> None:
    url = str(tmp_path / "filter")
    BloomFilter(640, 3, ABOUT).save(url)
    with pytest.raises(BloomFilterError, match="unit 'words', expected 'tokens'"):
        BloomFilter.load(url, {**ABOUT, "unit": "tokens"})
    for other in (BloomFilter(640, 3), BloomFilter(641, 3, ABOUT), BloomFilter(640, 4, ABOUT)):
        with pytest.raises(BloomFilterError, match="different kinds"):
            other |= BloomFilter(640, 3, ABOUT)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "filter"
    BloomFilter(64_000, 3, ABOUT).save(str(path))
    whole = path.read_bytes()
    for damaged, message in [
        (b"", "not a Bloom filter"),
        (b"PAR1" + whole[4:], "not a Bloom filter"),
        (whole[:10], "not a Bloom filter"),
        (whole[:30], "header .* damaged"),
        (whole[:-1], "not whole"),
        (whole.replace(b'"version": 2', b'"version": 3'), "version 3, expected 2"),
    ]:
        path.write_bytes(damaged)
        with pytest.raises(BloomFilterError, match=message):
            BloomFilter.load(str(path))
    with pytest.raises(FileNotFoundError):
        BloomFilter.load(str(tmp_path / "none"))


def test_impossible_parameters() -> None:
    for rate in (0.0, 1.0, -1.0, 2.0):
        with pytest.raises(BloomFilterError, match="between 0 and 1"):
            BloomFilter.sized(10, rate)
    with pytest.raises(BloomFilterError, match="64 bits"):
        BloomFilter.sized(10**12, 1e-8)
    with pytest.raises(BloomFilterError, match="positive"):
        BloomFilter(0, 1)


@pytest.mark.parametrize("count", [0, 1, 1_000, 50_000, 200_000, 1_500_000])
def test_distinct_count(count: int) -> None:
    counter = DistinctCounter()
    counter.add(np.concatenate([items(count), items(count // 2)]))
    assert abs(counter.count() - count) <= 4 * RELATIVE_ERROR * count
    assert counter.bound() >= count


@given(st.lists(st.integers(0, 2**64 - 1), max_size=100), st.integers(0, 100))
def test_distinct_count_does_not_depend_on_partitions(values: list[int], cut: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    whole, left, right = DistinctCounter(), DistinctCounter(), DistinctCounter()
    whole.add(hashes)
    left.add(hashes[:cut])
    right.add(hashes[cut:])
    assert np.array_equal((right | left).registers, whole.registers)


def test_registers_are_datasketch_own() -> None:
    from datasketch import HyperLogLogPlusPlus

    counter, reference = DistinctCounter(), HyperLogLogPlusPlus(16, hashfunc=lambda value: value)
    values = [*items(2_000).tolist(), 0, 5, 2**64 - 1]
    counter.add(np.array(values, dtype=np.uint64))
    for value in values:
        reference.update(value)
    assert np.array_equal(counter.registers, reference.reg)
