"""Rows of files: JSON lines, JSON, Parquet, CSV, TSV and text, plain or as .gz, .bz2, .xz or .zst."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem

__all__ = ["READERS", "FileError", "Row", "find_files", "open_binary", "open_file", "rows_of", "uncompressed"]

Row = Mapping[str, Any] | str
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, gzip.BadGzipFile)


class FileError(ValueError):
    """A file that cannot be used: which one, and what is wrong with it."""


class _ZstdFile(io.RawIOBase):
    """All frames of a Zstandard file, in windows of any size. EOFError where the last is cut off."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._input = b""
        self._output = b""
        self._frame = self._new_frame()

    def _new_frame(self) -> Any:
        return zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            self._input = self._input or self._file.read(1 << 18)
            if not self._input:
                if not self._frame.eof:
                    raise EOFError("the last Zstandard frame is not complete")
                return 0
            if self._frame.eof:
                self._frame = self._new_frame()
            self._output = self._frame.decompress(self._input)
            self._input = self._frame.unused_data if self._frame.eof else b""
        size = min(len(buffer), len(self._output))
        buffer[:size], self._output = self._output[:size], self._output[size:]
        return size


OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda file: io.BufferedReader(_ZstdFile(file), 1 << 20),
}


def uncompressed(url: str) -> str:
    """The path without the suffix of its compression: `a.jsonl` for `a.jsonl.zst`."""
    suffix = PurePosixPath(url).suffix
    return url.removesuffix(suffix) if suffix.lower() in OPENERS else url


def find_files(url: str, suffixes: Sequence[str]) -> list[str]:
    """The files that an fsspec URL, a glob pattern or a directory stands for, sorted; absolute if local.

    suffixes: of the files that are taken from a directory, compression aside; names that begin with `_` or
    `.` are left out. Raises FileNotFoundError if there are none, FileError for a URL that cannot be used.
    """
    with _filesystem_errors(url):
        fs, path = fsspec.url_to_fs(url)
        if fs.isfile(path):
            found = [path]
        elif fs.isdir(path):
            names = ((name, PurePosixPath(name).name) for name in fs.find(path))
            found = [name for name, last in names if last[0] not in "_." and _suffix(name) in suffixes]
        else:
            found = [name for name in fs.glob(path) if fs.isfile(name)] if has_magic(path) else []
    if not found:
        raise FileNotFoundError(f"{url}: no such file")
    local = isinstance(fs, LocalFileSystem)
    return sorted(name if local else fs.unstrip_protocol(name) for name in found)


@contextmanager
def open_binary(url: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed by its suffix.

    Raises OSError for a missing file, FileError for a damaged one, also while bytes are read.
    """
    opener = OPENERS.get(PurePosixPath(url).suffix.lower(), io.BufferedReader)
    try:
        with open_file(url) as raw, closing(opener(raw)) as stream:
            yield stream
    except _DAMAGED as error:
        raise FileError(f"{url}: damaged or cut off: {error}") from error


@contextmanager
def rows_of(url: str) -> Iterator[Iterator[Row]]:
    """The rows of a file, one at a time: objects, or the lines of a text file without their ends.

    Raises OSError for a missing file, FileError for one that is not what its name says, also while rows are
    read.
    """
    kind = _suffix(url)
    try:
        if kind == ".parquet":
            with open_file(url) as raw:
                yield _parquet(url, raw)
            return
        with open_binary(url) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as file:
            yield READERS.get(kind, _lines)(url, file)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise FileError(f"{url}: not text in UTF-8 (byte 0x{byte:02x}); is it a binary file?") from error


def _suffix(url: str) -> str:
    return PurePosixPath(uncompressed(url)).suffix.lower()


@contextmanager
def _filesystem_errors(url: str) -> Iterator[None]:
    """Turns into FileError the errors that a filesystem's own library raises."""
    try:
        yield
    except (OSError, ValueError, ImportError):
        raise
    except Exception as error:
        raise FileError(f"{url}: {error}") from error


def open_file(url: str) -> IO[bytes]:
    """The file as it is, opened for reading. Raises OSError for a missing file, or FileError."""
    with _filesystem_errors(url):
        file: IO[bytes] = fsspec.open(url, "rb").open()
    return file


def _lines(url: str, file: IO[str]) -> Iterator[str]:
    for line in file:
        if "\0" in line:
            raise FileError(f"{url}: not text (a zero byte); is it a binary file?")
        yield line.rstrip("\r\n")


def _json_lines(url: str, file: IO[str]) -> Iterator[Row]:
    for number, line in enumerate(_lines(url, file), 1):
        if line.strip():
            try:
                yield _object(f"{url}, line {number}", json.loads(line))
            except json.JSONDecodeError as error:
                raise FileError(f"{url}, line {number}: not JSON: {error}") from error


def _json(url: str, file: IO[str]) -> Iterator[Row]:
    try:
        value = json.load(file)
    except json.JSONDecodeError as error:
        raise FileError(f"{url}: not JSON: {error}") from error
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else value
    if not isinstance(value, list):
        raise FileError(f"{url}: expected a list of objects, or an object with one list")
    for number, row in enumerate(value, 1):
        yield _object(f"{url}, item {number}", row)


def _csv(url: str, file: IO[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    try:
        for row in csv.DictReader(file, delimiter=delimiter):
            yield {name: value for name, value in row.items() if name}
    except csv.Error as error:
        raise FileError(f"{url}: {error}") from error


def _parquet(url: str, file: IO[bytes]) -> Iterator[Row]:
    try:
        for batch in pq.ParquetFile(file).iter_batches(1024):
            yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise FileError(f"{url}: {error}") from error


def _object(place: str, value: Any) -> Row:
    if not isinstance(value, dict):
        raise FileError(f"{place}: expected an object, found {type(value).__name__}")
    return value


READERS: dict[str, Callable[[str, IO[str]], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": lambda url, file: _csv(url, file, ","),
    ".tsv": lambda url, file: _csv(url, file, "\t"),
}
