"""Dask DataFrames between the tables of a batch, for the stages that bring rows of all partitions together.

Read tables into a frame (`read_frame`), move its rows (`shuffle`), commit the partitions of the result as a
table (`write_frame`).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
from distributed import as_completed, futures_of

from pipeline.batch.stage import Output, Partition, Run, commit, lost_workers_as_user_error
from pipeline.corpus.partitions import Manifest, Seal, Table

__all__ = [
    "PARTITION",
    "partitions_for",
    "persist",
    "read_frame",
    "shuffle",
    "to_arrow",
    "to_pandas",
    "write_frame",
]

T = TypeVar("T")

PARTITION = pa.field("partition", pa.int64())  # the column that says where `shuffle` moves a row


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The table as a data frame of Arrow types. Dask's shuffle loses list columns: leave them out."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def to_arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """The columns of a data frame that `schema` names, with its types; the index is left out."""
    return pa.Table.from_pandas(
        frame[schema.names], schema=schema, preserve_index=False
    ).replace_schema_metadata()


def read_frame(read: Callable[[T], pa.Table], items: Sequence[T], schema: pa.Schema) -> dd.DataFrame:
    """A Dask DataFrame with one partition for each item: `read(item)`, called on the workers, of `schema`."""
    meta = to_pandas(schema.empty_table())
    if not items:
        return dd.from_pandas(meta, npartitions=1)
    return dd.from_map(_read, list(items), read=read, meta=meta, enforce_metadata=False)


def _read(item: T, read: Callable[[T], pa.Table]) -> pd.DataFrame:
    return to_pandas(read(item))


def shuffle(frame: dd.DataFrame, partitions: int) -> dd.DataFrame:
    """Moves every row to the partition that its column `partition` names, by Dask's p2p shuffle.

    Holds in memory one partition of the result at a time; the rest is on the workers' disks.
    """
    column = PARTITION.name
    numbered = frame.assign(**{column: frame[column].astype("int64")})
    return numbered.set_index(column, divisions=tuple(range(partitions + 1)), drop=False)


def persist(run: Run, stage: str, frame: dd.DataFrame, step: str) -> dd.DataFrame:
    """Computes an intermediate frame of a stage and keeps it on the workers.

    step: names it in the terminal, where it has a progress bar of its own.
    """
    held = run.client.persist(frame, retries=1)
    with (
        run.progress.stage(stage, total=held.npartitions, step=step) as progress,
        lost_workers_as_user_error(stage),
    ):
        for future in as_completed(futures_of(held)):
            if future.status != "finished":
                future.result()  # raises; the result of a finished one stays where it is
            progress.advance({})
    return held


def write_frame(
    run: Run,
    stage: str,
    frame: dd.DataFrame,
    convert: Callable[[pd.DataFrame, Partition], Output],
    *,
    into: str,
    key: str,
) -> Seal:
    """Makes the table `into` from a Dask DataFrame, partition by partition: all of them or none.

    convert: in a worker, turns a partition of the frame into what is stored. key: identifies the inputs and
    settings; a table that is sealed with the same key is left as it is.
    """
    table = run.table(into)
    if seal := table.sealed(key):
        return seal
    meta = pd.DataFrame({"number": pd.Series(dtype="int64"), "manifest": pd.Series(dtype="object")})
    result = frame.map_partitions(
        _commit, table=table, stage=stage, key=key, convert=convert, meta=meta, enforce_metadata=False
    )
    with run.progress.stage(stage, total=frame.npartitions) as progress:
        futures = futures_of(run.client.persist(result, retries=1))
        parts: dict[int, Manifest] = {}
        try:
            with lost_workers_as_user_error(stage):
                for future in as_completed(futures):
                    for row in future.result().itertuples():
                        manifest = Manifest(**json.loads(row.manifest))
                        parts[int(row.number)] = manifest
                        progress.advance(manifest.counts)
        finally:
            run.client.cancel(futures, force=True)
    return table.seal(key, [parts[number] for number in range(frame.npartitions)])


def _commit(
    frame: pd.DataFrame,
    table: Table,
    stage: str,
    key: str,
    convert: Callable[[pd.DataFrame, Partition], Output],
    partition_info: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    number = int((partition_info or {})["number"])
    manifest = commit(table, stage, number, key, partial(convert, frame))
    return pd.DataFrame({"number": [number], "manifest": [json.dumps(asdict(manifest))]})


def partitions_for(rows: int, size: int) -> int:
    """How many partitions of about `size` rows it takes to hold `rows` rows; at least one."""
    return max(1, math.ceil(rows / size))
