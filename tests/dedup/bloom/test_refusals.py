"""What a filter or a counter cannot hold is refused in one line, before anything is changed."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dedup.bloom.bloom_filter import BloomFilter, BloomFilterError
from dedup.bloom.distinct_counter import DistinctCounter
from dedup.bloom.file_format import MAGIC
from dedup.hashes import splitmix64

ITEMS = splitmix64(np.arange(1000, dtype=np.uint64))
WRONG = [
    np.arange(1000),
    np.arange(-3, 3),
    ITEMS.astype(">u8"),
    ITEMS.astype(np.uint32),
    ITEMS.astype(float),
    ITEMS.astype(object),
    np.array(["a"]),
    np.array([]),  # float64
    ITEMS.reshape(10, 100),
    np.uint64(3),
    np.array(3, np.uint64),
    ITEMS.tolist(),
    [],
    None,
    7,
]


def named(value: Any) -> str:
    return f"{getattr(value, 'dtype', type(value).__name__)}-{getattr(value, 'shape', '')}"


@pytest.mark.parametrize("numba", [True, False])
@pytest.mark.parametrize("values", WRONG, ids=named)
def test_items_of_other_types_and_shapes(values: Any, numba: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not numba:
        for module in ("bloom_filter", "distinct_counter"):
            monkeypatch.setattr(f"dedup.bloom.{module}.has_numba", lambda: False)
    filter_, counter = BloomFilter(100, 2), DistinctCounter()
    for work in (filter_.add, filter_.contains):
        with pytest.raises(BloomFilterError, match=r"^hashes must be .* uint64, found [^\n]*$"):
            work(values)
    with pytest.raises(ValueError, match=r"^hashes must be .* uint64, found [^\n]*$"):
        counter.add(values)
    assert not filter_.words.any()
    assert not counter.registers.any()


def test_items_as_they_come() -> None:
    """Read-only, strided, reversed and no items are items."""
    filter_, whole = BloomFilter(100, 2), BloomFilter(100, 2)
    whole.add(ITEMS)
    frozen = ITEMS.copy()
    frozen.setflags(write=False)
    table = np.zeros((len(ITEMS), 3), np.uint64)
    table[:, 1] = ITEMS
    counters = [DistinctCounter() for _ in range(3)]
    for counter, items in zip(counters, (frozen[:0], ITEMS[::-1][::2], table[:, 1]), strict=True):
        filter_.add(items)
        counter.add(items)
        assert filter_.contains(items).all()
        assert filter_.contains(items).shape == items.shape
    filter_.add(frozen)
    assert filter_.words.tobytes() == whole.words.tobytes()
    assert counters[0].count() == 0
    assert 480 < counters[1].count() < 520 < counters[2].count()


@pytest.mark.parametrize(
    "words",
    [
        np.zeros(799, np.uint64),
        np.zeros(801, np.uint64),
        np.zeros(0, np.uint64),
        np.zeros((100, 8), np.uint64),
        np.zeros(800, np.int64),
        np.zeros(800, ">u8"),
        [0] * 800,
        bytes(6400),
    ],
    ids=named,
)
def test_words_of_another_size_or_type(words: Any) -> None:
    with pytest.raises(BloomFilterError, match=r"words .* \(800,\).* uint64"):
        BloomFilter(100, 2, words=words)
    filter_ = BloomFilter(100, 2)
    with pytest.raises(BloomFilterError, match=r"words .* \(800,\).* uint64"):
        filter_.words = words
    filter_.add(ITEMS[:5])
    assert filter_.contains(ITEMS[:5]).all()


def test_words_of_any_layout() -> None:
    strided = np.zeros(1600, np.uint64)[::2]
    filter_, expected = BloomFilter(100, 2, words=strided), BloomFilter(100, 2)
    for one in (filter_, expected):
        one.add(ITEMS)
    assert np.array_equal(filter_.words, expected.words)


@pytest.mark.parametrize("numba", [True, False])
def test_read_only_filters(tmp_path: Path, numba: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file mapped to memory can be asked, not changed, until its words are copied."""
    if not numba:
        monkeypatch.setattr("dedup.bloom.bloom_filter.has_numba", lambda: False)
    filter_ = BloomFilter(100, 2)
    filter_.add(ITEMS[:500])
    filter_.save(str(tmp_path / "filter"))
    loaded = BloomFilter.load(str(tmp_path / "filter"))
    with pytest.raises(BloomFilterError, match=r"read-only.*filter\.words\.copy\(\)"):
        loaded.add(ITEMS)
    with pytest.raises(BloomFilterError, match="read-only"):
        loaded |= filter_
    assert loaded.contains(ITEMS[:500]).all()
    filter_ |= loaded
    loaded.words = loaded.words.copy()
    loaded.add(ITEMS)
    assert loaded.contains(ITEMS).all()
    assert not filter_.contains(ITEMS).all()


