"""requests' transport over the connections of `http.connection`: one pool for all hosts, one TLS context."""

import contextlib
import logging
import resource
import socket
import ssl
from typing import Any, cast

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pipeline.fetch import one_at_a_time
from pipeline.fetch.http.connection import KeptConnection, TlsSocket, connect, current_route
from pipeline.fetch.http.guard import Guard
from pipeline.fetch.http.target import DEFAULT_PORTS

__all__ = ["Transport"]

logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of every stranger's odd header

IDLE_CONNECTIONS = 2048  # kept open over all hosts, if the limit on open files allows
OPEN_FILES = 8192  # what this process asks for, within its hard limit


class Transport(HTTPAdapter):
    """requests' adapter; at most one idle connection for each scheme, host and port.

    Takes its route from the current `Budget`, never a proxy or a netrc. Safe to use from many threads.
    """

    def __init__(self, guard: Guard) -> None:
        self._tls = ssl.create_default_context()
        self._tls.load_verify_locations(certifi.where())
        self._tls.sslsocket_class = TlsSocket
        super().__init__(pool_connections=_idle_connections(), pool_maxsize=1, max_retries=0)

        class Plain(KeptConnection, HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return connect(guard)

        class Tls(KeptConnection, HTTPSConnection):
            def connect(self) -> None:
                with one_at_a_time.waiting():
                    super().connect()

            def _new_conn(self) -> socket.socket:
                return connect(guard)

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
        scheme, authority = key = current_route().scheme, request.headers["Host"]
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
