"""A file at an fsspec URL -> its lines, decompressed on the way in bounded memory, up to any damage.

The usual file objects do not do: those of `bz2` and `lzma` take a damaged second stream for padding and end
without a word, and zstandard's reader does not tell a cut frame from a complete one. So the decompressors are
driven here, all in the same way.
"""

import bz2
import codecs
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import fsspec
import zstandard

from pipeline.errors import UserError, as_user_error

__all__ = ["MAX_LINE", "READ", "WINDOW", "ZSTD", "chunks", "lines", "open_file"]

READ = 1 << 20  # bytes per read of the file
FEED = 1024  # compressed bytes a step: bounds what it can expand to, 32 MB at zstd's utmost 1 : 32,000
MAX_LINE = 16 << 20  # bytes; a submission's text has at most 40,000 characters, the rest is metadata
WINDOW = 2**31  # Pushshift and Arctic Shift compress with `zstd --long=31`


class Decompressor(Protocol):
    """What bz2, lzma, zlib and zstandard agree on: one object for each stream (member, frame)."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes:
        """The next bytes."""


ZSTD = b"\x28\xb5\x2f\xfd"
FORMATS: dict[bytes, Callable[[], Any]] = {
    ZSTD: lambda: zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj(),
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    b"BZh": bz2.BZ2Decompressor,
}
SKIPPABLE = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))  # zstd's frames of metadata
ERRORS = (zstandard.ZstdError, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def open_file(path: str) -> Any:
    """Opens a file for reading bytes. Raises UserError if that cannot be done."""
    with as_user_error(f"{path}: cannot be opened", Exception):
        try:
            fs, name = fsspec.core.url_to_fs(path)
            return fs.open(name, "rb")
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file") from error
        except IsADirectoryError as error:
            raise UserError(f"{path}: is a directory; name the files in it") from error


def chunks(file: Any, counts: Counter[str]) -> Iterator[bytes]:
    """The bytes of an open file, decompressed if its first bytes say so.

    Streams one after the other (zstd frames, gzip members) are read as one; NULs between them are padding.
    At the end of a truncated file, or where it is corrupt, counts one `truncated` and stops. Of a corrupt
    file at most the last 1 kB (compressed) before the damage are lost with what follows.
    """
    first = file.read(READ)
    make = _format(first)
    if make is None:
        while first:
            yield first
            first = file.read(READ)
        return
    stream: Decompressor | None = None
    for piece in _pieces(first, file):
        rest = piece
        while rest := rest if stream else rest.lstrip(b"\0"):
            stream = stream or make()
            try:
                data = stream.decompress(rest)
            except ERRORS:
                counts["truncated"] += 1
                return
            if data:
                yield data
            if not stream.eof:
                break
            rest, stream = stream.unused_data, None
    if stream:
        counts["truncated"] += 1


def lines(chunks: Iterable[bytes], counts: Counter[str], max_line: int = MAX_LINE) -> Iterator[bytes | None]:
    """Lines without their ends (LF or CRLF), NULs and a byte order mark; None for one longer than `max_line`.

    The last line needs no end, unless the chunks stopped at damage (`truncated` was counted): then what
    follows the last end is part of the loss.
    """
    before = counts["truncated"]
    bom = codecs.BOM_UTF8
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        size += len(head)
        if size <= max_line:
            pending.append(head)
        if not rest:
            continue
        *whole, tail = rest
        for line in (b"".join(pending) if size <= max_line else None, *whole):
            if line is None or len(line) > max_line:
                yield None
            else:
                yield line.removeprefix(bom).strip(b"\0\r")
            bom = b""
        pending, size = [tail] if len(tail) <= max_line else [], len(tail)
    if size and counts["truncated"] == before:
        yield b"".join(pending).removeprefix(bom).strip(b"\0\r") if size <= max_line else None


def _format(first: bytes) -> Callable[[], Any] | None:
    if first.startswith(SKIPPABLE):
        return FORMATS[ZSTD]
    return next((make for magic, make in FORMATS.items() if first.startswith(magic)), None)


def _pieces(first: bytes, file: Any) -> Iterator[bytes]:
    block = first
    while block:
        for start in range(0, len(block), FEED):
            yield block[start : start + FEED]
        block = file.read(READ)
