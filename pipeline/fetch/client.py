"""One exchange with a server: a request, and a response that is read only as far as it is wanted.

Nothing is raised: what went wrong is `Response.failure`, beside whatever arrived before.
"""

import contextlib
import http.client
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict

from pipeline.fetch.coding import ACCEPT_ENCODING, decoded
from pipeline.fetch.guard import Guard
from pipeline.fetch.names import Lookup
from pipeline.fetch.outcome import Failure, http_reason
from pipeline.fetch.target import Target
from pipeline.fetch.transport import Budget, Transport, spending
from pipeline.settings import Fetch
from pipeline.tables import OK

CHUNK = 16 * 1024
SPOOL = 1024 * 1024  # bytes of a body in memory; the rest is in a temporary file
UNUSED_BODY = 64 * 1024  # of redirects and errors: enough to keep the connection
HEAD = 1024  # bytes looked at when a type is checked

REDIRECTS = frozenset({301, 302, 303, 307, 308})

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
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta)\b", re.I | re.S
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
    seconds: float = 0.0
    touched: float = 0.0  # time.monotonic() when the server last heard from us
    contacted: bool = False

    def verdict(self) -> Failure:
        """The outcome that a final response is, which may be `ok`."""
        if self.status is not None and not 200 <= self.status < 300:
            return Failure(http_reason(self.status), self.status_line)
        if self.failure or not self.n_bytes:
            return self.failure or Failure("empty_body", "")
        return Failure(OK, "")

    def header(self, name: str) -> str | None:
        """The first header of a name, in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class Client:
    """Sends requests through the guard. Keeps no cookies, reads no proxy or netrc. Safe for many threads."""

    def __init__(self, settings: Fetch, user_agent: str) -> None:
        self._settings = settings
        self._guard = Guard(settings.allow_networks, settings.connect_to, settings.nameservers)
        self.patience = min(settings.connect_timeout, settings.deadline)  # seconds, with the resolver
        self._transport = Transport(self._guard)
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.1",
            "Accept-Encoding": ACCEPT_ENCODING,
        }

    def close(self) -> None:
        """Closes every connection."""
        self._transport.close()
        self._guard.close()

    def lookup(self, target: Target) -> Lookup | None:
        """The look-up of the target's name, if there is one to wait for."""
        with contextlib.suppress(Failure):  # `get` will meet it again
            return self._guard.lookup(self._guard.route(target), self.patience)
        return None

    def address(self, target: Target) -> str | None:
        """The address that a request would go to; None if it cannot be known, or was given by the user."""
        try:
            route = self._guard.route(target)
            return None if route.named else str(self._guard.resolve(route, self.patience)[0].address[0])
        except Failure:  # `get` will meet it again
            return None

    def get(
        self, target: Target, *, seconds: float, max_bytes: int, content_types: list[str] | None
    ) -> Response:
        """GETs a target within `seconds`. The caller closes the response's `body`.

        max_bytes: cap of the body, encoded and decoded. content_types: the body of another type is not read.
        """
        started = time.monotonic()
        response = Response(target, tempfile.SpooledTemporaryFile(SPOOL))  # noqa: SIM115 - the caller closes it
        try:
            budget = Budget(
                self._guard.route(target),
                started + seconds,
                self._settings.connect_timeout,
                self._settings.read_timeout,
            )
        except Failure as failure:
            response.failure = failure
            return response
        untouched = budget.touched
        with spending(budget):
            try:
                self._exchange(response, budget, max_bytes, content_types)
            except Failure as failure:
                response.failure = failure
            except (
                requests.RequestException,
                urllib3.exceptions.HTTPError,
                http.client.HTTPException,
            ) as error:
                response.failure = _explain(error)
        if response.failure and response.status is not None:
            response.truncated = {
                "too_large": "length",
                "timeout": "time",
                "content_type": "unspecified",
            }.get(response.failure.reason, "disconnect")
        response.request, response.peer = budget.request, budget.peer
        response.touched, response.contacted = budget.touched, budget.touched > untouched
        response.seconds = time.monotonic() - started
        return response

    def _exchange(
        self, response: Response, budget: Budget, max_bytes: int, content_types: list[str] | None
    ) -> None:
        request = requests.PreparedRequest()  # not `prepare`: the target is prepared, once for many requests
        request.method, request.url = "GET", response.target.url
        request.headers = CaseInsensitiveDict({"Host": response.target.authority, **self._headers})
        raw: Any = self._transport.send(request, stream=True).raw
        try:
            response.status = raw.status
            response.status_line = " ".join(f"{raw.status} {raw.reason or ''}".split())
            response.headers = [(name, " ".join(value.split())) for name, value in raw.headers.items()]
            limit = max_bytes if 200 <= raw.status < 300 else min(UNUSED_BODY, max_bytes)
            budget.expect_body(limit)
            take(response, raw.stream(CHUNK, decode_content=False), limit, content_types)
        finally:
            if raw.isclosed():
                raw.release_conn()
            else:
                raw.close()


