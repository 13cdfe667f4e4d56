import io
import json
import struct
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

from shards import export
from shards.reader import read_documents, read_texts
from tests.shards.corpora import make_batch

TRAIN, HELDOUT = [[30, 40, 5], [60, 9, 1]], [[20, 7]]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    make_batch(tmp_path / "shards" / "train" / "b", TRAIN)
    make_batch(tmp_path / "shards" / "heldout" / "b", HELDOUT, split="heldout", first=1000)
    return tmp_path / "shards"


def documents(path: Path) -> list[list[int]]:
    return [ids.tolist() for _, _, ids in read_documents(str(path))]


def test_nanogpt(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(shards), str(tmp_path / "out")]) == 0
    made = [tmp_path / "out" / name for name in ("val.bin", "train.bin")]
    assert capsys.readouterr().out.split() == [str(path) for path in made]
    assert sorted((tmp_path / "out").iterdir()) == sorted(made)
    for path, split in zip(made, ("heldout", "train"), strict=True):
        data = np.memmap(path, dtype=np.uint16, mode="r")  # as nanoGPT's train.py reads it
        assert data.tolist() == [id for ids in documents(shards / split) for id in ids]


class IndexedDataset:
    """The reading side of Megatron-LM's format, by its own description."""

    def __init__(self, prefix: Path) -> None:
        index = io.BytesIO(prefix.with_suffix(".idx").read_bytes())
        assert index.read(9) == b"MMIDIDX\x00\x00"
        assert struct.unpack("<Q", index.read(8)) == (1,)
        [code] = struct.unpack("<B", index.read(1))
        self.dtype = {4: np.dtype(np.int32), 8: np.dtype(np.uint16)}[code]
        (n_sequences, n_documents) = struct.unpack("<QQ", index.read(16))
        self.lengths = np.frombuffer(index.read(4 * n_sequences), np.int32)
        self.pointers = np.frombuffer(index.read(8 * n_sequences), np.int64)
        self.documents = np.frombuffer(index.read(8 * n_documents), np.int64)
        assert not index.read()
        self.data = prefix.with_suffix(".bin").read_bytes()

    def __getitem__(self, n: int) -> Any:
        return np.frombuffer(self.data, self.dtype, self.lengths[n], self.pointers[n])


def test_megatron(shards: Path, tmp_path: Path) -> None:
    export.export(str(shards), str(tmp_path / "out"), "megatron")
    for split in ("train", "heldout"):
        dataset = IndexedDataset(tmp_path / "out" / split)
        want = documents(shards / split)
        assert [dataset[n].tolist() for n in range(len(want))] == want
        assert dataset.documents.tolist() == list(range(len(want) + 1))
        assert len(dataset.data) == 2 * sum(map(len, want))


@pytest.mark.parametrize("to", ["jsonl", "jsonl.zst"])
def test_jsonl(to: str, shards: Path, tmp_path: Path) -> None:
    export.export(str(shards / "train"), str(tmp_path / "out"), to)
    data = (tmp_path / "out" / f"train.{to}").read_bytes()
    if to == "jsonl.zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    rows = [json.loads(line) for line in data.decode().splitlines()]
    assert [tuple(row.values()) for row in rows] == list(read_texts(str(shards / "train")))
    assert list(rows[0]) == ["doc_id", "url", "text"]


def test_to_any_fsspec_path(shards: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    try:
        export.export(str(shards), "memory://export-test", "nanogpt")
        export.export(str(shards), str(tmp_path), "nanogpt")
        assert memory.cat_file("/export-test/train.bin") == (tmp_path / "train.bin").read_bytes()
        assert len(memory.ls("/export-test")) == 2
    finally:
        memory.rm("/export-test", recursive=True)


def test_nothing_half_written(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert "no shards" in capsys.readouterr().err
    last = sorted((shards / "train" / "b").glob("*.parquet"))[-1]
    data = bytearray(last.read_bytes())
    column = pq.ParquetFile(last).metadata.row_group(0).column(3)
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    last.write_bytes(data)
    assert export.main([str(shards), str(tmp_path / "out")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["val.bin"]


def test_no_documents(tmp_path: Path) -> None:
    make_batch(tmp_path / "train", [[]])
    for to in export.FORMATS:
        assert export.export(str(tmp_path / "train"), str(tmp_path / "out"), to)
    assert (tmp_path / "out" / "train.bin").read_bytes() == b""
    assert IndexedDataset(tmp_path / "out" / "train").documents.tolist() == [0]
