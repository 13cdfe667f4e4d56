"""requests' transport on sockets that cannot be held: checked addresses, one deadline, bounded bytes.

The timeouts of requests and urllib3 bound a single wait for bytes, so that a server that drips one byte at a
time holds a thread for ever. Here every read of a socket (status line, headers, chunk sizes, body; TLS or
not) first asks the exchange's `Budget` how long it may still wait and how many bytes it may still take.
"""

import contextlib
import logging
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pipeline.fetch import one_at_a_time
from pipeline.fetch.http.guard import Guard, Route
from pipeline.fetch.http.target import DEFAULT_PORTS
from pipeline.fetch.outcome import Failure

logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of every stranger's odd header

HEAD_BYTES = 128 * 1024
IDLE_CONNECTIONS = 2048  # kept open over all hosts, if the limit on open files allows
AT_ONCE = 8192  # bytes of a request that no server can make us wait for: they go into the socket's buffer
OPEN_FILES = 8192  # what this process asks for, within its hard limit


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


class _Bounded(socket.socket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        budget = _budget.get()
        limit = budget.wait(budget.read_wait)
        try:
            self.settimeout(0)
            try:
                count = super().recv_into(*args, **kwargs)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
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

    def sendall(self, data: Any, flags: int = 0) -> None:
        budget = _budget.get()
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


class _TlsSocket(_Bounded, ssl.SSLSocket):
    pass


def _connect(guard: Guard) -> socket.socket:
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


class Transport(HTTPAdapter):
    """requests' adapter; at most one idle connection for each scheme, host and port.

    Takes its route from the current `Budget`, never a proxy or a netrc. Safe to use from many threads.
    """

    def __init__(self, guard: Guard) -> None:
        self._tls = ssl.create_default_context()
        self._tls.load_verify_locations(certifi.where())
        self._tls.sslsocket_class = _TlsSocket
        super().__init__(pool_connections=_idle_connections(), pool_maxsize=1, max_retries=0)

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(guard)

        class Tls(HTTPSConnection):
            def connect(self) -> None:
                with one_at_a_time.waiting():
                    super().connect()

            def _new_conn(self) -> socket.socket:
                return _connect(guard)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = Tls

        self._plain_pool, self._tls_pool = PlainPool, TlsPool

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        """The pool of the scheme spoken and the host and port asked for, wherever the connection goes."""
        pools: Any = self.poolmanager.pools
        scheme, authority = key = _budget.get().route.scheme, request.headers["Host"]
        with pools.lock:
            pool = pools.get(key)
            if pool is None:
                host, port = _split(authority, DEFAULT_PORTS[scheme])
                if scheme == "https":
                    pool = self._tls_pool(host, port, maxsize=1, ssl_context=self._tls)
                else:
                    pool = self._plain_pool(host, port, maxsize=1)
                pools[key] = pool
        return cast(HTTPConnectionPool, pool)

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """What stands in the request line."""
        return request.path_url

    def build_response(self, request: requests.PreparedRequest, raw: Any) -> requests.Response:
        """A response of which only `raw` is looked at: no cookie jar, no copy of the headers."""
        response = requests.Response()
        response.request, response.raw = request, raw
        return response

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to add: the shared context verifies, and has its authorities loaded once."""


def _idle_connections() -> int:
    """As many as a quarter of the files that may be open. Raises the soft limit, as Go's programs do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # the system's own limit may be lower
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return IDLE_CONNECTIONS if soft == resource.RLIM_INFINITY else min(IDLE_CONNECTIONS, soft // 4)


def _split(authority: str, default: int) -> tuple[str, int]:
    host, colon, port = authority.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else (authority, default)
