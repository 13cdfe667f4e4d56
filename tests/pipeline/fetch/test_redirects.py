"""Where a redirect leads is judged by the same filters as a posted URL, before it is requested."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.fetch import fetch
from pipeline.fetch.archives import captures
from pipeline.fetch.http.target import parse
from pipeline.fetch.outcome import REASONS, Failure
from pipeline.fetch.redirects import redirect_target
from pipeline.links import urls
from pipeline.settings import Links
from tests.pipeline.fetching import links, settings, validate
from tests.web import Page, Server, page

OPTED_OUT = Links(exclude_domains=["optout.example"])
REJECTED = {
    "https://www.optout.example/private": "redirect_excluded_domain",
    "https://en.wikipedia.org/wiki/URL_redirection": "redirect_wikipedia",
    "//youtu.be/xyz": "redirect_media_host",
    "http://a.test/picture.JPG?size=large": "redirect_media_extension",
    "https://www.facebook.com/login": "redirect_social_host",
    "https://old.reddit.com/r/all": "redirect_reddit_internal",
    "http://OPTOUT.example:8080/": "redirect_excluded_domain",
    "http://optout.example./": "redirect_excluded_domain",
}


def moved(location: str) -> Page:
    return Page(b"", "302 Found", {"Location": location})


def asked(server: Server) -> set[tuple[str, str]]:
    return {(request.host, request.path) for request in server.log if request.path != "/robots.txt"}


@pytest.mark.parametrize(("location", "reason"), REJECTED.items())
def test_what_a_filter_rejects_is_not_requested(location: str, reason: str, tmp_path: Path) -> None:
    with Server({("short.test", "/1"): moved(location), "/": page()}) as server:
        pages, counts = fetch(
            links("http://short.test/1"),
            settings(server),
            tmp_path / "part.warc.gz",
            batch="b",
            filters=OPTED_OUT,
        )
        assert counts == {reason: 1}
        (row,) = pages.to_pylist()
        assert row["final_url"] == "http://short.test/1"
        assert row["detail"] == parse("http://short.test/1").join(location).url
        assert asked(server) == {("short.test", "/1")}
        assert {request.host for request in server.log} == {"short.test"}, "no robots.txt either"
    validate(tmp_path / "part.warc.gz")


def test_every_hop_is_judged(tmp_path: Path) -> None:
    """The second of three leads through a host that opted out; the last would be allowed again."""
    pages: dict[Any, Page] = {
        ("a.test", "/1"): moved("http://b.test/2"),
        ("b.test", "/2"): moved("http://optout.example/3"),
        ("optout.example", "/3"): moved("http://c.test/4"),
        ("c.test", "/4"): page(),
    }
    for filters, reason in ((OPTED_OUT, "redirect_excluded_domain"), (Links(), "ok")):
        with Server(pages) as server:
            warc = tmp_path / f"{reason}.warc.gz"
            table, counts = fetch(
                links("http://a.test/1"), settings(server), warc, batch="b", filters=filters
            )
            assert counts == {reason: 1}
            (row,) = table.to_pylist()
            assert row["final_url"] == ("http://c.test/4" if reason == "ok" else "http://b.test/2")
            assert (("optout.example", "/3") in asked(server)) == (reason == "ok")


def test_wikipedia_is_followed_where_it_is_kept(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {
        ("w.test", "/1"): moved("http://en.wikipedia.org/wiki/A"),
        ("en.wikipedia.org", "/wiki/A"): page(),
    }
    with Server(pages) as server:
        warc = tmp_path / "part.warc.gz"
        filters = Links(wikipedia=True)
        _, counts = fetch(links("http://w.test/1"), settings(server), warc, batch="b", filters=filters)
        assert counts == {"ok": 1}


def test_robots_txt_is_no_link(tmp_path: Path) -> None:
    """A robots.txt may be redirected to any host: what it says is not stored as a document."""
    pages: dict[Any, Page] = {
        ("a.test", "/robots.txt"): moved("http://optout.example/rules.txt"),
        ("optout.example", "/rules.txt"): Page(b"User-agent: *\nDisallow: /1"),
        ("a.test", "/1"): page(),
        ("a.test", "/2"): page(),
    }
    with Server(pages) as server:
        warc = tmp_path / "part.warc.gz"
        urls = ("http://a.test/1", "http://a.test/2")
        table, _ = fetch(links(*urls), settings(server), warc, batch="b", filters=OPTED_OUT)
        assert table["reason"].to_pylist() == ["robots_disallowed", "ok"]


def test_other_filters_are_other_work(tmp_path: Path) -> None:
    """A fetch that was cut off goes on; with one more domain excluded nothing of it counts."""
    pages: dict[Any, Page] = {
        ("a.test", "/1"): moved("http://optout.example/2"),
        ("optout.example", "/2"): page(),
    }
    with Server(pages) as server:
        warc = tmp_path / "part.warc.gz"
        found = [
            fetch(links("http://a.test/1"), settings(server), warc, batch="b", filters=filters)[1]
            for filters in (Links(), Links(exclude_domains=[]), OPTED_OUT)
        ]
        assert found == [{"ok": 1}, {"ok": 1}, {"redirect_excluded_domain": 1}]
        assert server.paths("optout.example") == ["/2"]
        assert server.paths("a.test") == ["/1", "/1"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [*REJECTED.items(), ("http://b.test/2", "http_3xx"), ("file:///etc/passwd", "redirect_refused")],
)
def test_captures_of_redirects_are_judged_too(location: str, reason: str, tmp_path: Path) -> None:
    source = tmp_path / "others.warc.gz"
    with source.open("wb") as file:
        headers = StatusAndHeaders("302 Found", [("Location", location)], protocol="HTTP/1.1")
        writer = WARCWriter(file)
        record = writer.create_warc_record(
            "http://short.test/1", "response", payload=io.BytesIO(b""), length=0, http_headers=headers
        )
        writer.write_record(record)
    found = captures.table(list(captures.captures(str(source), Counter())))
    wanted = links("http://short.test/1").set_column(0, "link_id", [found["link_id"].to_pylist()])
    target = tmp_path / "part.warc.gz"
    _, counts = captures.fetch(wanted, found, settings(), target, batch="b", filters=OPTED_OUT)
    assert counts == {reason: 1}
    validate(target)


def test_every_reason_of_the_filters_is_an_outcome() -> None:
    reasons = {*urls.HOST_REASONS.values(), "excluded_domain", "media_extension"}
    assert {name for name in REASONS if name.startswith("redirect_")} == {
        f"redirect_{reason}" for reason in reasons
    } | {"redirect_refused"}


PIECES = [
    "http:",
    "HTTPS:",
    "//",
    "/",
    "\\",
    "@",
    ":80",
    ":",
    ".",
    "#",
    "?",
    "%2f",
    "%2e",
    "é",
    "\u3002",
    " ",
]
HOSTS = ["en.wikipedia.org", "optout.example", "WWW.", "a.example"]


@given(st.lists(st.sampled_from(PIECES + HOSTS), max_size=8).map("".join))
def test_however_a_location_is_written_no_rejected_host_is_asked(location: str) -> None:
    try:
        target = redirect_target(parse("http://en.wikipedia.example/a"), location, OPTED_OUT)
    except Failure as failure:
        reason = failure.reason
    else:
        reason = "ok"
        assert not f".{target.host}".endswith((".wikipedia.org", ".optout.example"))
    assert reason in REASONS
