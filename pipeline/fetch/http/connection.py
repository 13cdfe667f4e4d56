"""Sockets that cannot be held and connections that cannot be confused.

The timeouts of requests and urllib3 bound a single wait for bytes, so that a server that drips one byte at a
time holds a thread for ever. Here every read of a socket (status line, headers, chunk sizes, body; TLS or
not) first asks the exchange's `Budget` how long it may still wait and how many bytes it may still take.

A response belongs to a request only by its place on the connection (RFC 9112, section 9.2). So a connection
is used again only while every byte on it is accounted for: interim responses are read past, a request is not
sent where bytes are waiting already, and what follows a body, or a body whose length can be read in two ways,
closes the connection. Bytes that a server sends unasked after the next request has gone out look like the
response to it; no client can tell.
"""

import contextlib
import errno
import http
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pipeline.fetch import one_at_a_time
from pipeline.fetch.http.guard import Guard, Route
from pipeline.fetch.outcome import Failure

__all__ = ["Budget", "KeptConnection", "TlsSocket", "connect", "current_route", "within"]

HEAD_BYTES = 128 * 1024  # of status line and headers, those of interim responses included
INTERIM = 20  # interim responses before a final one, apart from 100, which HEAD_BYTES alone bounds
AT_ONCE = 8192  # bytes of a request that no server can make us wait for: they go into the socket's buffer


@dataclass
class Budget:
    """What one exchange may still cost, and what it has seen. Times are of `time.monotonic()`, in seconds."""

    route: Route
    deadline: float
    connect_wait: float
    read_wait: float
    bytes_left: int = HEAD_BYTES
    overrun: str = "headers_too_large"  # the reason when the bytes are spent
    last_sent: float = field(default_factory=time.monotonic)  # when the server last heard from us
    request: bytes = b""  # as sent
    peer: str | None = None  # the address connected to

    def wait(self, limit: float) -> float:
        """How long to wait for the network now. Raises Failure("timeout") after the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failure("timeout", "not complete within the deadline")
        return min(left, limit)

    def take(self, count: int) -> None:
        """Accounts for bytes received."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise Failure(self.overrun, "more bytes than the bound")

    def expect_body(self, count: int) -> None:
        """From here on the bytes are a body's; twice its cap leaves room for chunk framing."""
        self.bytes_left = 2 * count + HEAD_BYTES
        self.overrun = "too_large"


_budget: ContextVar[Budget] = ContextVar("budget")


@contextlib.contextmanager
def within(budget: Budget) -> Iterator[Budget]:
    """Makes `budget` that of every socket operation of this thread."""
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


def current_route() -> Route:
    """Where the exchange of this thread goes."""
    return _budget.get().route


