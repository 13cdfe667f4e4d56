"""Reading texts from files: Parquet, and JSON Lines plain or compressed, from any fsspec path."""

import bz2
import io
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeAlias

import fsspec
import msgspec
import pyarrow as pa
import zstandard

from shards.manifest import open_parquet

__all__ = ["TextFiles"]

Row: TypeAlias = tuple[str | None, str, str]  # doc_id, url, text

_JSON = (".jsonl", ".ndjson", ".json")
_ROWS = 1000  # of a Parquet file at a time
_BLOCK = 2**20  # bytes of a compressed file at a time
_WINDOW = 2**31  # of Zstandard: dumps of Reddit are compressed with `--long=31`
# Each decompresses one stream (member, frame) of a file, and says where it ends.
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj(),
}


class TextFiles:
    """Iterates over the texts of files as (doc_id, url, text), in order.

    paths: fsspec paths of files, globs, or directories (all files of a known format below them, sorted).
    Formats are told by the suffix: `.parquet`; `.jsonl`, `.ndjson` or `.json` with one object per line, with
    `.gz`, `.bz2`, `.xz` or `.zst` behind it for compressed ones.
    text, id, url: the fields to read. Without `id` the doc_id is None, without `url` the url is "".

    files: the paths found. skipped: how many records were left out so far, by reason.

    Raises FileNotFoundError if a path matches nothing, ValueError for an unknown format; while iterating,
    ValueError for a damaged or truncated file, or one in which no record has the fields. A record without a
    or id, and a line that is not a JSON object, is skipped.
    """

    def __init__(
        self, paths: Iterable[str], *, text: str, id: str | None = None, url: str | None = None
    ) -> None:
        self._text, self._id, self._url = text, id, url
        self._fields = list(dict.fromkeys(field for field in (text, id, url) if field is not None))
        found = (file for path in paths for file in _find(path))
        self._files = {fs.unstrip_protocol(name): (fs, name) for fs, name in found}
        self.files = list(self._files)
        self._example: list[str] = []  # the fields of the first record of a file
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Row]:
        for fs, name in self._files.values():
            before, yielded = self.skipped.total(), 0
            with fs.open(name, "rb") as file:
                for row in self._rows(file, name):
                    yielded += 1
                    yield row
            if not yielded and self.skipped.total() > before:
                raise ValueError(
                    f"{name}: no record has {' and '.join(map(repr, self._fields))}; "
                    f"the first one has {', '.join(self._example) or 'no fields'}"
                )

    def _rows(self, file: IO[bytes], name: str) -> Iterator[Row]:
        records = self._parquet if name.endswith(".parquet") else self._json_lines
        for record in records(file, name):
            text = record[self._text]
            doc_id = None if self._id is None else record[self._id]
            url = "" if self._url is None else record[self._url]
            if not isinstance(text, str) or not text:
                self.skipped[f"no text in {self._text!r}"] += 1
            elif self._id is not None and not isinstance(doc_id, str | int):
                self.skipped[f"no id in {self._id!r}"] += 1
            else:
                yield None if doc_id is None else str(doc_id), "" if url is None else str(url), text

    def _parquet(self, file: IO[bytes], name: str) -> Iterator[dict[str, Any]]:
        parquet = open_parquet(file, name)
        if missing := [field for field in self._fields if field not in parquet.schema_arrow.names]:
            raise ValueError(
                f"{name}: no column {missing[0]!r}, only {', '.join(parquet.schema_arrow.names)}"
            )
        try:
            for batch in parquet.iter_batches(_ROWS, columns=self._fields):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{name}: cannot be read: {' '.join(str(error).split())}") from error

    def _json_lines(self, file: IO[bytes], name: str) -> Iterator[dict[str, Any]]:
        record = msgspec.defstruct(
            "Record",
            [(f"field_{number}", Any, None) for number in range(len(self._fields))],
            rename=self._fields_by_attribute,
        )
        decode = msgspec.json.Decoder(record).decode
        self._example = []
        for line in _lines(file, name):
            try:
                self._example = self._example or list(msgspec.json.decode(line))
                values = msgspec.structs.astuple(decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                if line.strip():
                    self.skipped["not a JSON object"] += 1
            else:
                yield dict(zip(self._fields, values, strict=True))

    def _fields_by_attribute(self, attribute: str) -> str:
        return self._fields[int(attribute.removeprefix("field_"))]


def _find(path: str) -> Iterator[tuple[Any, str]]:
    """The files at a path, each with its filesystem. Raises as `TextFiles`."""
    fs, root = fsspec.core.url_to_fs(str(path))
    if fs.isfile(root):
        if not _is_known(root):
            known = ", ".join((".parquet", *_JSON))
            raise ValueError(
                f"{path}: unknown format, expected {known} (JSON also with .gz, .bz2, .xz, .zst)"
            )
        names = [root]
    else:
        names = fs.find(root) if fs.isdir(root) else fs.glob(root)
        names = sorted(name for name in names if _is_known(name))
    if not names:
        raise FileNotFoundError(f"{path}: no Parquet or JSON Lines files here")
    return ((fs, name) for name in names)


def _is_known(name: str) -> bool:
    stem, dot, suffix = name.rpartition(".")
    return name.endswith((".parquet", *_JSON)) or (dot + suffix in _DECOMPRESSORS and stem.endswith(_JSON))


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file, without their ends. Raises ValueError for a damaged or truncated one."""
    suffix = name[name.rindex(".") :]
    blocks = iter(lambda: file.read(_BLOCK), b"")
    if suffix in _DECOMPRESSORS:
        blocks = _decompressed(blocks, _DECOMPRESSORS[suffix])
    rest = io.BytesIO()
    try:
        for block in blocks:
            *lines, last = block.split(b"\n")
            for line in lines:
                rest.write(line)
                yield rest.getvalue()
                rest = io.BytesIO()
            rest.write(last)
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError) as error:
        raise ValueError(f"{name}: cannot be read: {error}") from error
    if rest.tell():
        yield rest.getvalue()


def _decompressed(blocks: Iterable[bytes], start: Callable[[], Any]) -> Iterator[bytes]:
    """All streams of a file, one after the other. Raises EOFError if the last one is truncated."""
    stream = None
    for block in blocks:
        while block:
            stream = stream or start()
            yield stream.decompress(block)
            block = stream.unused_data if stream.eof else b""
            stream = None if stream.eof else stream
    if stream:
        raise EOFError("the compressed file is truncated")
