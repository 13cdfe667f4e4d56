"""Exchanges as WARC 1.1 records (ISO 28500:2017), one gzip member a record, so that one is read by a seek.

A response's block is the status line and headers as parsed, and the body with chunking undone and its content
coding as received (brotli and zstd undone). A header that no longer describes the body is kept under the name
`X-Crawl-…`, as in Common Crawl's files: `Transfer-Encoding`, and `Content-Length` where it differs from what
is stored.
"""

import hashlib
import io
import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader

from pipeline.fetch.archives import record
from pipeline.fetch.http.content_coding import decoded, undone
from pipeline.fetch.http.response import HEAD, Response
from pipeline.fetch.outcome import Failure

__all__ = ["WarcFile", "content", "read_body"]

SPOOL = 1024 * 1024  # bytes of a record in memory; the rest is in a temporary file
IDENTICAL = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"

Identity = tuple[bytes, str | None, str | None]  # SHA-1 of a payload, its type, its coding


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
        self._payloads: dict[Identity, Stored] = {}
        if end:
            self._file.truncate(end)
            self._file.seek(end)
        else:
            named = {"WARC-Date": record.date(datetime.now(UTC)), "WARC-Filename": path.name}
            record.write(self._file, "warcinfo", record.FIELDS, named, record.lines(info))
            self._file.flush()
        self.end = self._file.tell()  # of the last whole exchange, in bytes

    def __enter__(self) -> "WarcFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, response: Response, via: str | None = None, hops: int = 0) -> tuple[int, int]:
        """Writes an exchange: the response, its request, and how it came about.

        via: the URL that redirected here, after `hops` redirects in all. Returns offset and length in bytes
        of the response record that holds the payload: this one, or an earlier one of the same payload.
        """
        payload, identity = _identity(response)
        with self._lock:
            known = self._payloads.get(identity) if identity else None
        with tempfile.SpooledTemporaryFile(SPOOL) as buffer:
            name = _response(buffer, response, payload, known)
            length = buffer.tell()
            common = {
                "WARC-Target-URI": response.target.url,
                "WARC-Date": record.date(response.fetched),
                "WARC-Concurrent-To": name,
            }
            if response.request:
                record.write(buffer, "request", record.HTTP_REQUEST, common, response.request)
            record.write(buffer, "metadata", record.FIELDS, common, _metadata(response, via, hops))
            buffer.seek(0)
            with self._lock:
                offset = self.end
                shutil.copyfileobj(buffer, self._file, SPOOL)
                self._file.flush()
                self.end = self._file.tell()
                if known:
                    return known.offset, known.length
                if identity:
                    date = common["WARC-Date"]
                    self._payloads.setdefault(
                        identity, Stored(offset, length, name, response.target.url, date)
                    )
        return offset, length


def _identity(response: Response) -> tuple[bytes, Identity | None]:
    """The payload's SHA-1, and what two responses share whose records can be read in each other's place.

    None in place of the latter if no other's record can.
    """
    digest = hashlib.sha1()
    for piece in record.pieces(response.body):
        digest.update(piece)
    payload = digest.digest()
    if not response.n_bytes or response.truncated or not 200 <= (response.status or 0) < 300:
        return payload, None
    return payload, (payload, response.header("content-type"), response.header("content-encoding"))


def _response(out: IO[bytes], response: Response, payload: bytes, known: Stored | None) -> str:
    """Writes the record of a response, or of a revisit of a `known` payload; returns its id."""
    fields = {
        "WARC-Target-URI": response.target.url,
        "WARC-Date": record.date(response.fetched),
        "WARC-Payload-Digest": record.sha1(payload),
    }
    if response.peer:
        fields["WARC-IP-Address"] = response.peer
    if response.truncated:
        fields["WARC-Truncated"] = response.truncated
    head = _http_head(response, response.body.seek(0, io.SEEK_END))
    if known is None:
        return record.write(out, "response", record.HTTP_RESPONSE, fields, head, response.body)
    fields |= {
        "WARC-Profile": IDENTICAL,
        "WARC-Refers-To": known.id,
        "WARC-Refers-To-Target-URI": known.url,
        "WARC-Refers-To-Date": known.date,
    }
    return record.write(out, "revisit", record.HTTP_RESPONSE, fields, head)


def _http_head(response: Response, size: int) -> bytes:
    """The status line and the headers as they describe a body of `size` bytes."""
    lines = [f"HTTP/1.1 {response.status_line}"]
    has_length = False
    for name, value in response.headers:
        low = name.lower()
        stale = low == "transfer-encoding" or (low == "content-length" and value != str(size))
        has_length = has_length or low == "content-length"
        lines.append(f"X-Crawl-{name}: {value}" if stale else f"{name}: {value}")
    if not has_length:
        lines.append(f"Content-Length: {size}")
    text = "\r\n".join(lines) + "\r\n\r\n"
    try:
        return text.encode("latin-1")  # http.client reads headers so: the very bytes
    except UnicodeEncodeError:  # of other readers
        return text.encode()


def _metadata(response: Response, via: str | None, hops: int) -> bytes:
    said = {"fetchTimeMs": str(round(response.seconds * 1000)), "hopsFromSeed": "R" * hops}
    if via:
        said["via"] = via
    if response.failure:
        said["outcome"] = " ".join(str(response.failure).split())
    return record.lines(said)


def read_body(file: BinaryIO, offset: int, length: int) -> Payload:
    """The content of the response record at `offset`, of `length` bytes as in the table of pages.

    Also for records of others: chunking and the content coding are undone where the body still has them,
    and a body that was cut, or does not decode further, is returned as far as it goes. The whole content is
    in memory. Raises ValueError if there is no response record with HTTP headers.
    """
    file.seek(offset)
    found = next(ArchiveIterator(io.BytesIO(file.read(length))), None)
    if found is None or found.rec_type not in ("response", "resource") or found.http_headers is None:
        raise ValueError(f"no HTTP response record at offset {offset} (found {found and found.rec_type})")
    body = bytearray()
    try:
        for piece in decoded(*content(found)):
            body += piece
    except Failure:
        pass
    return Payload(bytes(body), found.http_headers.get_header("Content-Type"))


def content(found: Any) -> tuple[Iterator[bytes], str | None]:
    """The body of a record that warcio has found, with HTTP headers, and the content coding that it has.

    Chunking is undone where the headers name it. The coding is None where the headers name one that the body
    has lost.
    """
    headers = found.http_headers
    stream = found.raw_stream
    if "chunked" in (headers.get_header("Transfer-Encoding") or "").lower():
        stream = ChunkedDataReader(stream)
    body = iter(lambda: stream.read(65536), b"")
    coding = ", ".join(value for name, value in headers.headers if name.lower() == "content-encoding")
    head = b""
    while len(head) < HEAD and (piece := next(body, b"")):
        head += piece
    return itertools.chain([head] if head else [], body), None if undone(head[:HEAD], coding) else coding