class _Bounded(socket.socket):
    surplus = False  # whether the server sent more than it was asked for
    _at_once = False  # whether a read takes only what is there

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self._at_once:
            return int(self._ready(super().recv_into, *args, **kwargs))
        budget = _budget.get()
        limit = budget.wait(budget.read_wait)
        try:
            try:
                count = int(self._ready(super().recv_into, *args, **kwargs))
            except BlockingIOError:
                self.settimeout(limit)
                with one_at_a_time.waiting():
                    count = super().recv_into(*args, **kwargs)
        except TimeoutError:
            budget.wait(0)
            raise Failure("timeout", f"no byte for {limit:.1f} s", retry=True) from None
        except ssl.SSLError as error:
            raise Failure("tls_error", str(error)) from error
        except OSError as error:
            raise Failure("connection_reset", str(error), retry=True) from error
        budget.take(count)
        return count

    def _ready(self, receive: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What is there to receive. Raises BlockingIOError if nothing is."""
        self.settimeout(0)
        try:
            return receive(*args, **kwargs)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError(errno.EAGAIN, "nothing to read") from error

    def makefile(self, *_: Any, **__: Any) -> Any:
        """The reader of one response."""
        return _Reader(super().makefile("rb", buffering=0), self)

    def look(self, reader: io.BufferedReader) -> None:
        """Notes whether there is more than a response that ends here. The reader is of no use afterwards."""
        self._at_once = True
        with contextlib.suppress(OSError, ValueError):  # closed already
            self.surplus = self.surplus or bool(reader.peek(1))
        self._at_once = False

    def sendall(self, data: Any, flags: int = 0) -> None:
        budget = _budget.get()
        with contextlib.suppress(BlockingIOError):
            if self._ready(super().recv, 1):
                raise Failure("protocol_error", "the server spoke before it was asked", retry=True)
        self.settimeout(budget.wait(budget.read_wait))
        try:
            with one_at_a_time.waiting() if len(data) > AT_ONCE else contextlib.nullcontext():
                super().sendall(data, flags)
        except TimeoutError:
            raise Failure("timeout", "the server does not take the request") from None
        except OSError as error:
            raise Failure("connection_reset", str(error), retry=True) from error
        finally:
            budget.last_sent = time.monotonic()
        budget.request += bytes(data)
        with contextlib.suppress(OSError):
            budget.peer = str(self.getpeername()[0])


class TlsSocket(_Bounded, ssl.SSLSocket):
    """The same over TLS."""


class _Reader(io.BufferedReader):
    """Reads a response from a socket, and looks for more when it is at its end."""

    def __init__(self, raw: Any, connection: _Bounded) -> None:
        super().__init__(raw)
        self._connection = connection

    def read(self, size: int | None = None) -> bytes:
        if size is None:
            return super().read()
        if size < 0:  # a chunk size: http.client and urllib3 take them with a sign
            raise http.client.HTTPException(f"a length of {size}")
        return super().read(size)

    def close(self) -> None:
        if not self.closed:
            self._connection.look(self)
        super().close()


class _Response(http.client.HTTPResponse):
    """A final response; 101 is one, as the connection speaks another protocol from there on."""

    def begin(self) -> None:
        for _ in range(INTERIM + 1):
            super().begin()
            if self.status // 100 != 1 or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                self.will_close = self.will_close or not self._ends_clearly()
                return
            self.headers = self.msg = None  # type: ignore[assignment]
        raise http.client.HTTPException(f"more than {INTERIM} interim responses")

    def _ends_clearly(self) -> bool:
        """Whether no two readers of RFC 9112, section 6.3, differ about where the response ends."""
        lengths = self.headers.get_all("content-length", [])
        codings = self.headers.get_all("transfer-encoding", [])
        if self.headers.defects or self.status < 200 or len(lengths) + len(codings) > 1:
            return False
        if self.status in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED):
            return not codings and lengths in ([], ["0"])
        return all(re.fullmatch(r"[0-9]+", length.strip(), re.ASCII) for length in lengths) and all(
            coding.strip().lower() == "chunked" and self.version == 11 for coding in codings
        )


class KeptConnection:
    """What urllib3's connections, HTTP and HTTPS, need to be used for more than one request."""

    response_class: type[http.client.HTTPResponse] = _Response
    sock: Any

    @property
    def is_connected(self) -> bool:
        """Whether the connection can take a request: open, and nothing on it that nobody asked for."""
        return bool(super().is_connected) and not self.sock.surplus  # type: ignore[misc]


def connect(guard: Guard) -> socket.socket:
    """A connection to the first address of the current budget's route that takes one.

    Raises Failure("connect_error") if none does, and whatever `Guard.resolve` raises.
    """
    budget = _budget.get()
    until = time.monotonic() + budget.wait(budget.connect_wait)
    problem = "no address"
    for family, address in guard.resolve(budget.route, until - time.monotonic()):
        left = until - time.monotonic()
        if left <= 0:
            break
        connection = _Bounded(family, socket.SOCK_STREAM)
        connection.settimeout(left)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with one_at_a_time.waiting():
                connection.connect(address)
        except OSError as error:
            connection.close()
            problem = f"{address[0]} port {address[1]}: {error}"
            continue
        finally:
            budget.last_sent = time.monotonic()
        connection.settimeout(budget.wait(budget.connect_wait))  # for the TLS handshake
        return connection
    raise Failure("connect_error", problem, retry=True)
