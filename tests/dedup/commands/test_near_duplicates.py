"""`python -m dedup` on files: what it writes, whatever the workers and partitions, and what it refuses."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from dedup import near_duplicates
from dedup.__main__ import main
from tests import prose, s3
from tests.shared import SHARED, private

WORDS = [f"word{number}" for number in range(400)]


def documents(count: int = 60) -> list[dict[str, Any]]:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=80)) for _ in range(count)]
    for copy in range(5, count, 5):
        words = texts[rng.randrange(copy)].split()
        words[3:3] = [["again"], [], ["and", "again"]][copy % 3]
        texts[copy] = " ".join(words).upper()
    texts[7] = texts[8] = ""
    return [
        {"name": f"n{number:03}", "body": text, "score": number % 7, "extra": {"a": [number]}}
        for number, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in documents()), encoding="utf-8")
    return path


def rows(directory: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(directory.iterdir()) for row in pq.read_table(path).to_pylist()]


def run(scheduler: str, *arguments: object) -> int:
    return main([*map(str, arguments), "--scheduler", scheduler])


def test_what_is_kept(
    scheduler: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run(scheduler, source, output, "--text", "body", "--rows", 25) == 0
    original = documents()
    keepers = near_duplicates([row["body"] for row in original]).tolist()
    kept = [row for number, row in enumerate(original) if keepers[number] == number]
    assert rows(output) == kept
    assert 45 < len(kept) < 60
    assert sorted(path.name for path in output.iterdir()) == [
        f"part-{number:05}.parquet" for number in range(3)
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["documents", "60", "100.0%"]
    assert lines[1].split()[:2] == ["kept", str(len(kept))]
    dropped = sum(int(line.split()[-2]) for line in lines[2:4])
    assert dropped == 60 - len(kept)
    assert "documents/s" in lines[4]


def test_annotated(scheduler: str, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(scheduler, source, output, "--text", "body", "--annotate", "--rows", 25) == 0
    found = rows(output)
    assert list(found[0]) == ["name", "body", "score", "extra", "doc_id", "keeper", "similarity"]
    assert [{name: row[name] for name in documents()[0]} for row in found] == documents()
    position = {row["doc_id"]: number for number, row in enumerate(found)}
    keepers = near_duplicates([row["body"] for row in found]).tolist()
    assert [position[row["keeper"]] for row in found] == keepers
    for number, row in enumerate(found):
        assert (row["similarity"] is None) == (keepers[number] == number)
        assert row["similarity"] is None or 0.7 <= row["similarity"] <= 1


def test_the_priority_and_the_id_decide(scheduler: str, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    fields = ("--text", "body", "--id", "name", "--priority", "score", "--annotate")
    assert run(scheduler, source, output, *fields) == 0
    found = {row["name"]: row for row in rows(output)}
    assert "doc_id" not in found["n000"]
    clusters: dict[str, list[dict[str, Any]]] = {}
    for row in found.values():
        clusters.setdefault(row["keeper"], []).append(row)
    assert any(len(members) > 1 for members in clusters.values())
    for keeper, members in clusters.items():
        assert keeper == min(members, key=lambda row: (-row["score"], row["name"]))["name"]


@pytest.mark.parametrize("number_of_rows", [7, 1000])
def test_rows_files_and_workers_do_not_matter(
    scheduler: str, source: Path, tmp_path: Path, number_of_rows: int
) -> None:
    fields = ("--text", "body", "--id", "name", "--annotate", "--rows", number_of_rows)
    assert run(scheduler, source, tmp_path / "one", *fields) == 0
    table = pa.Table.from_pylist(documents())
    inputs = tmp_path / "in"
    inputs.mkdir()
    pq.write_table(table.slice(0, 23), inputs / "a.parquet", row_group_size=9)
    pq.write_table(table.slice(23), inputs / "b.parquet")
    assert main([str(inputs), str(tmp_path / "two"), *map(str, fields), "--workers", "2"]) == 0
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_numeric_ids_stay_numbers(scheduler: str, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": [5, 6, 7], "t": ["a b c", "A b, c", None]}), source)
    assert run(scheduler, source, tmp_path / "out", "--text", "t", "--id", "id", "--annotate") == 0
    table = pq.read_table(tmp_path / "out/part-00000.parquet")
    assert table["keeper"].to_pylist() == [5, 5, 7]
    assert table["keeper"].type == pa.int64()
    assert table["similarity"].to_pylist() == [None, 1.0, None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "txt"], "no field 'txt' in the input; it has name, body, score, extra"),
        (["--text", "body", "--id", "nam"], "no field 'nam'"),
        (["--text", "body", "--id", "score"], "in.jsonl, line 1 and "),
        (["--text", "body", "--priority", "name"], "in.jsonl, line 1 and after: 'name' as double"),
        (["--text", "body", "--threshold", "1.5"], "no banding"),
    ],
)
def test_what_is_refused(
    scheduler: str,
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    output = tmp_path / "out"
    assert run(scheduler, source, output, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("dedup: ")
    assert error.count("\n") == 1
    assert not output.exists() or not list(output.iterdir()), "nothing half-written"


def test_a_directory_that_is_not_empty_is_left_alone(
    scheduler: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("precious")
    assert run(scheduler, source, tmp_path, "--text", "body") == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "precious"
    assert run(scheduler, source, tmp_path / "mine", "--text", "body") == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name": "x"', "in.jsonl, line 61: not JSON"),
        ('{"body": "no id"}', "in.jsonl, line 61: no 'name'; every document needs an id"),
        ('{"name": "n010"}', "id 'n010' is not unique: "),
    ],
)
def test_a_bad_line_is_named(
    scheduler: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    source.write_text(source.read_text() + line + "\n")
    assert run(scheduler, source, tmp_path / "out", "--text", "body", "--id", "name", "--rows", 9) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "_temporary" not in error


def test_no_documents_no_files_no_scheduler(
    scheduler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert run(scheduler, tmp_path / "empty.jsonl", tmp_path / "out", "--text", "t") == 2
    assert "no documents in " in capsys.readouterr().err
    assert run(scheduler, tmp_path / "none.jsonl", tmp_path / "out", "--text", "t") == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err
    arguments = [str(tmp_path / "empty.jsonl"), str(tmp_path / "out"), "--text", "t"]
    assert main([*arguments, "--scheduler", "nowhere"]) == 2
    assert "nowhere: no Dask scheduler answers there" in capsys.readouterr().err


def test_in_a_bucket(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ("--text", "body", "--id", "name", "--workers", "1", "--rows", "25")
    assert main([str(source), str(tmp_path / "local"), *fields]) == 0
    with s3.server(tmp_path):
        bucket = fsspec.filesystem("s3")
        bucket.mkdir("bucket")
        bucket.put_file(str(source), "bucket/in/a.jsonl")
        assert main(["s3://bucket/in", "s3://bucket/out", *fields]) == 0
        bucket.invalidate_cache()
        assert len(bucket.find("bucket/out")) == 3
        bucket.get("bucket/out/", f"{tmp_path}/remote/", recursive=True)
        assert main(["s3://bucket/in/*.jsonl", "s3://bucket/out", *fields]) == 2
        assert "exists and is not empty" in capsys.readouterr().err
        assert main(["s3://nobody/in", "s3://bucket/other", *fields]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert rows(tmp_path / "remote") == rows(tmp_path / "local")


def sample(directory: Path) -> Path:
    """The demo's prose, in which eight texts are copies of others."""
    path = directory / "prose.jsonl"
    rows = [{"id": name, "selftext": text} for name, text in prose.texts().items()]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "documents", "duplicates"),
    [(sample, "81", 8), *private((lambda _: SHARED / "text/selfposts.ndjson.zst", "28,594", 46))],
)
def test_natural_texts(
    scheduler: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: Callable[[Path], Path],
    documents: str,
    duplicates: int,
) -> None:
    options = ("--text", "selftext", "--id", "id")
    assert run(scheduler, source(tmp_path), tmp_path / "out", *options) == 0
    found = dict(line.rsplit(maxsplit=2)[:2] for line in capsys.readouterr().out.splitlines()[:4])
    assert found["documents"] == documents
    assert int(found["exact duplicates"]) + int(found["near-duplicates"]) == duplicates
