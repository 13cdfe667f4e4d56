"""Texts from files of other people."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from shards.texts import TextFiles

ROWS: list[Any] = [{"id": n, "text": f"line {n}\n – 中文", "more": {"a": [n]}} for n in range(3000)]
DATA = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
WANT = [(str(row["id"]), "", row["text"]) for row in ROWS]


def long_window(data: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


COMPRESS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": long_window}


def read(*paths: Path | str, **fields: str) -> list[tuple[str | None, str, str]]:
    return list(TextFiles(map(str, paths), **{"text": "text", **fields}))


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_lines_of_several_streams(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.jsonl.{suffix}"
    middle = len(DATA) // 2
    path.write_bytes(COMPRESS[suffix](DATA[:middle]) + COMPRESS[suffix](DATA[middle:]))
    assert read(path, id="id") == WANT


@pytest.mark.parametrize("suffix", COMPRESS)
def test_truncated_and_damaged(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.jsonl.{suffix}"
    data = COMPRESS[suffix](DATA)
    path.write_bytes(data[:-20])
    with pytest.raises(ValueError, match=f"{suffix}: cannot be read: the compressed file is trunc"):
        read(path)
    path.write_bytes(b"plain text" * 10)
    with pytest.raises(ValueError, match=f"a.jsonl.{suffix}: cannot be read: "):
        read(path)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert read(path, id="id") == WANT
    assert read(path) == [(None, "", text) for _, _, text in WANT]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"a.parquet: not a readable Parquet file"):
        read(path)


def test_records_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "id": "x"}',
        '{"text": null, "id": "y"}',
        '{"text": "", "id": "y"}',
        '{"text": 3, "id": "y"}',
        '{"text": "b"}',
        "[1]",
        "{",
        "",
        '{"text": "c", "id": 7}',
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes("\r\n".join(lines).encode() + b"\n\xff\n")
    found = TextFiles([str(path)], text="text", id="id")
    assert list(found) == [("x", "", "a"), ("7", "", "c")]
    assert found.skipped == {"no text in 'text'": 3, "no id in 'id'": 1, "not a JSON object": 3}


def test_one_field_for_two_things(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "link": "l"}\n{"text": "b", "link": "m"}')
    assert read(path, id="link", url="link") == [("l", "l", "a"), ("m", "m", "b")]


def test_paths(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/c.json", "a/d.txt", "_notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"text": name}))
    names = [text for _, _, text in read(tmp_path)]
    assert names == ["a/c.json", "b.jsonl"]
    assert [text for _, _, text in read(tmp_path / "*.jsonl", tmp_path)] == ["b.jsonl", "a/c.json"]
    memory = fsspec.filesystem("memory")
    memory.pipe("/texts-test/b.jsonl", b'{"text": "from memory"}')
    try:
        assert [text for _, _, text in read("memory://texts-test/*", tmp_path / "b.jsonl")] == [
            "from memory",
            "b.jsonl",
        ]
    finally:
        memory.rm("/texts-test", recursive=True)
    with pytest.raises(FileNotFoundError, match=r"missing.jsonl: no Parquet or JSON Lines files here"):
        read(tmp_path / "missing.jsonl")
    with pytest.raises(ValueError, match=r"d.txt: unknown format, expected .parquet, .jsonl"):
        read(tmp_path / "a" / "d.txt")
