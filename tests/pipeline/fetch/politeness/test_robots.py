"""robots.txt by RFC 9309."""

from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.fetching import crawl, settings
from tests.web import FAULTS, Page, Server, flaky, page

OURS = b"User-agent: webtext-pipeline\nDisallow: /no\n\nUser-agent: *\nDisallow: /\n"
LONG = b"User-agent: *\nDisallow: /no\n" + b"# padding\n" * 10_000 + b"Disallow: /\n"


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (Page(b"", "404 Not Found"), "ok"),
        (Page(b"", "403 Forbidden"), "ok"),
        (Page(b"", "401 Unauthorized"), "ok"),
        (Page(b"", "500 Oops"), "robots_unreachable"),
        (Page(b"", "503 Busy", {"Retry-After": "0"}), "robots_unreachable"),
        (Page(b"", "429 Slow down"), "robots_unreachable"),
        (Page(b""), "ok"),
        (Page(b"User-agent: *\nDisallow: /"), "robots_disallowed"),
        (Page(b"User-agent: *\nDisallow: /\nAllow: /page"), "ok"),
        (Page(b"User-agent: other\nDisallow: /"), "ok"),
        (Page(OURS), "ok"),
        (Page(b"User-agent: WebText-Pipeline\nDisallow: /"), "robots_disallowed"),
        (Page(b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /pa*e"), "robots_disallowed"),
        (Page(b"<!doctype html><p>Not found", headers={"Content-Type": "text/html"}), "ok"),
        (Page(bytes(range(256)) * 10), "ok"),
        (Page(LONG), "ok"),  # what stands after the cap does not count
        (Page(LONG.replace(b"/no", b"/page")), "robots_disallowed"),
        (Page(b"", "302 Found", {"Location": "/elsewhere"}), "robots_disallowed"),
        (Page(b"", "302 Found", {"Location": "http://rules.test/robots.txt"}), "robots_disallowed"),
        (Page(b"", "302 Found", {"Location": "/robots.txt"}), "ok"),  # more than five: unavailable
        (Page(b"", "302 Found", {"Location": "file:///etc/passwd"}), "ok"),
        (Page(b"", "302 Found", {"Location": "http://10.0.0.1/robots.txt"}), "robots_unreachable"),
        (Page(FAULTS["silence"]), "robots_unreachable"),
        (Page(FAULTS["drip_head"]), "robots_unreachable"),
        (Page(FAULTS["drip_body"]), "robots_unreachable"),
        (Page(FAULTS["reset"]), "robots_unreachable"),
        (Page(FAULTS["garbage"]), "robots_unreachable"),
        (Page(FAULTS["gzip_corrupt"]), "robots_unreachable"),
        (Page(FAULTS["gzip_bomb"]), "ok"),
        (Page(FAULTS["endless_body"]), "ok"),
    ],
)
def test_robots(tmp_path: Path, robots: Page, reason: str) -> None:
    pages: dict[Any, Page] = {
        ("a.test", "/robots.txt"): robots,
        ("rules.test", "/robots.txt"): Page(b"User-agent: *\nDisallow: /"),
        "/elsewhere": Page(b"User-agent: *\nDisallow: /"),
        "/page": page(),
    }
    with Server(pages) as server:
        options = settings(connect_to={"*.test": server.url}, robots_max_bytes=50_000)
        rows = crawl(["http://a.test/page", "http://a.test/page?2"], options, tmp_path)
        assert [row["reason"] for row in rows] == [reason, reason], rows
        assert (server.paths("a.test") == ["/page", "/page?2"]) == (reason == "ok")


def test_one_robots_for_each_origin(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {f"/{n}": page() for n in range(3)}
    pages["a.test:8080", "/robots.txt"] = Page(b"User-agent: *\nDisallow: /")
    with Server(pages) as server:
        origins = ["http://a.test", "https://a.test", "http://a.test:8080"]
        rows = crawl([f"{o}/{n}" for o in origins for n in range(3)], settings(server), tmp_path)
        assert [row["reason"] for row in rows] == ["ok"] * 6 + ["robots_disallowed"] * 3
        assert sum(request.path == "/robots.txt" for request in server.log) == 3


def test_robots_failing_at_first_is_asked_again(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {"/robots.txt": flaky(1, Page(b"", "503 Busy")), "/page": page()}
    with Server(pages) as server:
        (row,) = crawl(["http://a.test/page"], settings(server), tmp_path)
        assert row["reason"] == "ok"


def test_robots_can_be_switched_off(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {"/robots.txt": Page(b"User-agent: *\nDisallow: /"), "/page": page()}
    with Server(pages) as server:
        (row,) = crawl(["http://a.test/page"], settings(server, robots=False), tmp_path)
        assert row["reason"] == "ok"
        assert [request.path for request in server.log] == ["/page"]
