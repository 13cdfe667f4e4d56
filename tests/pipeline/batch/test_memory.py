"""A worker's memory depends on the size of a partition, not on how many there are."""

import random
import re
from pathlib import Path

import dask
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from distributed import Client, LocalCluster

from pipeline import configuration
from pipeline.batch.frames import PARTITION, read_frame, shuffle, to_arrow, write_frame
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.settings import Settings

SCHEMA = pa.schema([PARTITION, ("body", pa.binary())])
ROWS, SIZE = 1_000, 8_192  # 8 MB a partition


def made(partition: Partition) -> Output:
    numbers = random.Random(partition.number)
    rows = {
        "partition": [numbers.randrange(2**30) for _ in range(ROWS)],
        "body": [numbers.randbytes(SIZE) for _ in range(ROWS)],
    }
    return Output(pa.table(rows, schema=SCHEMA), {})


def read(part: tuple[Table, int, int]) -> pa.Table:
    table, number, count = part
    rows = table.read(number)
    places = [place % count for place in rows["partition"].to_pylist()]
    return rows.set_column(0, PARTITION, pa.array(places, pa.int64()))


def gathered(rows: pd.DataFrame, partition: Partition) -> Output:
    return Output(to_arrow(rows, SCHEMA), {})


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024


@pytest.mark.skipif(not psutil.LINUX, reason="the kernel tells a process's peak on Linux")
def test_four_times_the_data_need_no_more_memory(tmp_path: Path) -> None:
    """The partitions of a stage, and their rows on the way to other partitions: 64 MB of them, then 256 MB.

    The shuffle's buffers are smaller than in the project's configuration, so that the smaller run fills them.
    """
    configuration.load()
    peaks = []
    with (
        dask.config.set({"distributed.p2p.comm.buffer": "8 MiB", "distributed.p2p.storage.buffer": "8 MiB"}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        for count in (8, 32):
            corpus = Corpus.create(str(tmp_path / str(count)))
            run = Run(corpus, "b", Settings(), client, Progress(client))
            map_partitions(run, "made", made, into="made", inputs=range(count), settings=0)
            rows = read_frame(read, [(run.table("made"), number, count) for number in range(count)], SCHEMA)
            seal = write_frame(run, "moved", shuffle(rows, count), gathered, into="moved", key="k")
            assert seal.rows == count * ROWS
            (most,) = client.run(peak).values()
            peaks.append(most)
    assert peaks[1] - peaks[0] < 96 * 2**20, f"{peaks}: of the 192 MB more it held too much"
