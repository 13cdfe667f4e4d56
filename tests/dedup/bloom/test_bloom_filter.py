"""Bloom filters: no false negative at any size, the promised rate, equal bytes, foreign ones refused."""

import math
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.bloom.bloom_filter import BloomFilter, BloomFilterError
from dedup.bloom.distinct_counter import RELATIVE_ERROR, DistinctCounter
from dedup.bloom.positions import scaled
from dedup.bloom.sizing import BITS, BLOCK, MIN_BLOCKS, block_false_positive_rate
from dedup.hashes import Hashes, splitmix64
from dedup.ngrams.hashing import NGramHasher

ABOUT = NGramHasher("words", 8).identity
SIZES = sorted({max(1, 2**e + d) for e in range(15) for d in (-1, 0, 1)} | {100, 777, 12_345})


def items(count: int, seed: int = 0) -> Hashes:
    """Distinct hashes (splitmix64 is a bijection); of different seeds, disjoint."""
    return splitmix64(np.arange(count, dtype=np.uint64) + np.uint64(seed << 40))


@pytest.mark.parametrize("n_blocks", SIZES)
def test_every_size_uses_all_its_blocks_and_forgets_nothing(n_blocks: int) -> None:
    filter_ = BloomFilter(n_blocks, 2)
    present = items(10 * n_blocks)
    filter_.add(present)
    assert filter_.contains(present).all()
    # a block gets 20 items by Poisson, and each of them misses a bit with probability (511/512)**7
    expected = 1 - math.exp(20 * ((1 - 1 / BLOCK) ** 7 - 1)) if n_blocks > 30 else 0.24
    assert abs(filter_.fill - expected) < 5 * math.sqrt(0.003 / n_blocks)
    ones = np.bitwise_count(filter_.words.reshape(-1, 8)).sum(axis=1)
    assert ones.min() > 0
    assert ones.max() < 2.5 * BLOCK * expected


