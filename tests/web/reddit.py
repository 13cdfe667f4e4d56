"""Reddit's API on loopback, as far as the pipeline uses it: OAuth, listings, search and /api/info."""

import base64
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], Any]  # status, headers, JSON

CLIENT_ID = "an-app-of-the-tests"
CLIENT_SECRET = "a-secret-of-the-tests"


@dataclass
class Reddit:
    """What the API serves, what it is to answer next, and what it was asked."""

    submissions: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> the API's object
    scripted: dict[str, list[Answer]] = field(default_factory=dict)  # path -> answers before the real one
    refused: dict[str, Answer] = field(default_factory=dict)  # path prefix -> answer for ever
    remaining: float = 990.0  # requests left in this window of 600 seconds
    reset: int = 590
    tokens: int = 0  # given out
    log: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path, parameters; of the API proper
    url: str = ""

    def add(self, objects: Iterable[dict[str, Any]]) -> None:
        self.submissions |= {found["id"]: found for found in objects}

    def asked(self, path: str) -> list[dict[str, str]]:
        return [parameters for found, parameters in self.log if found == path]

    def answer(self, path: str, parameters: dict[str, str]) -> Answer:
        self.log.append((path, parameters))
        if self.scripted.get(path):
            return self.scripted[path].pop(0)
        for prefix, answer in self.refused.items():
            if path.startswith(prefix):
                return answer
        if path == "/api/info":
            ids = [name.removeprefix("t3_") for name in parameters["id"].split(",")]
            assert len(ids) <= 100
            return _listing([self.submissions[id_] for id_ in ids if id_ in self.submissions], None)
        _, _, subreddit, _ = path.split("/")
        found = [
            found
            for found in sorted(self.submissions.values(), key=lambda s: -int(s["id"], 36))
            if subreddit.lower() in ("all", str(found.get("subreddit")).lower())
        ]
        names = [f"t3_{one['id']}" for one in found]
        start = names.index(parameters["after"]) + 1 if "after" in parameters else 0
        some = found[start : start + min(int(parameters["limit"]), 100)]
        more = start + len(some) < min(len(found), 1000)
        return _listing(some, f"t3_{some[-1]['id']}" if some and more else None)


def _listing(objects: list[dict[str, Any]], after: str | None) -> Answer:
    children = [{"kind": "t3", "data": found} for found in objects]
    return 200, {}, {"kind": "Listing", "data": {"children": children, "after": after, "before": None}}


def error(status: int, reason: str | None = None, **headers: str) -> Answer:
    """An error of Reddit's form."""
    body = {"message": "…", "error": status} | ({"reason": reason} if reason else {})
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


@contextmanager
def serve(reddit: Reddit) -> Iterator[Reddit]:
    """Serves on 127.0.0.1; the API is at `reddit.url`, and the tokens are too."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            right = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            if self.headers.get("Authorization") != f"Basic {right}":
                self._send(error(401))
                return
            reddit.tokens += 1
            token = {"access_token": f"token-{reddit.tokens}", "token_type": "bearer", "expires_in": 86400}
            self._send((200, {}, token | {"scope": "*"}))

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != f"bearer token-{reddit.tokens}":
                self._send(error(401, www_authenticate='Bearer realm="reddit", error="invalid_token"'))
                return
            parts = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with lock:
                status, headers, body = reddit.answer(parts.path.rstrip("/"), parameters)
                reddit.remaining -= 1
            limits = {
                "x-ratelimit-remaining": str(reddit.remaining),
                "x-ratelimit-used": str(int(1000 - reddit.remaining)),
                "x-ratelimit-reset": str(reddit.reset),
            }
            self._send((status, limits | headers, body))

        def _send(self, answer: Answer) -> None:
            status, headers, value = answer
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    reddit.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield reddit
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
