"""A recorded web on loopback: real pages under their real URLs, for `fetch.connect_to`."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

CANONICAL = re.compile(
    rb"""<link[^>]+rel=["']?canonical["']?[^>]*href=["'](https?://[^"']+)|"""
    rb"""<meta[^>]+og:url["'][^>]*content=["'](https?://[^"']+)"""
)


def real_pages(html: Path) -> dict[str, bytes]:
    """URL -> body of the 250 pages of `html/news` and `html/readability`.

    A readability page that does not name its URL gets one at a reserved host. Of two pages with the same URL
    the second is told apart by its query.
    """
    pages: dict[str, bytes] = {}
    for line in (html / "news/gold.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        _add(pages, record["url"], gzip.decompress((html / "news" / record["html"]).read_bytes()))
    for source in sorted((html / "readability").glob("*/source.html")):
        body = source.read_bytes()
        found = CANONICAL.search(body)
        url = (found[1] or found[2]).decode() if found else f"http://readability.example/{source.parent.name}"
        _add(pages, url.replace("&amp;", "&"), body)
    return pages


def _add(pages: dict[str, bytes], url: str, body: bytes) -> None:
    if url in pages:
        url += ("&" if urlsplit(url).query else "?") + "copy=2"
    pages[url] = body


@contextmanager
def serve(pages: dict[str, bytes]) -> Iterator[str]:
    """Serves the pages by Host and path over plain http on 127.0.0.1; yields the base URL."""
    bodies = {_key(urlsplit(url).netloc, url): body for url, body in pages.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = bodies.get(_key(self.headers["Host"], self.path))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _key(host: str, url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    return host.lower().rpartition("@")[2], parts.path or "/", parts.query
