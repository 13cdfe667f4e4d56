"""Files of documents, Parquet or JSON Lines, cut into partitions of bounded size.

Row groups of Parquet are read where they are. Compressed JSON Lines cannot be read from the middle, and some
row groups are too large: such files are copied once, in partitions, to temporary storage.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Protocol

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from dedup.files import FileError, open_binary, open_file, uncompressed
from dedup.minhash import json_lines

__all__ = ["SUFFIXES", "InputPartition", "cut", "write_parquet"]

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json")
_MAX_BYTES = 1 << 25  # of the lines of a partition, and of a row group that is read where it is
_MAX_LINE = 1 << 28
_READ_AHEAD = 1 << 20  # of a column: a large row group is never in memory as a whole


class InputPartition(Protocol):
    """Some rows of a file. Cheap to pickle."""

    @property
    def file(self) -> int:
        """Position of the file among the inputs."""
        ...

    def numbers(self) -> NDArray[np.int64]:
        """Which rows (JSON Lines: lines) of the file these are, from 0: shape (rows,), int64."""
        ...

    def place(self, row: int) -> str:
        """Where a row is, for people: the file, and the number of its row or line, from 1."""
        ...

    def schema(self) -> pa.Schema:
        """The columns of these rows."""
        ...

    def read(self, schema: pa.Schema) -> pa.Table:
        """The rows with the columns of `schema`; those that they lack are null."""
        ...


@dataclass(frozen=True)
class _ParquetRows:
    """Row groups of a Parquet file, `rows` rows, at `url`; in the input `source` from row `first`."""

    file: int
    source: str
    url: str
    groups: tuple[int, ...]
    first: int
    rows: int

    def numbers(self) -> NDArray[np.int64]:
        return np.arange(self.first, self.first + self.rows)

    def place(self, row: int) -> str:
        return f"{self.source}, row {self.first + row + 1}"

    def schema(self) -> pa.Schema:
        with _parquet(self.url, self.source) as file:
            return file.schema_arrow

    def read(self, schema: pa.Schema) -> pa.Table:
        with _parquet(self.url, self.source) as file:
            known = set(file.schema_arrow.names)
            table = file.read_row_groups(
                self.groups, columns=[name for name in schema.names if name in known]
            )
        columns = [
            table[field.name].cast(field.type) if field.name in known else pa.nulls(self.rows, field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class _JsonLines:
    """Lines of a JSON Lines file, copied to `url` (zstd); in the input `source` from line `first`."""

    file: int
    source: str
    url: str
    first: int

    def numbers(self) -> NDArray[np.int64]:
        return np.array([number for number, _ in _records(self)], np.int64)

    def place(self, row: int) -> str:
        return f"{self.source}, line {self.numbers()[row] + 1}"

    def schema(self) -> pa.Schema:
        return json_lines.infer_schema([record for _, record in _records(self)])

    def read(self, schema: pa.Schema) -> pa.Table:
        return json_lines.to_table([record for _, record in _records(self)], schema)


@lru_cache(maxsize=1)  # a task asks for them several times
def _records(lines: _JsonLines) -> list[tuple[int, json_lines.Record]]:
    with open_file(lines.url) as file:
        data = zstandard.ZstdDecompressor().decompress(file.read())
    return list(json_lines.parse(data, lines.source, lines.first))


def cut(url: str, file: int, scratch: str, rows: int) -> list[InputPartition]:
    """The partitions of a file, of up to `rows` rows and about 32 MiB; none for an empty file.

    file: its position among the inputs. scratch: a URL for temporary files, which must not exist yet. Holds
    one partition at a time. Raises OSError for a missing file, FileError for a damaged one or another kind.
    """
    kind = uncompressed(url).lower()
    if kind.endswith(".parquet") and kind == url.lower():
        return list(_cut_parquet(url, file, scratch, rows))
    if kind.endswith(SUFFIXES[1:]):
        return list(_cut_lines(url, file, scratch, rows))
    raise FileError(f"{url}: expected Parquet or JSON Lines ({', '.join(SUFFIXES)})")


def _cut_parquet(url: str, file: int, scratch: str, rows: int) -> Iterator[InputPartition]:
    with _parquet(url, url) as parquet:
        groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
        if all(group.num_rows <= rows and group.total_byte_size <= _MAX_BYTES for group in groups):
            yield from _group(url, file, [group.num_rows for group in groups], rows)
            return
        first = 0
        for number, batch in enumerate(parquet.iter_batches(rows)):
            part = f"{scratch}-{number:06}.parquet"
            write_parquet(pa.Table.from_batches([batch]), part)
            yield _ParquetRows(file, url, part, (0,), first, len(batch))
            first += len(batch)


def _group(url: str, file: int, sizes: Sequence[int], rows: int) -> Iterator[InputPartition]:
    """Partitions of whole row groups of these sizes, as many in each as fit."""
    first, count, groups = 0, 0, list[int]()
    for number, size in enumerate(sizes):
        if groups and count + size > rows:
            yield _ParquetRows(file, url, url, tuple(groups), first, count)
            first, count, groups = first + count, 0, []
        groups.append(number)
        count += size
    if count:
        yield _ParquetRows(file, url, url, tuple(groups), first, count)


def _cut_lines(url: str, file: int, scratch: str, rows: int) -> Iterator[InputPartition]:
    with open_binary(url) as stream:
        for number, (first, lines) in enumerate(_blocks(_lines(url, stream), rows)):
            part = f"{scratch}-{number:06}.jsonl.zst"
            _write(part, zstandard.ZstdCompressor(1).compress(b"".join(lines)))
            yield _JsonLines(file, url, part, first)


def _lines(url: str, stream: IO[bytes]) -> Iterator[bytes]:
    first = True
    while line := stream.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise FileError(f"{url}: a line of more than {_MAX_LINE >> 20} MiB; is it JSON Lines?")
        yield line.removeprefix(b"\xef\xbb\xbf") if first else line
        first = False


def _blocks(lines: Iterable[bytes], rows: int) -> Iterator[tuple[int, list[bytes]]]:
    """Blocks of lines with the number of their first; each has at least one that is not blank."""
    first, filled, size, block = 0, 0, 0, list[bytes]()
    for line in lines:
        if filled == rows or (filled and size + len(line) > _MAX_BYTES):
            yield first, block
            first, filled, size, block = first + len(block), 0, 0, []
        block.append(line)
        filled += bool(line.strip())
        size += len(line)
    if filled:
        yield first, block


@contextmanager
def _parquet(url: str, source: str) -> Iterator[pq.ParquetFile]:
    try:
        with open_file(url) as file:
            yield pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_AHEAD)
    except pa.ArrowException as error:
        raise FileError(f"{source}: {error}") from error


def write_parquet(table: pa.Table, url: str) -> None:
    """Writes a table of one partition. The file appears whole or not at all, whatever happens to the task."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=max(1, len(table)))
    _write(url, sink.getvalue())


def _write(url: str, data: bytes | pa.Buffer) -> None:
    fs, path = fsspec.url_to_fs(url)
    file = fs.open(path, "wb", autocommit=False)
    with file:
        file.write(data)
    file.commit()
