"""Files of training texts of any size, read in batches of bounded size, and written again with annotations.

The rows of Parquet, JSON Lines, JSON, CSV and TSV are documents; a text file is one document, read in pieces.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from dedup.files import READERS, FileError, Row, open_file, rows_of, uncompressed
from dedup.ngrams.streams import pieces

__all__ = ["SUFFIXES", "Batch", "Part", "Writer", "cut", "writer"]

SUFFIXES = (".parquet", *READERS, ".txt", ".text", ".tokens", ".raw")
_PART_BYTES = 1 << 26  # of the row groups of a part
_BATCH_CHARACTERS = 1 << 22
_BATCH_ROWS = 4096
_READ_AHEAD = 1 << 20  # bytes of a column


@dataclass(frozen=True)
class Batch:
    """Some documents, or a piece of one.

    texts: large_string, without nulls. rows: the rows that they come from, if they were asked for.
    repeated: if the only text continues the document of the batch before, the words of it that it repeats.
    """

    texts: pa.Array
    rows: pa.RecordBatch | Sequence[Mapping[str, Any]] = ()
    repeated: str = ""


@dataclass(frozen=True)
class Part:
    """A file, or some row groups of a Parquet file: what a task reads."""

    url: str
    groups: tuple[int, ...] | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is a text file, without rows."""
        suffix = "." + uncompressed(self.url).lower().rpartition(".")[2]
        return self.groups is None and suffix not in READERS

    def batches(self, field: str, n: int, *, rows: bool = False) -> Iterator[Batch]:
        """The documents, in order; a batch has some megabytes. A missing or null text has no words.

        field: with the text. n: the length of n-grams: pieces of a text file begin with the last n words of
        the one before, so that they have the n-grams of the whole file. rows: whether to read them.

        Raises OSError for a missing file, FileError for one that is damaged or has no such field.
        """
        if self.groups is not None:
            return self._row_groups(field, rows)
        return self._pieces(n) if self.is_text else self._rows(field)

    def _row_groups(self, field: str, rows: bool) -> Iterator[Batch]:
        with _parquet(self.url) as file:
            if field not in file.schema_arrow.names:
                raise _no_field(self.url, field, file.schema_arrow.names)
            columns = None if rows else [field]
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=self.groups, columns=columns):
                try:
                    texts = pc.fill_null(batch[field].cast(pa.large_string()), "")
                    texts.validate(full=True)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    raise FileError(f"{self.url}: field {field!r} as text: {error}") from error
                yield Batch(texts, batch if rows else ())

    def _rows(self, field: str) -> Iterator[Batch]:
        batch, texts, size, found = list[Mapping[str, Any]](), list[str](), 0, False
        names: Sequence[str] = ()
        with rows_of(self.url) as rows:
            for number, row in enumerate(rows, 1):
                assert not isinstance(row, str)
                names = names or list(row)
                found |= field in row
                batch.append(row)
                texts.append(_text(f"{self.url}, row {number}", row, field))
                size += len(texts[-1])
                if size > _BATCH_CHARACTERS or len(batch) == _BATCH_ROWS:
                    yield Batch(_array(texts), batch)
                    batch, texts, size = [], [], 0
        if names and not found:
            raise _no_field(self.url, field, names)
        if batch:
            yield Batch(_array(texts), batch)

    def _pieces(self, n: int) -> Iterator[Batch]:
        with rows_of(self.url) as rows:
            for number, piece in enumerate(pieces(map(str, rows), n)):
                repeated = piece.partition("\n")[0] if number else ""
                yield Batch(pa.array([piece], pa.large_string()), repeated=repeated)


def cut(url: str) -> list[Part]:
    """The parts of a file: of Parquet, row groups of about 64 MB; any other file is one part.

    Raises OSError for a missing file, FileError for one that is no Parquet file.
    """
    if not url.lower().endswith(".parquet"):
        return [Part(url)]
    parts, groups, size = list[Part](), list[int](), 0
    with _parquet(url) as file:
        for number in range(file.num_row_groups):
            groups.append(number)
            size += file.metadata.row_group(number).total_byte_size
            if size > _PART_BYTES or number == file.num_row_groups - 1:
                parts.append(Part(url, tuple(groups)))
                groups, size = [], 0
    return parts


class Writer(Protocol):
    """Writes batches again, with further columns."""

    def write(self, batch: Batch, added: Mapping[str, pa.Array]) -> None:
        """Writes the rows of a batch. Raises FileError for a column that is there already."""


@contextmanager
def writer(part: Part, base: str) -> Iterator[Writer]:
    """Writes to `base`.parquet, or `base`.jsonl.zst. The file appears as a whole, if nothing is raised.

    Raises FileError for a text file.
    """
    if part.is_text:
        raise FileError(f"{part.url}: a text file has no rows to annotate; give Parquet or JSON Lines")
    fs, path = fsspec.url_to_fs(f"{base}.{'jsonl.zst' if part.groups is None else 'parquet'}")
    with fs.open(path, "wb", autocommit=False) as file:
        if part.groups is None:
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as stream:
                yield _JsonLinesWriter(part.url, stream)
        else:
            parquet = _ParquetWriter(part.url, file)
            yield parquet
            parquet.close()
    file.commit()


class _JsonLinesWriter:
    def __init__(self, url: str, stream: Any) -> None:
        self._url, self._stream = url, stream

    def write(self, batch: Batch, added: Mapping[str, pa.Array]) -> None:
        for row, *values in zip(batch.rows, *(column.to_pylist() for column in added.values()), strict=True):
            _check_free(self._url, row, added)
            line = json.dumps({**row, **dict(zip(added, values, strict=True))}, default=str)
            self._stream.write(line.encode() + b"\n")


class _ParquetWriter:
    def __init__(self, url: str, file: Any) -> None:
        self._url, self._file = url, file
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: Batch, added: Mapping[str, pa.Array]) -> None:
        table = pa.Table.from_batches([batch.rows])
        _check_free(self._url, table.column_names, added)
        for name, column in added.items():
            table = table.append_column(name, column)
        self._writer = self._writer or pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def _parquet(url: str) -> Iterator[pq.ParquetFile]:
    try:
        with open_file(url) as file:
            yield pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_AHEAD)
    except pa.ArrowInvalid as error:
        raise FileError(f"{url}: {error}") from error


def _text(place: str, row: Row, field: str) -> str:
    value = row.get(field) if not isinstance(row, str) else row
    if value is not None and not isinstance(value, str):
        raise FileError(f"{place}: field {field!r} holds {type(value).__name__}, expected text")
    return value or ""


def _array(texts: Sequence[str]) -> pa.Array:
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # an escaped half of a surrogate pair is valid JSON, but no text
        valid = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
        return pa.array(valid, pa.large_string())


def _no_field(url: str, field: str, names: Sequence[str]) -> FileError:
    return FileError(f"{url}: no field {field!r}; the fields are {', '.join(names)}")


def _check_free(url: str, names: Sequence[str] | Mapping[str, Any], added: Mapping[str, Any]) -> None:
    if taken := [name for name in added if name in names]:
        raise FileError(f"{url}: has a field {taken[0]!r} already, which annotation adds; rename it")
