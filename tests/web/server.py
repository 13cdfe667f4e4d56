"""A threaded HTTP/1.1 server over raw sockets, so that an answer can break any rule of the protocol."""

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """What the server saw: `time` on the monotonic clock, when the head had been read."""

    time: float
    host: str
    path: str
    headers: dict[str, str]
    sni: str | None = None


@dataclass
class Page:
    """An answer: bytes to send, or a function that does what it likes with the connection.

    A function returns True when the connection may be used for a further request.
    """

    body: bytes | Callable[[socket.socket, Request, "Server"], bool] = b""
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)


def page(text: str = "<!doctype html><title>t</title><p>Some text.", **headers: str) -> Page:
    """A page of HTML."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Page(text.encode(), headers={"Content-Type": "text/html; charset=utf-8", **names})


def flaky(failures: int, bad: Page) -> Page:
    """Answers `failures` times with `bad`, then with a page of HTML."""
    answers = itertools.chain(itertools.repeat(bad, failures), itertools.repeat(page()))

    def answer(connection: socket.socket, request: Request, server: "Server") -> bool:
        return server.send(connection, next(answers))

    return Page(answer)


class Server:
    """Serves `pages` by (host, path), then by path alone; faults at /fault/NAME; everything else is a 404.

    Close it, or use it as a context manager.
    """

    def __init__(
        self,
        pages: dict[str | tuple[str, str], Page] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.pages = dict(pages or {})
        self.log: list[Request] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._tls = tls
        self._sni: dict[int, str | None] = {}
        if tls is not None:
            tls.sni_callback = lambda s, name, _: self._sni.__setitem__(id(s), name)
        self._lock = threading.Lock()
        self._listener = socket.create_server(address, backlog=512)
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._accepter = threading.Thread(target=self._accept, daemon=True)
        self._accepter.start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepter.join(5)
        for thread in self._threads:
            thread.join(5)

    def paths(self, host: str | None = None) -> list[str]:
        """The paths asked for, in order; robots.txt apart."""
        return [r.path for r in self.log if r.path != "/robots.txt" and host in (None, r.host)]

    def times(self, host: str) -> list[float]:
        """When a host saw requests, robots.txt included."""
        return sorted(r.time for r in self.log if r.host == host)

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.settimeout(10)
            sni = None
            if self._tls is not None:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
                sni = self._sni.get(id(connection))
            while not self.stopped.is_set():
                request = self._read(connection, sni)
                if request is None or not self._answer(connection, request):
                    return

    def _read(self, connection: socket.socket, sni: str | None) -> Request | None:
        head = b""
        while b"\r\n\r\n" not in head:
            connection.settimeout(0.2)
            try:
                data = connection.recv(65536)
            except TimeoutError:
                if self.stopped.is_set():
                    return None
                continue
            if not data:
                return None
            head += data
        seen = time.monotonic()
        connection.settimeout(10)
        line, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in lines)}
        request = Request(seen, headers.get("host", ""), line.split(" ")[1], headers, sni)
        with self._lock:
            self.log.append(request)
        return request

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        from tests.web.faults import FAULTS

        path = request.path.partition("?")[0]
        answer = self.pages.get((request.host, path)) or self.pages.get(path)
        if answer is None and path.startswith("/fault/"):
            answer = Page(FAULTS[path.removeprefix("/fault/")])
        answer = answer or Page(b"not found", "404 Not Found", {"Content-Type": "text/plain"})
        if callable(answer.body):
            return answer.body(connection, request, self)
        return self.send(connection, answer)

    def send(self, connection: socket.socket, answer: Page) -> bool:
        """Sends a page of bytes as it should be; True if the connection may stay."""
        assert isinstance(answer.body, bytes)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        head = f"HTTP/1.1 {answer.status}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        connection.sendall(head.encode("latin-1") + answer.body)
        return headers.get("Connection") != "close"
