"""Files cut into partitions."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup.files import FileError, find_files
from dedup.minhash import inputs

TABLE = pa.table({"text": [f"text {number}" for number in range(20)], "number": list(range(20))})


def read(parts: list[inputs.InputPartition]) -> pa.Table:
    return pa.concat_tables([part.read(TABLE.schema) for part in parts])


@pytest.mark.parametrize(
    ("group", "sizes"), [(3, [6, 6, 6, 2]), (7, [7, 7, 6]), (8, [7, 7, 6]), (20, [7, 7, 6])]
)
def test_parquet(tmp_path: Path, group: int, sizes: list[int]) -> None:
    path = str(tmp_path / "in.parquet")
    pq.write_table(TABLE, path, row_group_size=group)
    parts = inputs.cut(path, 3, str(tmp_path / "copy"), 7)
    assert read(parts).equals(TABLE)
    assert [part.read(TABLE.schema).num_rows for part in parts] == sizes
    assert [number for part in parts for number in part.numbers()] == list(range(20))
    assert {part.file for part in parts} == {3}
    assert parts[1].place(2) == f"{path}, row {sizes[0] + 3}"
    copies = sorted(file.name for file in tmp_path.glob("copy*"))
    assert len(copies) == (len(parts) if group > 7 else 0), "small row groups are read where they are"


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson.gz", ".json"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    lines = [json.dumps(row) for row in TABLE.to_pylist()]
    lines[4:4] = ["", " "]
    data = b"\xef\xbb\xbf" + "\n".join(lines).encode()
    path = tmp_path / f"in{suffix}"
    path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    parts = inputs.cut(str(path), 0, str(tmp_path / "copy"), 6)
    assert read(parts).equals(TABLE)
    assert [len(part.numbers()) for part in parts] == [6, 6, 6, 2]
    assert [number for part in parts for number in part.numbers()] == [*range(4), *range(6, 22)]
    assert parts[0].place(4) == f"{path}, line 7"


def test_files_without_documents(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "empty.parquet")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    for name in ("empty.parquet", "empty.jsonl"):
        assert inputs.cut(str(tmp_path / name), 0, str(tmp_path / "copy"), 6) == []


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for name, data, message in (
        ("a.txt", b"text", "expected Parquet or JSON Lines"),
        ("a.parquet.gz", b"", "expected Parquet or JSON Lines"),
        ("a.parquet", b"no parquet at all", "a.parquet: "),
        ("a.jsonl.zst", b"no zstd", "damaged or cut off"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileError, match=message):
            inputs.cut(str(tmp_path / name), 0, str(tmp_path / "copy"), 6)


def test_finding_files(tmp_path: Path) -> None:
    for name in ("b.jsonl.zst", "a.parquet", "x/c.jsonl", "notes.txt", "_metadata.parquet", "odd[1].jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def found(url: str) -> list[str]:
        return [str(Path(file).relative_to(tmp_path)) for file in find_files(url, inputs.SUFFIXES)]

    assert found(str(tmp_path)) == ["a.parquet", "b.jsonl.zst", "odd[1].jsonl", "x/c.jsonl"]
    assert found(f"{tmp_path}/*.jsonl*") == ["b.jsonl.zst", "odd[1].jsonl"]
    assert found(f"{tmp_path}/odd[1].jsonl") == ["odd[1].jsonl"]
    assert found(f"file://{tmp_path}/notes.txt") == ["notes.txt"], "named: taken whatever its name"
    with pytest.raises(FileNotFoundError, match=r"none\*: no such file"):
        found(f"{tmp_path}/none*")
    with pytest.raises(ValueError, match="Protocol not known"):
        find_files("nowhere://bucket/a", inputs.SUFFIXES)
