"""What was read from Reddit, in the corpus: chunks, and where the reading stands.

reddit_chunks/<batch>/00000.parquet   rows of `schemas.SUBMISSIONS`; as metadata, where the reading stood
reddit/<batch>/pending.parquet        submissions that are too young to be judged
reddit/<batch>/state.json             written last: the next id of the scan
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.files import Corpus
from pipeline.corpus.schemas import SUBMISSIONS, TIME
from pipeline.submissions.records import Row, batches

__all__ = ["Chunk", "EarlierReading", "Position", "Store", "earlier_reading"]

METADATA = b"reddit"
PENDING = pa.schema([("submission_id", pa.string()), ("created", TIME)])


@dataclass
class Chunk:
    """What was read since the last commit."""

    rows: list[Row] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)  # id -> milliseconds since 1970
    counts: Counter[str] = field(default_factory=Counter)


class Position(NamedTuple):
    """Where a reading stands: the step and the id to go on from, and the next id of the scan."""

    step: int = 0
    cursor: str | None = None
    next: int | None = None


class EarlierReading(NamedTuple):
    """What an earlier batch left: the next id of the scan, and what was too young (id -> milliseconds)."""

    next: int | None
    pending: dict[str, int]


class Store:
    """The chunks of a batch."""

    def __init__(self, corpus: Corpus, batch: str) -> None:
        self._corpus = corpus
        self._batch = batch
        names = corpus.names(f"reddit_chunks/{batch}")
        self._names = [name for name in names if PurePosixPath(name).suffix == ".parquet" and name[0] != "."]

    @property
    def complete(self) -> bool:
        """Whether the reading came to its end."""
        return self._corpus.exists(f"reddit/{self._batch}/state.json")

    def position(self) -> Position | None:
        """Where the reading stood at the last commit; None before the first."""
        if not self._names:
            return None
        state = self._read(self._names[-1])[1]
        return Position(state["step"], state["cursor"], state["next"])

    def commit(self, chunk: Chunk, position: Position) -> None:
        """Adds a chunk."""
        state = {**position._asdict(), "counts": dict(+chunk.counts), "pending": chunk.pending}
        table = pa.Table.from_batches(batches(chunk.rows, len(chunk.rows) or 1), SUBMISSIONS)
        table = table.replace_schema_metadata({METADATA: json.dumps(state)})
        name = f"{len(self._names):05d}.parquet"
        with self._corpus.writing(f"reddit_chunks/{self._batch}/{name}") as target:
            pq.write_table(table, target, compression="zstd")
        self._names.append(name)

    def finish(self, following: int | None) -> None:
        """Says that the reading is complete; `following` is the next id of the scan."""
        pending: dict[str, int] = {}
        for name in self._names:
            pending |= self._read(name)[1]["pending"]
        columns = [pa.array(pending.keys(), pa.string()), pa.array(pending.values(), TIME)]
        with self._corpus.writing(f"reddit/{self._batch}/pending.parquet") as target:
            pq.write_table(pa.table(columns, schema=PENDING), target, compression="zstd")
        self._corpus.write_json(f"reddit/{self._batch}/state.json", {"next": following})

    def chunks(self, counts: Counter[str]) -> Iterator[pa.Table]:
        """The rows, a chunk at a time; adds their counts."""
        for name in self._names:
            table, state = self._read(name)
            counts.update(state["counts"])
            yield table

    def _read(self, name: str) -> tuple[pa.Table, dict[str, Any]]:
        with self._corpus.fs.open(self._corpus.path(f"reddit_chunks/{self._batch}/{name}"), "rb") as file:
            table = pq.read_table(file)
        state: dict[str, Any] = json.loads(table.schema.metadata[METADATA])
        return table.replace_schema_metadata(), state


def earlier_reading(corpus: Corpus) -> EarlierReading:
    """Where the last committed batch that read Reddit left off. Holds the ids of all that is pending."""
    for batch in reversed(corpus.committed()):
        state = corpus.read_json(f"reddit/{batch}/state.json")
        if state is not None:
            with corpus.fs.open(corpus.path(f"reddit/{batch}/pending.parquet"), "rb") as file:
                table = pq.read_table(file)
            created = table["created"].cast(pa.int64()).to_pylist()
            pending = zip(table["submission_id"].to_pylist(), created, strict=True)
            return EarlierReading(state["next"], dict(pending))
    return EarlierReading(None, {})
