"""The demo's web: all its hosts behind one port of 127.0.0.1, told apart by the Host header.

    with serve() as web:
        requests.get(web.base, headers={"Host": "film-notes.example"})

It speaks HTTP/1.1 with persistent connections, a thread for each. The workers of a crawl, in their own
processes, reach it by the setting `fetch.connect_to`, which must be `web.connect_to`.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from pipeline.demo import content, oddities
from pipeline.demo.oddities import Answer

__all__ = ["Request", "Web", "answers", "serve"]

NOT_FOUND = Answer(404, body=b"<title>Not found</title><h1>Not found</h1><p>The page may have moved.</p>")
HOSTS = "*.example"


class Request(NamedTuple):
    """A request that was answered. time: of `time.monotonic()`, in seconds."""

    time: float
    host: str
    path: str
    status: int
    user_agent: str


@dataclass
class Web:
    """A running web. base: the URL where it listens. log: the requests in the order of arrival."""

    base: str
    log: list[Request] = field(default_factory=list)

    @property
    def connect_to(self) -> dict[str, str]:
        """Host pattern -> base URL, for the setting `fetch.connect_to`."""
        return {HOSTS: self.base}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers()
        self.web = Web(f"http://127.0.0.1:{self.server_port}")
        self.stopped = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up early are part of the demo; anything else is a fault, and shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "Demo"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60  # seconds of an idle connection

    def do_GET(self) -> None:
        """Sends the planned answer, or 404."""
        host = self.headers.get("Host", "").partition(":")[0].lower()
        answer = self._answer(host)
        agent = self.headers.get("User-Agent", "")
        self.server.web.log.append(Request(time.monotonic(), host, self.path, answer.status, agent))
        self.server.stopped.wait(answer.delay)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.drip:
            self._drip(answer)
        else:
            self.wfile.write(answer.body)

    def _answer(self, host: str) -> Answer:
        """The answer for the path; parameters that are not planned are ignored, as sites ignore trackers'."""
        for end in ("", "&", "?"):
            path = self.path.partition(end)[0] if end else self.path
            if answer := self.server.answers.get(host + path):
                return answer
        return NOT_FOUND

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _drip(self, answer: Answer) -> None:
        self.close_connection = True
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.stopped.wait(answer.drip):
                return

    def log_message(self, format: str, *args: object) -> None:
        """The log is a list, not a terminal."""


@contextmanager
def serve() -> Iterator[Web]:
    """Serves the web from a thread of this process for as long as the context lasts."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="demo-web", daemon=True)
        thread.start()
        try:
            yield server.web
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


def answers() -> dict[str, Answer]:
    """All that is served, by host and path: pages, robots.txt, front pages, and oddities."""
    found = {}
    for host, site in content.sites().items():
        found[f"{host}/robots.txt"] = Answer(
            200 if site.robots else 404, body=site.robots.encode(), content_type="text/plain"
        )
        links = "".join(
            f'<li><a href="{page.path}">{page.title}</a></li>'
            for page in content.pages().values()
            if page.host == host
        )
        found[f"{host}/"] = Answer(body=f"<title>{site.name}</title><ul>{links}</ul>".encode())
    for address, page in content.pages().items():
        found[address] = Answer(body=content.render(page), content_type=content.content_type(page))
    return oddities.add(found)
