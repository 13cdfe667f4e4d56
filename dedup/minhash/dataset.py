"""Near-duplicates in files of documents of any size: Parquet or JSON Lines in, Parquet out, on Dask.

    inputs -> partitions -> signatures -> decisions (`dedup.minhash.decisions`) -> output

Temporary files (signatures, and copies of JSON Lines) lie in OUTPUT/_temporary until the end.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import dask
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dask import dataframe as dd
from distributed import Client, futures_of, get_client
from numpy.typing import NDArray

from dedup.files import FileError, find_files, open_file
from dedup.minhash.decisions import decide
from dedup.minhash.fields import GENERATED_ID, KEEPER, SIMILARITY, Fields
from dedup.minhash.inputs import SUFFIXES, InputPartition, cut, write_parquet
from dedup.minhash.json_lines import merge_schemas, storable
from dedup.minhash.parameters import Parameters
from dedup.minhash.tables import EXACT, NEAR, OK, DuplicateIdError
from dedup.output import output_directory
from dedup.tasks import Progress, results, wait_for

__all__ = ["ROWS", "Summary", "deduplicate"]

ROWS = 5000  # of a partition


@dataclass(frozen=True)
class Summary:
    """What `deduplicate` did. kept + exact_duplicates + near_duplicates = documents; seconds of wall time."""

    documents: int
    kept: int
    exact_duplicates: int
    near_duplicates: int
    seconds: float


@dataclass(frozen=True)
class _Signatures:
    """A partition of DOCUMENTS in a Parquet file, as `decide` reads it."""

    url: str

    def read(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pa.Table:
        with open_file(self.url) as file:
            table = pq.read_table(file, columns=list(columns))
        return table if rows is None else table.take(rows)


def deduplicate(
    inputs: Sequence[str],
    output: str,
    *,
    text: str,
    id: str | None = None,
    priority: str | None = None,
    threshold: float = 0.7,
    annotate: bool = False,
    rows: int = ROWS,
    client: Client | None = None,
    progress: Progress = wait_for,
) -> Summary:
    """Removes the near-duplicates among the documents of some files, or marks them.

    inputs: fsspec URLs, globs or directories of Parquet or JSON Lines (also .gz, .bz2, .xz, .zst). output:
    the URL of a directory that does not exist or is empty; workers must see it under the same name. text, id,
    priority: names of fields; without `id` documents are known by their place in the input. Among documents
    that are linked by similarities of `threshold` or more, the one with the highest priority is kept, and of
    those the one with the lowest id.

    Writes part-00000.parquet and so on, one file per partition of the input, in its order: the rows that are
    kept, or with `annotate` all rows with the columns `keeper` (the id of the document that is kept, of the
    type of `id`), `similarity` (float32, to the keeper, null for a document that is kept) and, without `id`,
    `doc_id`. The rows depend neither on the workers nor on `rows`, the size of a partition.

    client: of the Dask cluster to use, by default the current one. progress: is called for each step with its
    name and futures, and has to wait for them. A worker holds some partitions, the driver the schema of each.
    Raises OSError or `dedup.files.FileError` for what cannot be read or written,
    ValueError for a threshold that no banding fits. Whatever is raised, nothing is left in `output`.

        from distributed import Client
        with Client() as client:
            print(deduplicate(["texts/*.jsonl.zst"], "unique/", text="body", id="id"))
    """
    started = time.monotonic()
    parameters = Parameters(threshold)
    _ = parameters.banding  # raises ValueError before anything is written
    files = [file for url in inputs for file in find_files(url, SUFFIXES)]
    run = _Run(client or get_client(), progress, Fields(text, id, priority), parameters, annotate)
    with run.client.as_current(), output_directory(output) as target, _temporary(target) as scratch:
        counts = run.deduplicate(files, target, scratch, rows)
    return Summary(sum(counts.values()), counts[OK], counts[EXACT], counts[NEAR], time.monotonic() - started)


@dataclass(frozen=True)
class _Run:
    client: Client
    progress: Progress
    fields: Fields
    parameters: Parameters
    annotate: bool

    def deduplicate(self, files: Sequence[str], target: str, scratch: str, rows: int) -> Counter[str]:
        """Writes the output; returns the number of documents by reason."""
        copies = [f"{scratch}/input-{number:06}" for number in range(len(files))]
        numbers = range(len(files))
        cuts = self._map("reading", partial(cut, rows=rows), files, numbers, copies)
        partitions = [partition for found in cuts for partition in found]
        if not partitions:
            raise FileError(f"no documents in {', '.join(files[:3])}{' …' if len(files) > 3 else ''}")
        urls = [f"{scratch}/signatures-{number:06}.parquet" for number in range(len(partitions))]
        sign = partial(_sign, self.fields, self.parameters)
        schemas = self._map("signatures", sign, partitions, urls)
        schema = schemas[0]
        if any(other != schema for other in schemas):
            schema = reduce(merge_schemas, schemas)
        schema = storable(schema)
        self.fields.check(schema, self.annotate)
        try:
            decided = decide(
                [_Signatures(url) for url in urls], parameters=self.parameters, persist=self._persist
            )
        except DuplicateIdError as error:
            places = [partitions[part].place(row) for part, row in (error.first, error.second)]
            raise FileError(f"id {error.doc_id!r} is not unique: {places[0]} and {places[1]}") from error
        parts = [f"{target}/part-{number:05}.parquet" for number in range(len(partitions))]
        write = dask.delayed(partial(_write, self.fields, schema, self.annotate), pure=False)
        tasks = [write(*each) for each in zip(partitions, decided.to_delayed(), parts, strict=True)]
        return sum(self._results("output", self.client.compute(tasks)), Counter())

    def _map(self, name: str, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        return self._results(name, self.client.map(function, *arguments, pure=False))

    def _results(self, name: str, futures: Sequence[Any]) -> list[Any]:
        return results(self.client, self.progress, name, futures)

    def _persist(self, frame: dd.DataFrame, name: str) -> dd.DataFrame:
        frame = frame.persist()
        self.progress(name, futures_of(frame))
        return frame


def _sign(fields: Fields, parameters: Parameters, partition: InputPartition, url: str) -> pa.Schema:
    """Writes the signatures of a partition; returns the columns of the input."""
    schema = partition.schema()
    write_parquet(fields.documents(partition, parameters), url)
    return schema


def _write(
    fields: Fields,
    schema: pa.Schema,
    annotate: bool,
    partition: InputPartition,
    decided: pd.DataFrame,
    url: str,
) -> Counter[str]:
    """Writes the output of a partition; returns the number of its documents by reason."""
    table = partition.read(schema)
    decisions = pa.Table.from_pandas(decided[["keeper", "similarity", "reason"]], preserve_index=False)
    if annotate:
        keepers = decisions["keeper"]
        if fields.id is None:
            table = table.append_column(GENERATED_ID, fields.ids(partition))
        else:
            keepers = keepers.cast(schema.field(fields.id).type)
        table = table.append_column(KEEPER, keepers).append_column(SIMILARITY, decisions["similarity"])
    else:
        table = table.filter(pc.equal(decisions["reason"], OK))
    write_parquet(table, url)
    return Counter(decisions["reason"].to_pylist())


@contextmanager
def _temporary(directory: str) -> Iterator[str]:
    """Makes a directory for temporary files in another; removes it if nothing is raised in the block."""
    fs, path = fsspec.url_to_fs(f"{directory}/_temporary")
    fs.makedirs(path, exist_ok=True)
    yield fs.unstrip_protocol(path)
    fs.invalidate_cache()
    fs.rm(path, recursive=True)
