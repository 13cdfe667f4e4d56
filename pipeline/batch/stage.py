"""What a stage is, and how one is mapped over the partitions of a table on Dask.

A stage is a module with `run(run: Run) -> None`. Most map a function over the partitions of one table
(`map_partitions`): it takes a `Partition`, reads what it needs, and returns an `Output`; the task commits it.
A stage that must bring rows of all partitions together builds a Dask DataFrame (`pipeline.batch.frames`).
Either way the table is sealed at the end, and nothing is done again that is committed with the same key.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from distributed import Client, KilledWorker, Worker, as_completed, get_worker, secede

from pipeline.batch.progress import Progress, Ticker
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Counts, Manifest, Seal, Table
from pipeline.errors import UserError
from pipeline.settings import Settings, fingerprint

__all__ = ["Output", "Partition", "Run", "commit", "lost_workers_as_user_error", "map_partitions"]


@dataclass(frozen=True)
class Run:
    """The batch that is being built, and what it takes: the one argument of every stage."""

    corpus: Corpus
    batch: str
    settings: Settings
    client: Client
    progress: Progress
    retry: frozenset[str] = frozenset()  # outcomes whose links are fetched again

    def table(self, name: str, batch: str | None = None) -> Table:
        """A table of this batch, or of the one named."""
        return Table(self.corpus, name, batch or self.batch)

    def sealed(self, name: str, batch: str | None = None) -> Seal:
        """The seal of a complete table. Raises UserError if it is not complete."""
        return self.table(name, batch).complete()

    def checksums(self, *names: str) -> list[list[str]]:
        """The checksums of each partition in these complete tables, which identify it as an input."""
        parts = zip(*(self.sealed(name).parts for name in names), strict=True)
        return [[part.checksum for part in of_one] for of_one in parts]


@dataclass(frozen=True)
class Partition:
    """One partition of a batch, in the worker that does its work."""

    corpus: Corpus
    batch: str
    number: int
    scratch: Path = Path()  # a local directory that is removed when the task ends
    tick: Callable[[str], None] = lambda reason: None  # reports one more row with this outcome
    leave_slot: Callable[[], None] = lambda: None  # lets the worker start another task: this one only waits
    cancelled: Callable[[], bool] = lambda: False  # whether the result is no longer wanted

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """This partition of a table of the batch."""
        return Table(self.corpus, table, self.batch).read(self.number, columns)

    def stream(self, table: str) -> Iterator[pa.Table]:
        """The same, a row group at a time."""
        return Table(self.corpus, table, self.batch).stream(self.number)


@dataclass(frozen=True)
class Output:
    """What the work on a partition made, to be committed."""

    rows: pa.Table | Path  # a table, or a local Parquet file
    counts: Counts  # how many rows each stage passed on or dropped, for the funnel
    files: Mapping[str, Path] = field(default_factory=dict)  # further files: name in the corpus -> local path
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON for the manifest, read by the driver
    kept: Mapping[str, int] = field(default_factory=dict)  # its files that are stored already: name -> bytes


def map_partitions(
    run: Run,
    stage: str,
    work: Callable[[Partition], Output],
    *,
    into: str,
    inputs: Sequence[Any],
    settings: Any,
    weights: Sequence[float] | None = None,
    again: Callable[[Manifest], bool] | None = None,
) -> Seal:
    """Makes a table with one partition for each of `inputs`.

    work: done in a worker; a function that can be imported by name there, or a functools.partial of one.
    inputs: identifies the input of each partition (checksums). settings: identifies the work. Both are JSON
    values; a partition that is committed with the same two is not done again, unless `again` says so of its
    manifest. weights: of the partitions; the heaviest start first.
    """
    table = run.table(into)
    key = fingerprint([stage, settings, list(inputs)])
    if again is not None:
        table.unseal()
    elif seal := table.sealed(key):
        return seal
    keys = [fingerprint([stage, settings, item]) for item in inputs]
    done = table.committed(keys)
    if again is not None:
        done = {number: manifest for number, manifest in done.items() if not again(manifest)}
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
            with lost_workers_as_user_error(stage):
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
    return number, commit(table, stage, number, key, work)


def commit(table: Table, stage: str, number: int, key: str, work: Callable[[Partition], Output]) -> Manifest:
    """In a worker: does the work of one partition, in a scratch directory, and stores what it made."""
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
        output = work(partition)
        return table.commit(
            number,
            output.rows,
            key=key,
            counts=output.counts,
            files=output.files,
            kept=output.kept,
            facts=output.facts,
        )


def _task_is_cancelled(worker: Worker) -> Callable[[], bool]:
    """Tells, from any thread, whether the scheduler has cancelled the task that runs in this one."""
    key = worker.get_current_task()

    def cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in ("cancelled", "released", "forgotten")

    return cancelled


@contextmanager
def lost_workers_as_user_error(stage: str) -> Iterator[None]:
    """Turns the error of a partition whose workers died again and again into a UserError naming the stage."""
    try:
        yield
    except KilledWorker as error:
        raise UserError(
            f"stage {stage}: a partition was running on several workers when they died ({error.task}); "
            "give the workers more memory, or make partitions smaller (links.rows)"
        ) from error
