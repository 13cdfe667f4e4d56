"""One exchange with a server: a request, and a response that is read only as far as it is wanted.

Nothing is raised: what went wrong is `Response.failure`, beside whatever arrived before.
"""

import contextlib
import http.client
import tempfile
import time
from typing import Any

import requests
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict

from pipeline.fetch import agent, consent
from pipeline.fetch.http.connection import Budget, within
from pipeline.fetch.http.content_coding import ACCEPT_ENCODING
from pipeline.fetch.http.guard import Guard
from pipeline.fetch.http.resolver import Lookup
from pipeline.fetch.http.response import SPOOL, Response, take
from pipeline.fetch.http.target import Target
from pipeline.fetch.http.transport import Transport
from pipeline.fetch.outcome import Failure
from pipeline.settings import Fetch

__all__ = ["REDIRECTS", "Client"]

CHUNK = 64 * 1024
UNUSED_BODY = 64 * 1024  # of redirects and errors: enough to keep the connection

REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Client:
    """Sends requests through the guard. Keeps no cookies, reads no proxy or netrc. Safe for many threads."""

    def __init__(self, settings: Fetch, user_agent: str) -> None:
        self._settings = settings
        self._guard = Guard(settings.allow_networks, settings.connect_to, settings.nameservers)
        self.resolve_timeout = min(settings.connect_timeout, settings.deadline)  # seconds, with the resolver
        self._transport = Transport(self._guard)
        self._reader = consent.Reader(settings.consent, agent.product(settings))
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
            return self._guard.lookup(self._guard.route(target), self.resolve_timeout)
        return None

    def address(self, target: Target) -> str | None:
        """The address that a request would go to; None if it cannot be known, or was given by the user."""
        try:
            route = self._guard.route(target)
            return (
                None if route.trusted else str(self._guard.resolve(route, self.resolve_timeout)[0].address[0])
            )
        except Failure:  # `get` will meet it again
            return None

    def get(
        self, target: Target, *, seconds: float, max_bytes: int, content_types: list[str] | None
    ) -> Response:
        """GETs a target within `seconds`. The caller closes the response's `body`.

        max_bytes: cap of the body, encoded and decoded. content_types: the body of another type is not
        read, nor kept where its publisher refuses its use; None: any type, and nobody is asked (robots.txt).
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
        untouched = budget.last_sent
        with within(budget):
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
                **dict.fromkeys(("content_type", *consent.REASONS), "unspecified"),
            }.get(response.failure.reason, "disconnect")
        response.request, response.peer = budget.request, budget.peer
        response.last_sent, response.contacted = budget.last_sent, budget.last_sent > untouched
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
            reader = self._reader if content_types is not None else None
            take(response, raw.stream(CHUNK, decode_content=False), limit, content_types, reader)
        finally:
            if raw.isclosed():
                raw.release_conn()
            else:
                raw.close()


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
