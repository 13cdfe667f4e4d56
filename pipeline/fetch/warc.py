"""Exchanges as WARC 1.1 records (ISO 28500:2017), one gzip member a record, so that one is read by a seek.

A response's block is the status line and headers as parsed, and the body with chunking undone and its content
coding as received (brotli and zstd undone). A header that no longer describes the body is kept under the name
`X-Crawl-…`, as in Common Crawl's files: `Transfer-Encoding`, and `Content-Length` where it differs from what
is stored.
"""

import base64
import hashlib
import io
import shutil
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.fetch.client import Response
from pipeline.fetch.coding import decoded
from pipeline.fetch.outcome import Failure

SPOOL = 1024 * 1024  # bytes of a record in memory; the rest is in a temporary file
VERSION = "1.1"
LEVEL = 4  # of zlib: nearly three times as fast as 9 on HTML, for records 7 % larger


class Payload(NamedTuple):
    """The content of a stored response: `body` decoded, `content_type` the whole HTTP header or None."""

    body: bytes
    content_type: str | None


class Stored(NamedTuple):
    """Where a payload is: offset and length of its response record, in bytes, and its names."""

    offset: int
    length: int
    id: str
    url: str
    date: str


class _Member:
    """A gzip member around a file, complete when it is flushed."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def write(self, data: bytes) -> None:
        self._out.write(self._compressor.compress(data))

    def flush(self) -> None:
        self._out.write(self._compressor.flush())


class _Writer(WARCWriter):  # type: ignore[misc]
    """warcio's writer with a compression level of our own: its 9 costs more than all the rest of a page."""

    def __init__(self, out: Any) -> None:
        super().__init__(out, gzip=False, warc_version=VERSION)

    def write_record(self, record: Any, params: Any = None) -> None:
        self._write_warc_record(_Member(self.out), record)


class WarcFile:
    """A .warc.gz that many threads write to; a context manager. Raises OSError as files do.

    A record is compressed by the thread that adds it; only the copy into the file is one at a time. A payload
    that is there already is not stored again: a revisit record names the first (WARC 1.1, section 6.7.2).
    Holds about 500 bytes for each payload.
    """

    def __init__(self, path: Path, info: Mapping[str, str], end: int = 0) -> None:
        """Opens a file to append behind its first `end` bytes, or makes it."""
        self._file = path.open("r+b" if end else "wb")
        self._lock = threading.Lock()
        self._payloads: dict[bytes, Stored] = {}
        if end:
            self._file.truncate(end)
            self._file.seek(end)
        else:
            writer = _Writer(self._file)
            writer.write_record(writer.create_warcinfo_record(path.name, dict(info)))
            self._file.flush()

    def __enter__(self) -> "WarcFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def end(self) -> int:
        """The length of the file in bytes; whole records."""
        with self._lock:
            return self._file.tell()

    def add(self, response: Response, via: str | None = None, hops: int = 0) -> tuple[int, int]:
        """Writes an exchange: the response, its request, and how it came about.

        via: the URL that redirected here, after `hops` redirects in all. Returns offset and length in bytes
        of the response record that holds the payload: this one, or an earlier one of the same payload.
        """
        identity = _identity(response)
        with self._lock:
            known = self._payloads.get(identity) if identity else None
        with tempfile.SpooledTemporaryFile(SPOOL) as buffer:
            writer = _Writer(buffer)
            record = _revisit(writer, response, known) if known else _response(writer, response)
            writer.write_record(record)
            length = buffer.tell()
            name = record.rec_headers.get_header("WARC-Record-ID")
            if response.request:
                writer.write_record(_request(writer, response, name))
            writer.write_record(_metadata(writer, response, name, via, hops))
            buffer.seek(0)
            with self._lock:
                offset = self._file.tell()
                shutil.copyfileobj(buffer, self._file)
                self._file.flush()
                if known:
                    return known.offset, known.length
                if identity:
                    stored = Stored(offset, length, name, response.target.url, _date(response.fetched))
                    self._payloads.setdefault(identity, stored)
        return offset, length


