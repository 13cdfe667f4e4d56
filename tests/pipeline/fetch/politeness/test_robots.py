"""robots.txt by RFC 9309."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.politeness import robots
from tests.pipeline.fetching import crawl, settings
from tests.web import FAULTS, Page, Server, flaky, page

OURS = b"User-agent: webtext-pipeline\nDisallow: /no\n\nUser-agent: *\nDisallow: /\n"
LONG = b"User-agent: *\nDisallow: /no\n" + b"# padding\n" * 10_000 + b"Disallow: /\n"


SLOW = [FAULTS[name] for name in ("silence", "drip_head", "drip_body")]


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
        (Page(b"User-agent: webtext-pipeline/0.1\nDisallow: /"), "robots_disallowed"),
        (Page(b"User-agent: webtext-pipeline/0.1 (+you@example.org)\nDisallow: /"), "robots_disallowed"),
        (Page(b"User-agent: webtext\nAllow: /\n\nUser-agent: *\nDisallow: /"), "robots_disallowed"),
        (Page(b"User-agent: web\nDisallow: /"), "ok"),
        (Page(b"User-agent: *\nDisallow: /\nUser-agent: webtext-pipeline*\nAllow: /"), "ok"),
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
        *((Page(fault), "robots_unreachable") for fault in SLOW),
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
        patience = {"robots_timeout": 1.0} if robots.body in SLOW else {}
        options = settings(connect_to={"*.test": server.url}, robots_max_bytes=50_000, **patience)
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


OTHERS = """
Content-Signal: search=yes
Content-Usage: search=y
Crawl-delay: 1
Request-rate: 1/5
Visit-time: 0200-0630
Noindex: /old
Clean-param: ref /
Host: a.test
Sitemap: http://a.test/sitemap.xml
License: http://a.test/license.xml
Unknown
What is this: a line
"""


@pytest.mark.parametrize("other", OTHERS.strip().splitlines())
def test_a_line_of_another_name_ends_no_list_of_user_agents(other: str) -> None:
    """RFC 9309, sections 2.1 and 2.2.4: rules are Allow and Disallow."""
    content = f"User-agent: webtext-pipeline\n{other}\nUser-agent: *\nDisallow: /\n"
    failure = robots.parse(content.encode(), "webtext-pipeline", []).check(
        "http://a.test/", "webtext-pipeline"
    )
    assert failure is not None
    assert failure.reason == "robots_disallowed"


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        ("User-agent: *\nCrawl-delay: 7\nDisallow: /x", 7.0),
        ("User-agent: *\nDisallow: /x\nCrawl-delay: 2.5", 2.5),
        ("User-agent: *\nCrawl-delay: 7\n\nUser-agent: webtext-pipeline\nCrawl-delay: 3\nAllow: /", 3.0),
        ("User-agent: other\nCrawl-delay: 7\nAllow: /\n\nUser-agent: *\nAllow: /", 0.0),
        ("Crawl-delay: 7\nUser-agent: *\nAllow: /", 0.0),
        *((f"User-agent: *\nCrawl-delay: {n}", 0.0) for n in ("-1", "nan", "inf", "soon", "")),
    ],
)
def test_crawl_delay(content: str, seconds: float) -> None:
    assert robots.parse(content.encode(), "webtext-pipeline", []).crawl_delay == seconds


@given(st.binary(max_size=300))
def test_any_bytes_are_rules(content: bytes) -> None:
    for text in (
        content,
        b"User-agent: *\nDisallow: " + content,
        b"User-agent: *\nContent-Usage: " + content,
    ):
        rules = robots.parse(text, "webtext-pipeline", ["content_usage", "content_signal"])
        rules.check("http://a.test/%C3%A9?x=%ff", "webtext-pipeline")
        assert rules.crawl_delay >= 0
