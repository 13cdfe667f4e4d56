"""From the rows of an input to the table of documents that de-duplication reads."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dedup.files import FileError
from dedup.minhash.inputs import InputPartition
from dedup.minhash.parameters import Parameters
from dedup.minhash.signatures import signatures_and_counts, to_bytes
from dedup.minhash.tables import DOCUMENTS
from dedup.words import text_hashes

__all__ = ["GENERATED_ID", "KEEPER", "SIMILARITY", "Fields"]

GENERATED_ID, KEEPER, SIMILARITY = "doc_id", "keeper", "similarity"  # columns that annotation adds


@dataclass(frozen=True)
class Fields:
    """The columns of an input that matter.

    text: null counts as a text without words. id: unique and not null; without it a document is known by the
    positions of its file and row, so that ids are in the order of the input. priority: a number or null.
    """

    text: str
    id: str | None = None
    priority: str | None = None

    def check(self, schema: pa.Schema, annotate: bool) -> None:
        """Raises FileError if the input lacks a field, or has a column that annotation would add."""
        wanted = [name for name in (self.text, self.id, self.priority) if name is not None]
        for name in wanted:
            if name not in schema.names:
                raise FileError(f"no field {name!r} in the input; it has {', '.join(schema.names) or 'none'}")
        added = [KEEPER, SIMILARITY, *([] if self.id else [GENERATED_ID])]
        taken = [name for name in added if annotate and name in schema.names]
        if taken:
            raise FileError(f"the input has a column {taken[0]!r} already, which annotation adds; rename it")

    def ids(self, partition: InputPartition) -> pa.Array | pa.ChunkedArray:
        """The ids of a partition's rows, strings. Raises FileError for a null."""
        if self.id is None:
            numbers = partition.numbers().tolist()
            return pa.array([f"{partition.file:06}-{number:012}" for number in numbers], pa.string())
        names = partition.schema().names
        if self.id not in names:
            raise FileError(f"{partition.place(0)}: no field {self.id!r}; there are {', '.join(names)}")
        ids = self._column(partition, self.id, pa.string())
        if ids.null_count:
            row = ids.is_null().to_pylist().index(True)
            raise FileError(f"{partition.place(row)}: no {self.id!r}; every document needs an id")
        return ids

    def documents(self, partition: InputPartition, parameters: Parameters) -> pa.Table:
        """A partition's documents: schema DOCUMENTS. Raises FileError for fields of another type."""
        texts = pc.fill_null(self._column(partition, self.text, pa.large_string()), "")
        try:
            signatures, shingles = signatures_and_counts(
                texts, num_perm=parameters.num_perm, seed=parameters.seed, shingle=parameters.shingle
            )
        except pa.ArrowInvalid as error:
            raise FileError(f"{partition.place(0)} and after: {self.text!r}: {error}") from error
        columns = {
            "doc_id": self.ids(partition),
            "priority": self._priorities(partition, len(texts)),
            "url": pa.nulls(len(texts), pa.string()),
            "text_hash": text_hashes(texts),
            "signature": to_bytes(signatures),
            "n_shingles": shingles,
        }
        return pa.table(columns, schema=DOCUMENTS)

    def _priorities(self, partition: InputPartition, rows: int) -> pa.Array | pa.ChunkedArray:
        if self.priority is None:
            return pa.nulls(rows, pa.float64())
        values = self._column(partition, self.priority, pa.float64())
        return pc.if_else(pc.is_nan(values), None, values)

    def _column(self, partition: InputPartition, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        try:
            return partition.read(pa.schema([(name, kind)]))[name]
        except (ValueError, TypeError, NotImplementedError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{partition.place(0)} and after: {name!r} as {kind}: {error}") from error