@pytest.mark.parametrize(
    "sizes", [(0, 1), (1, 0), (-1, 1), (1, -2), (1, 65), (2.0, 1), (1, 1.5), ("3", 1), (None, 1), (True, 1)]
)
def test_sizes_that_are_none(sizes: Any) -> None:
    with pytest.raises(BloomFilterError, match=r"n_blocks|blocks_per_item"):
        BloomFilter(*sizes)


def test_n_blocks_is_that_of_the_words() -> None:
    filter_ = BloomFilter(100, 2)
    with pytest.raises(AttributeError):
        filter_.n_blocks = 1000  # type: ignore[misc]


def test_counts_and_rates_that_are_none() -> None:
    with pytest.raises(BloomFilterError, match="negative"):
        BloomFilter.sized(-1, 1e-3)
    with pytest.raises(BloomFilterError, match="between 0 and 1"):
        BloomFilter.sized(1, float("nan"))
    assert BloomFilter.sized(0, 1e-3).n_blocks > 0


def test_descriptions_are_json(tmp_path: Path) -> None:
    with pytest.raises(BloomFilterError, match="about"):
        BloomFilter(1, 1, {"n": {1, 2}})
    filter_ = BloomFilter(1, 1, {"range": (1, 2)})
    filter_.save(str(tmp_path / "filter"))
    loaded = BloomFilter.load(str(tmp_path / "filter"), {"range": (1, 2)})
    filter_ |= loaded


def test_others_are_no_filters() -> None:
    filter_: Any = BloomFilter(1, 1)
    with pytest.raises(TypeError):
        filter_ |= {1, 2}


HEADER = {"version": 3, "n_blocks": 2, "blocks_per_item": 3, "about": {}}


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b"\xff\xfe",
        b"3",
        b"[]",
        b"{}",
        *(
            json.dumps({**HEADER, **changed}).encode()
            for changed in (
                {"n_blocks": 0},
                {"n_blocks": -2},
                {"n_blocks": "2"},
                {"n_blocks": 2.0},
                {"n_blocks": None},
                {"n_blocks": True},
                {"blocks_per_item": 0},
                {"blocks_per_item": 10**30},
                {"about": None},
                {"about": []},
            )
        ),
        json.dumps({k: v for k, v in HEADER.items() if k != "about"}).encode(),
    ],
    ids=lambda header: header[:60].decode("latin-1"),
)
def test_headers_that_say_nothing_sensible(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "filter"
    start = MAGIC + struct.pack("<I", len(header)) + header
    path.write_bytes(start + bytes(-len(start) % 4096) + bytes(128))
    with pytest.raises(BloomFilterError, match=r"^[^\n]*filter: the header .* damaged[^\n]*$"):
        BloomFilter.load(str(path))


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("change", [-1, 1, 64, 1 << 20])
def test_files_of_another_size(tmp_path: Path, memory: bool, change: int) -> None:
    import fsspec

    BloomFilter(2, 3).save(str(tmp_path / "filter"))
    whole = (tmp_path / "filter").read_bytes()
    url = f"memory://{tmp_path.name}/filter" if memory else str(tmp_path / "changed")
    with fsspec.open(url, "wb") as file:
        file.write(whole[:change] if change < 0 else whole + bytes(change))
    with pytest.raises(BloomFilterError, match=rf"{len(whole) + change} bytes, expected {len(whole)}"):
        BloomFilter.load(url)


def test_a_header_longer_than_any(tmp_path: Path) -> None:
    (tmp_path / "filter").write_bytes(MAGIC + struct.pack("<I", 2**32 - 1) + b"{}")
    with pytest.raises(BloomFilterError, match="damaged"):
        BloomFilter.load(str(tmp_path / "filter"))


@pytest.mark.parametrize(
    "registers",
    [np.zeros(65535, np.int8), np.zeros(65536), np.zeros((256, 256), np.int8), [0] * 65536],
    ids=named,
)
def test_registers_of_another_size_or_type(registers: Any) -> None:
    with pytest.raises(ValueError, match=r"registers .* \(65536,\).* int8"):
        DistinctCounter(registers)


def test_read_only_registers() -> None:
    registers = np.zeros(1 << 16, np.int8)
    registers.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        DistinctCounter(registers).add(ITEMS)
    assert (DistinctCounter(registers) | DistinctCounter()).count() == 0
