"""What a stage is, and how one is mapped over partitions on Dask.

A stage is a module with `run(run: Run) -> None`. Most map a function over the partitions of one table
(`map_partitions`): it takes a `Partition`, reads what it needs, and returns an `Output`; the task commits it.
A global stage builds a Dask DataFrame (`frame`, `place`) and commits the partitions of the result (`write`).
Either way the table is sealed at the end, and nothing is done again that is committed with the same key.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
from distributed import Client, KilledWorker, Worker, as_completed, futures_of, get_worker, secede

from pipeline.batch.progress import Progress, Ticker
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Counts, Manifest, Seal, Table
from pipeline.errors import UserError
from pipeline.settings import Settings, fingerprint

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A batch on its way: what every stage is given."""

    corpus: Corpus
    batch: str
    settings: Settings
    client: Client
    progress: Progress

    def table(self, name: str, batch: str | None = None) -> Table:
        """A table of this batch, or of another."""
        return Table(self.corpus, name, batch or self.batch)

    def sealed(self, name: str, batch: str | None = None) -> Seal:
        """The seal of a complete table. Raises UserError if it is not complete."""
        return self.table(name, batch).complete()

    def checksums(self, *names: str) -> list[list[str]]:
        """For each partition its checksums in these complete tables: what identifies it as an input."""
        parts = zip(*(self.sealed(name).parts for name in names), strict=True)
        return [[part.checksum for part in of_one] for of_one in parts]


@dataclass(frozen=True)
class Partition:
    """One unit of work, in a worker."""

    corpus: Corpus
    batch: str
    number: int
    scratch: Path = Path()  # a local directory that goes away with the task
    tick: Callable[[str], None] = lambda reason: None  # shows one more row of this outcome to the operator
    leave_slot: Callable[[], None] = lambda: None  # lets the worker begin another task: this one only waits
    cancelled: Callable[[], bool] = lambda: False  # whether nobody wants the result any more

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The partition of this number of a table of the batch."""
        return Table(self.corpus, table, self.batch).read(self.number, columns)

    def stream(self, table: str) -> Iterator[pa.Table]:
        """The same, a row group at a time."""
        return Table(self.corpus, table, self.batch).stream(self.number)


@dataclass(frozen=True)
class Output:
    """What a partition's work made: a table or a local Parquet file, its counts, and further local files."""

    rows: pa.Table | Path
    counts: Counts
    files: Mapping[str, Path] = field(default_factory=dict)  # name in the corpus -> local file
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the manifest


def map_partitions(
    run: Run,
    stage: str,
    work: Callable[[Partition], Output],
    *,
    into: str,
    inputs: Sequence[Any],
    settings: Any,
    weights: Sequence[float] | None = None,
) -> Seal:
    """Makes a table with one partition for each of `inputs`.

    inputs: what identifies the input of each partition (checksums), settings: what identifies the work; both
    ready for JSON. weights: of the partitions; heavier ones begin first. `work` must be importable by name in
    the workers, or a functools.partial of such.
    """
    table = run.table(into)
    key = fingerprint([stage, settings, list(inputs)])
    if seal := table.sealed(key):
        return seal
    keys = [fingerprint([stage, settings, item]) for item in inputs]
    done = table.committed(keys)
    todo = [number for number in range(len(keys)) if number not in done]
    if weights is not None:
        todo.sort(key=lambda number: -weights[number])
    with run.progress.stage(stage, total=len(keys), done=len(done)) as progress:
        futures = run.client.map(
            _execute,
            todo,
            [keys[n] for n in todo],
            work=work,
            table=table,
            stage=stage,
            retries=1,
            pure=False,
        )
        try:
            with surviving(stage):
                for future in as_completed(futures):
                    number, manifest = future.result()
                    future.release()
                    done[number] = manifest
                    progress.advance(manifest.counts)
        finally:
            run.client.cancel(futures, force=True)
    return table.seal(key, [done[number] for number in range(len(keys))])


