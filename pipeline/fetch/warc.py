"""Exchanges as WARC 1.1 records (ISO 28500:2017), one gzip member a record, so that one is read by a seek.

A response's block is the status line and headers as parsed, and the body with chunking undone and its content
coding as received. A header that no longer describes the body is kept under the name `X-Crawl-…`, as in
Common Crawl's files: `Transfer-Encoding`, and `Content-Length` where it differs from what is stored.
"""

import io
import shutil
import tempfile
import threading
from collections.abc import Mapping
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


class Payload(NamedTuple):
    """The content of a stored response: `body` decoded, `content_type` the whole HTTP header or None."""

    body: bytes
    content_type: str | None


class WarcFile:
    """A .warc.gz that many threads write to; a context manager. Raises OSError as files do.

    A record is compressed by the thread that adds it; only the copy into the file is one at a time.
    """

    def __init__(self, path: Path, info: Mapping[str, str]) -> None:
        self._file = path.open("wb")
        self._lock = threading.Lock()
        writer = WARCWriter(self._file, gzip=True, warc_version=VERSION)
        writer.write_record(writer.create_warcinfo_record(path.name, dict(info)))

    def __enter__(self) -> "WarcFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, response: Response) -> tuple[int, int]:
        """Writes the response and its request; returns the response record's offset and length in bytes."""
        with tempfile.SpooledTemporaryFile(SPOOL) as buffer:
            writer = WARCWriter(buffer, gzip=True, warc_version=VERSION)
            record = _response(writer, response)
            writer.write_record(record)
            length = buffer.tell()
            writer.write_record(_request(writer, response, record.rec_headers.get_header("WARC-Record-ID")))
            buffer.seek(0)
            with self._lock:
                offset = self._file.tell()
                shutil.copyfileobj(buffer, self._file)
        return offset, length


def _response(writer: WARCWriter, response: Response) -> Any:
    size = response.body.seek(0, io.SEEK_END)
    response.body.seek(0)
    headers = []
    for name, value in response.headers:
        stale = name.lower() == "transfer-encoding" or (
            name.lower() == "content-length" and value != str(size)
        )
        headers.append((f"X-Crawl-{name}" if stale else name, value))
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("Content-Length", str(size)))
    fields = {"WARC-Date": _date(response.fetched)}
    if response.peer:
        fields["WARC-IP-Address"] = response.peer
    if response.truncated:
        fields["WARC-Truncated"] = response.truncated
    return writer.create_warc_record(
        response.target.url,
        "response",
        payload=response.body,
        length=size,
        http_headers=StatusAndHeaders(response.status_line, headers, protocol="HTTP/1.1"),
        warc_headers_dict=fields,
    )


def _request(writer: WARCWriter, response: Response, response_id: str) -> Any:
    fields = {"WARC-Date": _date(response.fetched), "WARC-Concurrent-To": response_id}
    return writer.create_warc_record(
        response.target.url,
        "request",
        payload=io.BytesIO(response.request),
        length=len(response.request),
        warc_headers_dict=fields,
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
    stream = record.raw_stream
    if "chunked" in (headers.get_header("Transfer-Encoding") or "").lower():
        stream = ChunkedDataReader(stream)
    body = bytearray()
    try:
        for piece in decoded(iter(lambda: stream.read(65536), b""), headers.get_header("Content-Encoding")):
            body += piece
    except Failure:
        pass
    return Payload(bytes(body), headers.get_header("Content-Type"))
