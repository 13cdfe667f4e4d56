"""Stages on a real Dask cluster of processes: mapping, shuffling, sealing, resuming."""

import os
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from dask import dataframe as dd
from distributed import Client, Scheduler

from pipeline.batch.frames import PARTITION, persist, read_frame, shuffle, to_arrow, write_frame
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Manifest, Table
from pipeline.errors import UserError
from pipeline.settings import Settings

SCHEMA = pa.schema([("n", pa.int64()), PARTITION])


@pytest.fixture
def run(client: Client, tmp_path: Path) -> Run:
    return Run(Corpus.create(str(tmp_path / "corpus")), "b", Settings(), client, Progress(client))


def numbers(partition: Partition, marks: Path) -> Output:
    (marks / f"{partition.number}").write_text(str(len(list(marks.iterdir()))))
    values = [partition.number * 10 + i for i in range(10)]
    table = pa.table({"n": values, "partition": [value % 3 for value in values]}, schema=SCHEMA)
    extra = partition.scratch / "x.txt"
    extra.write_text("x")
    return Output(table, {"numbers": {"ok": 10}}, {f"numbers/b/extra/{partition.number}.txt": extra})


def keep(pandas, partition: Partition) -> Output:
    table = to_arrow(pandas, SCHEMA).sort_by("n")
    assert set(table["partition"].to_pylist()) <= {partition.number}
    return Output(table, {"moved": {"ok": len(table)}})


def read(part: tuple[Table, int]) -> pa.Table:
    return part[0].read(part[1])


def test_a_table_is_made_once_and_again_only_where_it_is_damaged(run: Run, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    work = partial(numbers, marks=marks)

    def make(settings: int) -> set[str]:
        for mark in marks.iterdir():
            mark.unlink()
        seal = map_partitions(run, "numbers", work, into="numbers", inputs=["a", "b", "c"], settings=settings)
        assert seal.rows == 30
        assert seal.counts == {"numbers": {"ok": 30}}
        return {mark.name for mark in marks.iterdir()}

    directory = Path(run.corpus.path("numbers/b"))
    assert make(1) == {"0", "1", "2"}
    assert make(1) == set()
    (directory / "_manifests/table.json").unlink()
    assert make(1) == set(), "the partitions were whole"

    (directory / "_manifests/table.json").write_text("{")
    (directory / "part-00000.parquet").write_bytes(b"short")
    (directory / "_manifests/00001.json").write_text('{"key":')
    (directory / "extra/2.txt").unlink()
    assert make(1) == {"0", "1", "2"}, "a wrong size, a broken manifest, a missing file"
    assert make(2) == {"0", "1", "2"}, "other settings"


def test_the_seal_removes_what_earlier_attempts_left(run: Run, tmp_path: Path) -> None:
    work = partial(numbers, marks=tmp_path)
    map_partitions(run, "numbers", work, into="numbers", inputs=[1, 2, 3, 4], settings=1)
    directory = Path(run.corpus.path("numbers/b"))
    (directory / ".part-00000.parquet.0.tmp").write_bytes(b"killed")
    map_partitions(run, "numbers", work, into="numbers", inputs=[1, 2], settings=2)
    assert sorted(path.name for path in directory.iterdir()) == [
        "_manifests",
        "extra",
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert len(list((directory / "_manifests").iterdir())) == 3


def test_rows_move_to_the_partition_they_name(run: Run, tmp_path: Path) -> None:
    map_partitions(
        run, "numbers", partial(numbers, marks=tmp_path), into="numbers", inputs=[1, 2, 3, 4], settings=1
    )
    rows = read_frame(read, [(run.table("numbers"), number) for number in range(4)], SCHEMA)
    seal = write_frame(run, "moved", shuffle(rows, 5), keep, into="moved", key="k")
    assert [part.rows for part in seal.parts] == [14, 13, 13, 0, 0]
    assert sorted(run.table("moved").read(1)["n"].to_pylist()) == [n for n in range(40) if n % 3 == 1]
    assert write_frame(run, "moved", shuffle(rows, 5), keep, into="moved", key="k") == seal


def test_an_error_in_a_task_ends_the_stage(run: Run) -> None:
    with pytest.raises(ZeroDivisionError):
        map_partitions(run, "broken", broken, into="broken", inputs=[1, 2], settings=1)
    assert run.table("broken").sealed() is None


def dies(rows: pd.DataFrame) -> pd.DataFrame:
    os._exit(1)


def test_an_intermediate_frame_is_held_and_the_death_of_workers_is_told(run: Run) -> None:
    rows = dd.from_pandas(pd.DataFrame({"n": range(20)}), npartitions=4)
    held = persist(run, "numbers", rows, "moved")
    assert held.npartitions == 4
    assert len(held) == 20
    run.client.run_on_scheduler(allow_no_failure)
    with pytest.raises(UserError, match=r"stage numbers: .* when they died"):
        persist(run, "numbers", rows.map_partitions(dies, meta=rows), "moved")
    run.client.wait_for_workers(2)


def allow_no_failure(dask_scheduler: Scheduler) -> None:
    dask_scheduler.allowed_failures = 0


def broken(partition: Partition) -> Output:
    raise ZeroDivisionError(partition.number)


def test_a_manifest_says_what_it_is_made_from(run: Run, tmp_path: Path) -> None:
    seal = map_partitions(
        run, "numbers", partial(numbers, marks=tmp_path), into="numbers", inputs=[1], settings=1
    )
    manifest: Manifest = seal.parts[0]
    assert set(manifest.files) == {"numbers/b/part-00000.parquet", "numbers/b/extra/0.txt"}
    assert {"python", "pyarrow"} <= set(manifest.versions)
    assert len(manifest.checksum) == 32