def take(response: Response, body: Iterable[bytes], limit: int, content_types: list[str] | None) -> None:
    """Takes the body of a response whose status and headers are known, as far as it is wanted.

    body: as encoded. limit: of its bytes, encoded and decoded. Raises Failure if it is not a whole body, or a
    2xx's that is not of one of `content_types` (None: any).
    """
    response.content_type, response.charset = _media_type(response.header("content-type"))
    kind = response.content_type
    wanted = 200 <= (response.status or 0) < 300 and content_types is not None
    if wanted and kind is not None and kind not in (content_types or ()):
        raise Failure("content_type", kind)
    head = _read(body, response, limit)
    if wanted and response.n_bytes:
        _check_head(response, head, content_types or [])


def _read(body: Iterable[bytes], response: Response, limit: int) -> bytes:
    """Copies the body to `response.body`, counts its content, and returns the content's first HEAD bytes.

    Codings that few readers of WARC know (brotli, zstd) are undone, the header is kept under another name,
    as Common Crawl does.
    """
    encoding = ", ".join(value for name, value in response.headers if name.lower() == "content-encoding")
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

    head = b""
    for piece in decoded(chunks(), encoding):
        head += piece[: HEAD - len(head)]
        if rare:
            response.body.write(piece[: limit - response.n_bytes])
        response.n_bytes += len(piece)
        if response.n_bytes > limit:
            raise Failure("too_large", f"more than {limit} bytes decoded")
    return head


def _media_type(header: str | None) -> tuple[str | None, str | None]:
    """The media type and the charset that a Content-Type header names, in lower case."""
    if not header or not header.strip():
        return None, None
    kind = re.split(r"[;,\s]", header.strip(), maxsplit=1)[0].lower()
    charset = re.search(r"charset\s*=\s*[\"']?([^\s\"';,]+)", header, re.IGNORECASE)
    return kind[:100] or None, charset[1].lower()[:40] if charset else None


def _check_head(response: Response, head: bytes, content_types: list[str]) -> None:
    """Raises Failure("content_type") for binary data under a text type; names HTML without a type."""
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff") or (response.charset or "").startswith(
        ("utf-16", "utf-32", "ucs")
    )
    if head.startswith(_BINARY) or (b"\0" in head and not wide):
        raise Failure("content_type", f"binary data served as {response.content_type}: {head[:8]!r}")
    if response.content_type is None:
        if not _HTML.match(head) or "text/html" not in content_types:
            raise Failure("content_type", "no Content-Type, and no HTML by its first bytes")
        response.content_type = "text/html"


def _explain(error: Exception) -> Failure:
    """Names what requests, urllib3 or http.client raised, by the whole chain of exceptions."""
    detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    chain: list[Any] = []
    pending: list[Any] = [error]
    while pending and len(chain) < 20:
        link = pending.pop()
        if isinstance(link, BaseException) and link not in chain:
            chain.append(link)
            pending += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    if any(isinstance(link, Failure) for link in chain):
        return next(link for link in chain if isinstance(link, Failure))
    if any(isinstance(link, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) for link in chain):
        return Failure("tls_error", detail)
    if any(isinstance(link, (TimeoutError, urllib3.exceptions.TimeoutError)) for link in chain):
        return Failure("timeout", detail, retry=True)
    if any(isinstance(link, http.client.LineTooLong) or "100 headers" in str(link) for link in chain):
        return Failure("headers_too_large", detail)
    if any(isinstance(link, ConnectionError) for link in chain):
        return Failure("connection_reset", detail, retry=True)
    with contextlib.suppress(StopIteration):
        detail = next(str(link) for link in chain if isinstance(link, http.client.IncompleteRead))
    return Failure("protocol_error", detail)