def _execute(
    number: int, key: str, work: Callable[[Partition], Output], table: Table, stage: str
) -> tuple[int, Manifest]:
    with tempfile.TemporaryDirectory(prefix=f"{stage}-") as scratch:
        partition = Partition(
            table.corpus,
            table.batch,
            number,
            Path(scratch),
            Ticker(stage),
            secede,
            _task_is_cancelled(get_worker()),
        )
        return number, _store(table, number, key, work(partition))


def _task_is_cancelled(worker: Worker) -> Callable[[], bool]:
    """Tells, from any thread, whether the scheduler has cancelled the task that runs in this one."""
    key = worker.get_current_task()

    def cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in ("cancelled", "released", "forgotten")

    return cancelled


def _store(table: Table, number: int, key: str, output: Output) -> Manifest:
    return table.commit(
        number, output.rows, key=key, counts=output.counts, files=output.files, facts=output.facts
    )


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A data frame with Arrow's own types. List columns do not survive Dask's shuffle: leave them out."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def to_arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` of a data frame, without its index."""
    return pa.Table.from_pandas(
        frame[schema.names], schema=schema, preserve_index=False
    ).replace_schema_metadata()


def frame(read: Callable[[T], pa.Table], items: Sequence[T], schema: pa.Schema) -> dd.DataFrame:
    """A Dask DataFrame with one partition for each item, read by the workers."""
    meta = to_pandas(schema.empty_table())
    if not items:
        return dd.from_pandas(meta, npartitions=1)
    return dd.from_map(_read, list(items), read=read, meta=meta, enforce_metadata=False)


def _read(item: T, read: Callable[[T], pa.Table]) -> pd.DataFrame:
    return to_pandas(read(item))


def place(frame: dd.DataFrame, column: str, partitions: int) -> dd.DataFrame:
    """Moves every row to the partition whose number stands in `column` (int64), through Dask's p2p shuffle.

    Holds in memory one partition of the result at a time; the rest is on the workers' disks.
    """
    numbered = frame.assign(**{column: frame[column].astype("int64")})
    return numbered.set_index(column, divisions=tuple(range(partitions + 1)), drop=False)


def persist(run: Run, stage: str, frame: dd.DataFrame, step: str) -> dd.DataFrame:
    """Computes an intermediate frame of a global stage and holds it on the workers, with a bar of its own."""
    held = run.client.persist(frame, retries=1)
    with run.progress.stage(stage, total=held.npartitions, step=step) as progress, surviving(stage):
        for future in as_completed(futures_of(held)):
            if future.status != "finished":
                future.result()  # raises; the result of a finished one stays where it is
            progress.advance({})
    return held


def write(
    run: Run,
    stage: str,
    frame: dd.DataFrame,
    convert: Callable[[pd.DataFrame, Partition], Output],
    *,
    into: str,
    key: str,
) -> Seal:
    """Makes a table of the partitions of a Dask DataFrame, all of them or none."""
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
            with surviving(stage):
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
    with tempfile.TemporaryDirectory(prefix=f"{stage}-") as scratch:
        output = convert(frame, Partition(table.corpus, table.batch, number, Path(scratch), Ticker(stage)))
        manifest = _store(table, number, key, output)
    return pd.DataFrame({"number": [number], "manifest": [json.dumps(asdict(manifest))]})


def partitions_for(rows: int, size: int) -> int:
    """How many partitions of about `size` rows hold `rows`; at least one."""
    return max(1, math.ceil(rows / size))


@contextmanager
def surviving(stage: str) -> Iterator[None]:
    """Turns the death of workers into a UserError that names the stage."""
    try:
        yield
    except KilledWorker as error:
        raise UserError(
            f"stage {stage}: a partition was running on several workers when they died ({error.task}); "
            "give the workers more memory, or make partitions smaller (links.rows)"
        ) from error