def _identity(response: Response) -> bytes | None:
    """What two responses have in common whose records can be read in each other's place; None if none can."""
    if not response.n_bytes or response.truncated or not 200 <= (response.status or 0) < 300:
        return None
    response.body.seek(0)
    digest = hashlib.file_digest(response.body, lambda: hashlib.blake2b(digest_size=20))
    for name in ("content-type", "content-encoding"):
        digest.update(f"\n{response.header(name)}".encode())
    return digest.digest()


def _response(writer: _Writer, response: Response) -> Any:
    size = response.body.seek(0, io.SEEK_END)
    response.body.seek(0)
    return writer.create_warc_record(
        response.target.url,
        "response",
        payload=response.body,
        length=size,
        http_headers=_http_headers(response, size),
        warc_headers_dict=_fields(response),
    )


def _revisit(writer: _Writer, response: Response, known: Stored) -> Any:
    response.body.seek(0)
    digest = hashlib.file_digest(response.body, "sha1").digest()
    return writer.create_revisit_record(
        response.target.url,
        "sha1:" + base64.b32encode(digest).decode(),
        known.url,
        known.date,
        http_headers=_http_headers(response, response.body.tell()),
        warc_headers_dict=_fields(response) | {"WARC-Refers-To": known.id},
    )


def _http_headers(response: Response, size: int) -> StatusAndHeaders:
    headers = []
    for name, value in response.headers:
        stale = name.lower() == "transfer-encoding" or (
            name.lower() == "content-length" and value != str(size)
        )
        headers.append((f"X-Crawl-{name}" if stale else name, value))
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("Content-Length", str(size)))
    return StatusAndHeaders(response.status_line, headers, protocol="HTTP/1.1")


def _fields(response: Response) -> dict[str, str]:
    fields = {"WARC-Date": _date(response.fetched)}
    if response.peer:
        fields["WARC-IP-Address"] = response.peer
    if response.truncated:
        fields["WARC-Truncated"] = response.truncated
    return fields


def _request(writer: _Writer, response: Response, response_id: str) -> Any:
    fields = {"WARC-Date": _date(response.fetched), "WARC-Concurrent-To": response_id}
    return writer.create_warc_record(
        response.target.url,
        "request",
        payload=io.BytesIO(response.request),
        length=len(response.request),
        warc_headers_dict=fields,
    )


def _metadata(writer: _Writer, response: Response, response_id: str, via: str | None, hops: int) -> Any:
    said: dict[str, Any] = {"fetchTimeMs": round(response.seconds * 1000), "hopsFromSeed": "R" * hops}
    if via:
        said["via"] = via
    if response.failure:
        said["outcome"] = " ".join(str(response.failure).split())
    block = "".join(f"{name}: {value}\r\n" for name, value in said.items()).encode()
    return writer.create_warc_record(
        response.target.url,
        "metadata",
        payload=io.BytesIO(block),
        length=len(block),
        warc_content_type="application/warc-fields",
        warc_headers_dict={"WARC-Date": _date(response.fetched), "WARC-Concurrent-To": response_id},
    )


def _date(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_body(file: BinaryIO, offset: int, length: int) -> Payload:
    """The content of the response record at `offset`, of `length` bytes as in the table of pages.

    Also for records of others: chunking and the content coding are undone where the headers still name them,
    and a body that was cut, or does not decode further, is returned as far as it goes. The whole content is
    in memory. Raises ValueError if there is no response record with HTTP headers.
    """
    file.seek(offset)
    record = next(ArchiveIterator(io.BytesIO(file.read(length))), None)
    if record is None or record.rec_type not in ("response", "resource") or record.http_headers is None:
        raise ValueError(f"no HTTP response record at offset {offset} (found {record and record.rec_type})")
    headers = record.http_headers
    body = bytearray()
    try:
        for piece in decoded(unchunked(record), headers.get_header("Content-Encoding")):
            body += piece
    except Failure:
        pass
    return Payload(bytes(body), headers.get_header("Content-Type"))


def unchunked(record: Any) -> Iterator[bytes]:
    """The body of a record of warcio's with HTTP headers, chunking undone where the headers name it."""
    stream = record.raw_stream
    if "chunked" in (record.http_headers.get_header("Transfer-Encoding") or "").lower():
        stream = ChunkedDataReader(stream)
    return iter(lambda: stream.read(65536), b"")