@pytest.mark.parametrize("numba", [True, False])
@pytest.mark.parametrize("count", [1, 10, 1_000, 16_384, 50_000, 100_000])
@pytest.mark.parametrize("rate", [0.3, 1e-2, 1e-3])
def test_measured_rate_is_the_rate_asked_for(
    count: int, rate: float, numba: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not numba:
        monkeypatch.setattr("dedup.bloom.bloom_filter.has_numba", lambda: False)
    filter_ = BloomFilter.sized(count, rate)
    filter_.add(items(count))
    trials = 200_000
    found = int(filter_.contains(items(trials, seed=1)).sum())
    assert abs(found - trials * filter_.false_positive_rate()) <= 5 * math.sqrt(trials * rate)
    assert found <= trials * rate + 4 * math.sqrt(trials * rate)
    if filter_.n_blocks > MIN_BLOCKS:
        assert found >= trials * rate * 0.75 - 4 * math.sqrt(trials * rate)


def test_small_filter_has_no_floor() -> None:
    """With double hashing such a filter finds thousands of these ten million (see `bloom_filter`)."""
    filter_ = BloomFilter(4, 5)
    filter_.add(items(40))
    assert 0.4 < filter_.fill < 0.6
    assert filter_.false_positive_rate() < 1e-8
    assert not filter_.contains(items(10_000_000, seed=1)).any()


@pytest.mark.parametrize("count", [2_000, 100_000, 1_000_000])
def test_rate_of_the_paper(count: int) -> None:
    filter_ = BloomFilter.sized(count, 1e-8)
    filter_.add(items(count))
    assert filter_.false_positive_rate(count) <= 1e-8
    assert not filter_.contains(items(1_000_000, seed=1)).any()
    if count == 1_000_000:  # 4 % above the classical filter
        assert filter_.blocks_per_item == 4
        assert filter_.n_bits / count < 1.045 * -math.log(1e-8) / math.log(2) ** 2


@pytest.mark.parametrize("load", [1, 55.0, 300.0])
def test_rate_of_a_block_against_a_simulation(load: float) -> None:
    random = np.random.default_rng(7)
    loads = random.poisson(load, 4000)
    ones = [len(np.unique(random.integers(0, BLOCK, BITS * n))) for n in loads]
    rates = (np.array(ones) / BLOCK) ** BITS
    expected = block_false_positive_rate(load, 10**12)
    assert abs(rates.mean() - expected) < 5 * rates.std() / math.sqrt(len(rates))


@pytest.mark.parametrize("n_blocks", [1, 1000, 1 << 24, (1 << 24) + 1, (1 << 40) - 1])
def test_blocks_are_chosen_by_the_upper_bits_of_a_product(n_blocks: int) -> None:
    values = np.concatenate([items(1000), np.array([0, 1, 2**64 - 1], np.uint64)])
    expected = [value * n_blocks >> 64 for value in values.tolist()]
    assert scaled(values, n_blocks).tolist() == expected


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=200),
    st.integers(1, 50),
    st.integers(1, 6),
    st.integers(0, 200),
)
def test_union_is_the_filter_of_all(values: list[int], n_blocks: int, per_item: int, cut: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    whole, left, right = (BloomFilter(n_blocks, per_item) for _ in range(3))
    whole.add(hashes)
    left.add(hashes[:cut][::-1])
    with pytest.MonkeyPatch.context() as patch:  # one half without numba
        patch.setattr("dedup.bloom.bloom_filter.has_numba", lambda: False)
        right.add(hashes[cut:])
        assert right.contains(hashes[cut:]).all()
    left |= right
    assert left.words.tobytes() == whole.words.tobytes()
    assert whole.contains(hashes).all()


def test_bits_are_where_the_file_format_says() -> None:
    """Against the definition, with Python's own integers."""
    filter_ = BloomFilter(1001, 3)
    filter_.add(np.array([12345], dtype=np.uint64))
    mask, outputs, state = 2**64 - 1, [], 12345
    for _ in range(6):  # SplitMix64, as published
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        outputs.append(z ^ (z >> 31))
    expected = {
        BLOCK * (block * 1001 >> 64) + (bits >> 9 * j) % BLOCK
        for block, bits in zip(outputs[::2], outputs[1::2], strict=True)
        for j in range(BITS)
    }
    found = np.unpackbits(filter_.words.astype("<u8").view(np.uint8), bitorder="little")
    assert set(np.flatnonzero(found).tolist()) == expected


@pytest.mark.parametrize("memory", [False, True])
def test_file_round_trip(tmp_path: Path, memory: bool) -> None:
    url = f"memory://{tmp_path.name}/filter" if memory else str(tmp_path / "filter")
    filter_ = BloomFilter.sized(5_000, 1e-6, ABOUT)
    filter_.add(items(5_000))
    filter_.save(url)
    loaded = BloomFilter.load(url, ABOUT)
    assert loaded.parameters == filter_.parameters
    assert loaded.contains(items(5_000)).all()
    assert np.array_equal(loaded.words, filter_.words)
    assert isinstance(loaded.words, np.memmap) is not memory
    loaded.save(url + "2")
    with fsspec.open(url, "rb") as one, fsspec.open(url + "2", "rb") as two:
        assert one.read() == two.read()


def test_foreign_filters_are_refused(tmp_path: Path) -> None:
    url = str(tmp_path / "filter")
    BloomFilter(10, 3, ABOUT).save(url)
    with pytest.raises(BloomFilterError, match="unit 'words', expected 'tokens'"):
        BloomFilter.load(url, {**ABOUT, "unit": "tokens"})
    for other in (BloomFilter(10, 3), BloomFilter(11, 3, ABOUT), BloomFilter(10, 4, ABOUT)):
        with pytest.raises(BloomFilterError, match="different kinds"):
            other |= BloomFilter(10, 3, ABOUT)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "filter"
    BloomFilter(125, 3, ABOUT).save(str(path))
    whole = path.read_bytes()
    for damaged, message in [
        (b"", "not a Bloom filter"),
        (b"PAR1" + whole[4:], "not a Bloom filter"),
        (whole[:10], "not a Bloom filter"),
        (whole[:30], "header .* damaged"),
        (whole[:-1], "not whole"),
        (whole.replace(b'"version": 3', b'"version": 2'), "version 2, expected 3"),
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
    assert counter.upper_bound() >= count


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
