"""A response, read only as far as it is wanted, from the network or from the WARC files of others."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.corpus.schemas import OK
from pipeline.fetch import consent
from pipeline.fetch.consent import Reader, Signal
from pipeline.fetch.http.content_coding import HTML, decoded
from pipeline.fetch.http.target import Target
from pipeline.fetch.outcome import Failure, http_reason
from pipeline.media_type import media_type

__all__ = ["HEAD", "SPOOL", "Response", "take"]

SPOOL = 1024 * 1024  # bytes of a body in memory; the rest is in a temporary file
HEAD = 1024  # bytes looked at when a type is checked

_BINARY = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\x89PNG\r\n",
    b"GIF8",
    b"\xff\xd8\xff",
    b"\x1f\x8b",
    b"Rar!",
    b"\x7fELF",
    b"wOF",
)


@dataclass
class Response:
    """What came of a request. Times in seconds; `body` is encoded as `headers` say in Content-Encoding."""

    target: Target
    body: tempfile.SpooledTemporaryFile[bytes]
    fetched: datetime = field(default_factory=lambda: datetime.now(UTC))
    request: bytes = b""  # as sent; empty if no connection was made
    peer: str | None = None
    status: int | None = None
    status_line: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str | None = None
    charset: str | None = None
    n_bytes: int = 0  # of the content, decoded
    truncated: str | None = (
        None  # why the body is not whole: length, time, disconnect or unspecified (WARC 1.1)
    )
    failure: Failure | None = None
    consent: list[str] = field(default_factory=list)  # what was said of the use of the page, and where
    seconds: float = 0.0
    last_sent: float = 0.0  # time.monotonic() when the server last heard from us
    contacted: bool = False

    def verdict(self) -> Failure:
        """The outcome that a final response is, which may be `ok`."""
        if self.status is not None and not 200 <= self.status < 300:
            return Failure(http_reason(self.status), self.status_line)
        if self.failure or not self.n_bytes:
            return self.failure or Failure("empty_body", "")
        return Failure(OK, "")

    @property
    def coding(self) -> str:
        """The content coding of `body`, by all its headers."""
        return ", ".join(value for name, value in self.headers if name.lower() == "content-encoding")

    def header(self, name: str) -> str | None:
        """The first header of a name, in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def take(
    response: Response,
    body: Iterable[bytes],
    limit: int,
    content_types: list[str] | None,
    reader: Reader | None = None,
) -> None:
    """Takes the body of a response whose status and headers are known, as far as it is wanted.

    body: as encoded. limit: of its bytes, encoded and decoded. Raises Failure if it is not a whole body, or a
    2xx's that is not of one of `content_types` (None: any), or that its publisher does not want to be used,
    as `reader` (None: nobody) understands it: of that no body is kept.
    """
    response.content_type, response.charset = media_type(response.header("content-type"))
    kind = response.content_type
    good = 200 <= (response.status or 0) < 300
    wanted = good and content_types is not None
    if wanted and kind is not None and kind not in (content_types or ()):
        raise Failure("content_type", kind)
    if reader and good:
        _ask_consent(response, reader, reader.headers(response.headers))
    head = bytearray()
    try:
        _read(body, response, limit, head)
    except Exception:
        if reader and good:
            _ask_the_page(response, reader, bytes(head))
        raise
    if reader and good:
        _ask_the_page(response, reader, bytes(head))
    if wanted and response.n_bytes:
        _check_head(response, bytes(head[:HEAD]), content_types or [])


def _ask_the_page(response: Response, reader: Reader, head: bytes) -> None:
    """Raises Failure for a page whose meta elements refuse.

    Its body goes, and its headers keep the words.
    """
    if response.content_type == "text/plain":
        return
    signals = reader.page(head, response.charset)
    try:
        _ask_consent(response, reader, signals)
    except Failure:
        response.headers += [(consent.EVIDENCE, "; ".join(signal)) for signal in signals]
        response.body.seek(0)
        response.body.truncate()
        response.n_bytes = 0
        raise


def _ask_consent(response: Response, reader: Reader, signals: list[Signal]) -> None:
    response.consent += [signal.evidence for signal in signals]
    if refusal := reader.refusal(signals):
        raise refusal


def _read(body: Iterable[bytes], response: Response, limit: int, head: bytearray) -> None:
    """Copies the body to `response.body`, counts its content, and gives `head` the beginning of the content.

    Codings that few readers of WARC know (brotli, zstd) are undone, the header is kept under another name,
    as Common Crawl does.
    """
    encoding = response.coding
    rare = bool(re.search(r"\b(br|zstd)\b", encoding, re.IGNORECASE))
    if rare:
        response.headers = [
            (f"X-Crawl-{name}" if name.lower() == "content-encoding" else name, value)
            for name, value in response.headers
        ]

    def chunks() -> Iterator[bytes]:
        size = 0
        for chunk in body:
            kept = chunk[: limit - size]
            if not rare:
                response.body.write(kept)
            size += len(kept)
            yield kept
            if len(kept) < len(chunk):
                raise Failure("too_large", f"more than {limit} bytes encoded")

    for piece in decoded(chunks(), encoding):
        head += piece[: consent.HEAD - len(head)]
        if rare:
            response.body.write(piece[: limit - response.n_bytes])
        response.n_bytes += len(piece)
        if response.n_bytes > limit:
            raise Failure("too_large", f"more than {limit} bytes decoded")


def _check_head(response: Response, head: bytes, content_types: list[str]) -> None:
    """Raises Failure("content_type") for binary data under a text type; names HTML without a type."""
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff") or (response.charset or "").startswith(
        ("utf-16", "utf-32", "ucs")
    )
    if head.startswith(_BINARY) or (b"\0" in head and not wide):
        raise Failure("content_type", f"binary data served as {response.content_type}: {head[:8]!r}")
    if response.content_type is None:
        if not HTML.match(head) or "text/html" not in content_types:
            raise Failure("content_type", "no Content-Type, and no HTML by its first bytes")
        response.content_type = "text/html"
