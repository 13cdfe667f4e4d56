"""Content codings undone in bounded steps: whatever a stream expands to, little of it is in memory."""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import brotlicffi as brotli
import zstandard

from pipeline.fetch.outcome import Failure

__all__ = ["ACCEPT_ENCODING", "HTML", "PIECE", "decoded", "undone"]

ACCEPT_ENCODING = "gzip, deflate, br, zstd"
PIECE = 64 * 1024  # bytes
MAX_CODINGS = 3  # a server that compresses twice is odd; one that goes on and on is hostile
ZSTD_WINDOW = 8 * 1024 * 1024  # bytes; RFC 9659 allows no more
ZSTD_FEED = 64  # compressed bytes a step: bounds what it can expand to, 2 MB at zstd's utmost 1 : 32,000
_MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}

HTML = re.compile(  # where it begins, after a byte order mark, white space or comments
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta)\b", re.I | re.S
)


def decoded(chunks: Iterable[bytes], content_encoding: str | None) -> Iterator[bytes]:
    """The content of a body whose encoded bytes are `chunks`; pieces of at most PIECE bytes when compressed.

    Raises Failure("decode_error") for a coding that is unknown, corrupt or ends early. What follows the end
    of a stream is ignored, but for brotli's. Holds at most 2 MB of content, and zstd's window.
    """
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    codings = [name for name in names if name not in ("", "identity", "none")]
    if len(codings) > MAX_CODINGS:
        raise Failure("decode_error", f"{len(codings)} content codings")
    stream = iter(chunks)
    for coding in reversed(codings):
        if coding in ("gzip", "x-gzip"):
            stream = _inflated(stream, _gzip_member)
        elif coding == "deflate":
            stream = _inflated(stream, _deflate_stream)
        elif coding == "br":
            stream = _brotli(stream)
        elif coding == "zstd":
            stream = _zstd(stream)
        else:
            raise Failure("decode_error", f"content coding {coding[:40]!r}")
    return stream


def undone(head: bytes, content_encoding: str | None) -> bool:
    """Whether a body that begins with `head` has lost the coding that its header still names.

    So do the bodies of some WARC files, whose writers stored what their HTTP library gave them. gzip and zstd
    begin with a magic number; deflate and brotli have none, and are taken for undone where HTML begins.
    """
    outermost = (content_encoding or "").rpartition(",")[2].strip().lower()
    if outermost in _MAGIC:
        return bool(head) and not head.startswith(_MAGIC[outermost])
    return outermost in ("deflate", "br") and HTML.match(head) is not None


def _brotli(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """One stream (RFC 7932)."""
    stream = brotli.Decompressor()
    empty = True
    try:
        for chunk in chunks:
            empty = empty and not chunk
            while not stream.is_finished() and (chunk or not stream.can_accept_more_data()):
                piece = stream.process(chunk, output_buffer_limit=PIECE // 2)
                chunk = b""
                yield from _sliced(piece)
    except brotli.error as error:
        raise Failure("decode_error", f"brotli: {error}") from error
    if not (empty or stream.is_finished()):
        raise Failure("decode_error", "the compressed stream ends early")


def _zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """All frames of a stream (RFC 8878)."""
    stream = None
    complete = ignoring = False
    for chunk in chunks:
        for start in range(0, 0 if ignoring else len(chunk), ZSTD_FEED):
            data = chunk[start : start + ZSTD_FEED]
            while data and not ignoring:
                stream = stream or zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
                try:
                    yield from _sliced(stream.decompress(data))
                except zstandard.ZstdError as error:
                    if not complete:
                        raise Failure("decode_error", f"zstd: {error}") from error
                    ignoring = True
                data = b""
                if stream.eof:
                    complete, data, stream = True, stream.unused_data, None
    if stream is not None and not complete:
        raise Failure("decode_error", "the compressed stream ends early")


def _sliced(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def _gzip_member(_: bytes) -> Any:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _deflate_stream(data: bytes) -> Any:
    """A zlib stream, or the raw one that many servers send in its place (RFC 9110, section 8.4.1.2)."""
    has_header = data[0] & 0x0F == 8 and (len(data) == 1 or int.from_bytes(data[:2], "big") % 31 == 0)
    return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)


def _inflated(chunks: Iterator[bytes], start: Callable[[bytes], Any]) -> Iterator[bytes]:
    """All members of a stream (RFC 1952, section 2.2)."""
    stream = None
    complete = ignoring = False
    for chunk in chunks:
        data = b"" if ignoring else chunk
        while data:
            stream = stream or start(data)
            try:
                piece = stream.decompress(data, PIECE)
            except zlib.error as error:
                if not complete:
                    raise Failure("decode_error", str(error)) from error
                ignoring = True
                break
            if piece:
                yield piece
            data = stream.unconsumed_tail
            if stream.eof:
                complete, data, stream = True, stream.unused_data, None
    if stream is not None and not ignoring:
        if rest := stream.flush():  # a few matches at most: all input was consumed
            yield rest
        if not (stream.eof or complete):
            raise Failure("decode_error", "the compressed stream ends early")
