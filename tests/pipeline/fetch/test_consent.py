"""What publishers say of the use of their pages is heard: from the network and from WARC files."""

import io
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.fetch import consent
from pipeline.fetch.archives import captures
from pipeline.fetch.outcome import REASONS, Failure
from pipeline.fetch.politeness import robots
from pipeline.settings import Fetch, Signal
from tests.pipeline import fetching
from tests.web import FAULTS, Page, Server, page

TEXT = "<!doctype html><html><head><title>t</title>{}</head><body><p>Some text.</body></html>"
ALL = list(get_args(Signal))


def meta(name: str, content: str) -> Page:
    return page(TEXT.format(f'<meta name="{name}" content="{content}">'))


def said(field: str) -> Page:
    """A page with a header. field: `Name: value`."""
    name, _, value = field.partition(": ")
    return page(TEXT.format(f"<!-- {field} -->"), **{name: value})


# What a page says -> the outcome, and the words in its row.
PAGES: dict[str, tuple[Page, str, list[str]]] = {
    "nothing": (page(TEXT.format("")), "ok", []),
    "header noai": (said("X-Robots-Tag: noai"), "noai", ["x-robots-tag: noai"]),
    "header among others": (said("X-Robots-Tag: nofollow, NoAI, noimageai"), "noai", ["x-robots-tag: noai"]),
    "header for us": (said("X-Robots-Tag: WebText-Pipeline: noai"), "noai", ["x-robots-tag: noai"]),
    "header for us, as in a log": (
        said("X-Robots-Tag: webtext-pipeline/0.1: noai"),
        "noai",
        ["x-robots-tag: noai"],
    ),
    "header for another": (said("X-Robots-Tag: otherbot: noai, noindex"), "ok", []),
    "header for another, then for us": (
        said("X-Robots-Tag: otherbot: noindex, webtext-pipeline: noai"),
        "noai",
        ["x-robots-tag: noai"],
    ),
    "header with a date": (
        said("X-Robots-Tag: unavailable_after: Friday, 25-Jun-10 15:00:00 UTC, noai"),
        "noai",
        ["x-robots-tag: noai"],
    ),
    "header noindex": (said("X-Robots-Tag: noindex"), "noindex", ["x-robots-tag: noindex"]),
    "header none": (said("X-Robots-Tag: none"), "noindex", ["x-robots-tag: none"]),
    "header noarchive": (said("X-Robots-Tag: noarchive"), "noarchive", ["x-robots-tag: noarchive"]),
    "header noimageai": (said("X-Robots-Tag: noimageai"), "ok", []),
    "header all": (said("X-Robots-Tag: all, max-snippet:-1, max-image-preview: large"), "ok", []),
    "meta noai": (meta("robots", "noai, noimageai"), "noai", ["meta robots: noai"]),
    "meta in capitals": (
        page(TEXT.format('<META CONTENT="NOAI" NAME="ROBOTS">')),
        "noai",
        ["meta robots: noai"],
    ),
    "meta without quotes": (
        page(TEXT.format("<meta name=robots content=noai>")),
        "noai",
        ["meta robots: noai"],
    ),
    "meta for us": (meta("webtext-pipeline", "noindex"), "noindex", ["meta webtext-pipeline: noindex"]),
    "meta for another": (meta("googlebot", "noai, noindex"), "ok", []),
    "meta noindex": (meta("robots", "noindex,follow"), "noindex", ["meta robots: noindex"]),
    "meta none": (meta("robots", "none"), "noindex", ["meta robots: none"]),
    "meta noarchive": (meta("robots", "noarchive"), "noarchive", ["meta robots: noarchive"]),
    "meta nocache": (meta("robots", "nocache"), "noarchive", ["meta robots: nocache"]),
    "meta index": (meta("robots", "index, follow, max-image-preview:large"), "ok", []),
    "meta in a comment": (page(TEXT.format('<!-- <meta name="robots" content="noai"> -->')), "ok", []),
    "meta in a script": (
        page(TEXT.format('<script>document.write(\'<meta name="robots" content="noai">\')</script>')),
        "ok",
        [],
    ),
    "meta in the body": (page("<html><head></head><body><meta name=robots content=noai><p>x"), "ok", []),
    "display none": (page(TEXT.format("<style>.robots {display: none}</style>")), "ok", []),
    "words about it": (page(TEXT.format('<meta name="description" content="what noai is">')), "ok", []),
    "meta in utf-16": (
        Page(
            TEXT.format('<meta name="robots" content="noai">').encode("utf-16"),
            headers={"Content-Type": "text/html"},
        ),
        "noai",
        ["meta robots: noai"],
    ),
    "header content-usage": (
        said("Content-Usage: train-ai=n"),
        "content_usage",
        ["content-usage: train-ai=n"],
    ),
    "header content-usage, more": (
        said("Content-Usage: search=y, train-ai=n;x=1, ai-use=y"),
        "content_usage",
        ["content-usage: train-ai=n"],
    ),
    "header content-usage of 2025": (
        said("Content-Usage: bots=n"),
        "content_usage",
        ["content-usage: train-ai=n"],
    ),
    "header content-usage, allowed": (said("Content-Usage: train-ai=y, bots=n"), "ok", []),
    "header content-usage, search": (said("Content-Usage: search=n"), "ok", []),
    "header content-usage, a string": (said('Content-Usage: train-ai="n"'), "ok", []),
    "header content-usage, broken": (said("Content-Usage: train-ai=n,,"), "ok", []),
    "header content-signal": (
        said("Content-Signal: search=yes, ai-train=no"),
        "content_signal",
        ["content-signal: ai-train=no"],
    ),
    "header content-signal, allowed": (said("Content-Signal: ai-train=yes, ai-input=no"), "ok", []),
    "header tdm-reservation": (said("tdm-reservation: 1"), "tdm_reservation", ["tdm-reservation: 1"]),
    "header tdm-reservation, none": (said("tdm-reservation: 0"), "ok", []),
    "meta tdm-reservation": (
        meta("tdm-reservation", "1"),
        "tdm_reservation",
        ["meta tdm-reservation: 1"],
    ),
    "meta tdm-reservation, none": (meta("tdm-reservation", "0"), "ok", []),
}
URLS = {name: f"http://a.test/{n}" for n, name in enumerate(PAGES)}

ROBOTS = {
    "content-usage": ("User-agent: *\nContent-Usage: train-ai=n", "content_usage"),
    "content-usage for us": (
        "User-agent: *\nAllow: /\n\nUser-agent: webtext-pipeline/0.1\nContent-Usage: train-ai=n",
        "content_usage",
    ),
    "content-usage for another": (
        "User-agent: other\nContent-Usage: train-ai=n\nAllow: /\n\nUser-agent: *\nAllow: /",
        "ok",
    ),
    "content-usage elsewhere": ("User-agent: *\nContent-Usage: /private/ train-ai=n", "ok"),
    "content-usage here": ("User-agent: *\nContent-Usage: /page train-ai=n", "content_usage"),
    "content-usage here, with a star": ("User-agent: *\nContent-Usage: /*e$ train-ai=n", "content_usage"),
    "content-usage with an exception": (
        "User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /page train-ai=y",
        "ok",
    ),
    "content-usage, two minds": (
        "User-agent: *\nContent-Usage: /page train-ai=y\nContent-Usage: /page train-ai=n",
        "content_usage",
    ),
    "content-usage, silent": (
        "User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /page search=y",
        "content_usage",
    ),
    "content-signal": (
        "User-agent: *\nContent-Signal: search=yes,ai-train=no,use=reference\nAllow: /",
        "content_signal",
    ),
    "content-signal for us": (
        "User-agent: webtext-pipeline\nContent-Signal: ai-train=no\nAllow: /",
        "content_signal",
    ),
    "content-signal for another": ("User-agent: other\nContent-Signal: ai-train=no\nAllow: /", "ok"),
    "content-signal before groups": (
        "Content-Signal: ai-train=no\nUser-agent: *\nAllow: /",
        "content_signal",
    ),
    "content-signal, allowed": ("User-agent: *\nContent-signal: search=no, ai-train=yes", "ok"),
    "content-signal here": ("User-agent: *\nContent-Signal: /page ai-train=no", "content_signal"),
    "in a comment": ("# Content-Signal: ai-train=no\nUser-agent: *\nAllow: /", "ok"),
    "disallowed, too": ("User-agent: *\nContent-Signal: ai-train=no\nDisallow: /", "robots_disallowed"),
}
HOSTS = {name: f"h{n}.test" for n, name in enumerate(ROBOTS)}


def live(directory: Path, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of PAGES and of the hosts of ROBOTS by name, from a server."""
    pages: dict[Any, Page] = {("a.test", f"/{n}"): answer for n, (answer, _, _) in enumerate(PAGES.values())}
    for n, (content, _) in enumerate(ROBOTS.values()):
        pages[f"h{n}.test", "/robots.txt"] = Page(content.encode())
    with Server(pages | {"/page": page(TEXT.format("<!-- of robots.txt -->"))}) as server:
        urls = [*URLS.values(), *(f"http://{host}/page" for host in HOSTS.values())]
        rows = fetching.crawl(urls, fetching.settings(server, **changes), directory)
    return dict(zip(PAGES, rows, strict=False)), dict(zip(ROBOTS, rows[len(PAGES) :], strict=True))


def test_each_signal_on_the_network(tmp_path: Path) -> None:
    rows, by_robots = live(tmp_path)
    for name, (_, reason, words) in PAGES.items():
        assert (rows[name]["reason"], rows[name]["consent"] or []) == (reason, words), name
    for name, (_, reason) in ROBOTS.items():
        assert by_robots[name]["reason"] == reason, name
        assert (by_robots[name]["consent"] is not None) == reason.startswith("content_"), name
        assert (by_robots[name]["warc"] is None) == (reason != "ok"), name  # not asked for


def test_what_is_refused_is_kept_without_its_body(tmp_path: Path) -> None:
    """Request and response headers are the evidence; the text is nowhere."""
    rows, _ = live(tmp_path)
    for name, (_, reason, _) in PAGES.items():
        row = rows[name]
        stored = fetching.body(row, tmp_path)
        assert (b"Some text." in stored) == (reason == "ok" and "utf-16" not in name and "body" not in name)
        if reason != "ok":
            assert (stored, row["n_bytes"], row["truncated"], row["status"]) == (b"", 0, True, 200), name
            with (tmp_path / row["warc"]).open("rb") as file:
                file.seek(row["warc_offset"])
                record = next(ArchiveIterator(io.BytesIO(file.read(row["warc_length"]))))
                header = record.http_headers.get_header(consent.EVIDENCE)
                assert (header is not None) == name.startswith("meta"), name
                assert record.rec_headers.get_header("WARC-Truncated") == "unspecified"


@pytest.mark.parametrize("coding", ["", "gzip", "br"])
def test_a_page_that_is_cut_is_asked_too(coding: str, tmp_path: Path) -> None:
    """The beginning of what is too large would be stored."""
    from tests.pipeline.fetch.archives.test_warc import ENCODERS

    html = (TEXT.format('<meta name="robots" content="noai">') + "<p>Some text." * 1000).encode()
    content = ENCODERS[coding](html) if coding else html
    headers = {"Content-Type": "text/html", **({"Content-Encoding": coding} if coding else {})}
    with Server({"/a": Page(content, headers=headers)}) as server:
        (row,) = fetching.crawl(["http://a.test/a"], fetching.settings(server, max_bytes=5_000), tmp_path)
    assert row["reason"] == "noai"
    assert fetching.body(row, tmp_path) == b""


def test_each_setting_lets_in(tmp_path: Path) -> None:
    """What is not honoured is a page like any other, with the words in its row."""
    rows, by_robots = live(tmp_path, consent=[])
    assert {row["reason"] for row in rows.values()} == {"ok"}
    for name, (_, _, words) in PAGES.items():
        assert (rows[name]["consent"] or []) == words, name
    assert Counter(row["reason"] for row in by_robots.values()) == {
        "ok": len(ROBOTS) - 1,
        "robots_disallowed": 1,
    }
    reader = consent.Reader([signal for signal in ALL if signal != "noindex"], "webtext-pipeline")
    signals = reader.headers([("X-Robots-Tag", "noindex, noai")])
    assert reader.refusal(signals[:1]) is None
    refusal = reader.refusal(signals)
    assert isinstance(refusal, Failure)
    assert (refusal.reason, refusal.detail) == ("noai", "x-robots-tag: noai")


def archive(directory: Path, records: list[tuple[str, Page]]) -> Path:
    """A WARC file of somebody else's with these pages."""
    path = directory / "theirs.warc.gz"
    with path.open("wb") as file:
        writer = WARCWriter(file)
        for url, answer in records:
            assert isinstance(answer.body, bytes)
            headers = StatusAndHeaders(answer.status, list(answer.headers.items()), protocol="HTTP/1.1")
            payload = io.BytesIO(answer.body)
            writer.write_record(
                writer.create_warc_record(
                    url, "response", payload=payload, length=len(answer.body), http_headers=headers
                )
            )
    return path


def from_archive(path: Path, urls: list[str], directory: Path, options: Fetch) -> list[dict[str, Any]]:
    found = captures.table(list(captures.captures(str(path), Counter())))
    ids = dict(zip(found["url"].to_pylist(), found["link_id"].to_pylist(), strict=True))
    links = fetching.links(*urls).set_column(0, "link_id", [[ids[url] for url in urls]])
    pages, counts = captures.fetch(links, found, options, directory / "part.warc.gz", batch="b")
    fetching.validate(directory / "part.warc.gz")
    rows = list(pages.to_pylist())
    assert counts == Counter(row["reason"] for row in rows)
    return rows


def test_each_signal_in_warc_files(tmp_path: Path) -> None:
    records = [(URLS[name], answer) for name, (answer, _, _) in PAGES.items()]
    for name, (content, _) in ROBOTS.items():
        rules = Page(content.encode(), headers={"Content-Type": "text/plain"})
        records += [
            (f"http://{HOSTS[name]}/robots.txt", rules),
            (f"http://{HOSTS[name]}/page", page("<html>x")),
        ]
    path = archive(tmp_path, records)
    urls = [*URLS.values(), *(f"http://{host}/page" for host in HOSTS.values())]
    rows = from_archive(path, urls, tmp_path, fetching.settings())
    for name, row in zip(PAGES, rows, strict=False):
        assert (row["reason"], row["consent"] or []) == (PAGES[name][1], PAGES[name][2]), name
        assert b"Some text." not in fetching.body(row, tmp_path) or row["reason"] == "ok"
    for name, row in zip(ROBOTS, rows[len(PAGES) :], strict=True):
        expected = ROBOTS[name][1]
        # who may fetch was asked when the file was made: only what is said of use counts
        assert row["reason"] == ("content_signal" if expected == "robots_disallowed" else expected), name


def test_our_own_files_say_the_same_again(tmp_path: Path) -> None:
    """Also where a meta element spoke, whose page is not kept."""
    rows, _ = live(tmp_path)
    (tmp_path / "again").mkdir()
    again = from_archive(
        tmp_path / "part.warc.gz", list(URLS.values()), tmp_path / "again", fetching.settings()
    )
    for name, row in zip(PAGES, again, strict=True):
        assert (row["reason"], row["consent"]) == (rows[name]["reason"], rows[name]["consent"]), name


RULES = [
    ("/", '[{"location": "/", "tdm-reservation": 1}]', True),
    ("/a/b", '[{"location": "/a/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', False),
    ("/b", '[{"location": "/a/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', True),
    ("/a/x.pdf", '[{"location": "/*.pdf$", "tdm-reservation": 1, "tdm-policy": "http://p/"}]', True),
    ("/a/x.html", '[{"location": "/*.pdf$", "tdm-reservation": 1}]', False),
    ("/", '[{"location": "/", "tdm-reservation": "1"}]', True),
    ("/", '{"location": "/", "tdm-reservation": 1}', False),
    ("/", '[{"location": "/"}, 3, null, {"location": 4, "tdm-reservation": 1}]', False),
    ("/", '[{"location": "/x\\nDisallow: /", "tdm-reservation": 1}]', False),
    ("/", "<!doctype html><p>No such page", False),
    ("/", "[" * 100_000, False),
]


@pytest.mark.parametrize(("path", "content", "reserved"), RULES)
def test_tdmrep_json(path: str, content: str, reserved: bool, tmp_path: Path) -> None:
    """Asked for once, after robots.txt, where the setting says so; in WARC files wherever it is there."""
    expected = "tdm_reservation" if reserved else "ok"
    pages: dict[Any, Page] = {
        "/.well-known/tdmrep.json": Page(content.encode(), headers={"Content-Type": "application/json"}),
        path: page("<html>x"),
        "/more": page("<html>y"),
    }
    url = f"http://a.test{path}"
    with Server(pages) as server:
        (row,) = fetching.crawl([url], fetching.settings(server), tmp_path)
        assert row["reason"] == "ok"
        (tmp_path / "asked").mkdir()
        options = fetching.settings(server, tdmrep=True)
        server.log.clear()
        rows = fetching.crawl([url, "http://a.test/more"], options, tmp_path / "asked")
        assert rows[0]["reason"] == expected, rows[0]
        asked = [request.path for request in server.log]
        assert asked[:2] == ["/robots.txt", "/.well-known/tdmrep.json"]
        assert asked.count("/.well-known/tdmrep.json") == 1
        assert (path in asked) is not reserved
    (tmp_path / "again").mkdir()
    records = [(f"http://a.test{place}", answer) for place, answer in pages.items()]
    (row,) = from_archive(archive(tmp_path, records), [url], tmp_path / "again", fetching.settings())
    assert row["reason"] == expected


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (Page(b"", "500 Oops"), 1),
        (Page(b"", "404 Not Found"), 1),
        (Page(b"", "302 Found", {"Location": "/elsewhere"}), 1),
        (Page(b"", "302 Found", {"Location": "/.well-known/tdmrep.json"}), 6),
        (Page(FAULTS["silence"]), 2),
        (Page(FAULTS["gzip_corrupt"]), 1),
        (Page(FAULTS["endless_body"]), 1),
    ],
)
def test_no_tdmrep_json_reserves_nothing(answer: Page, asked: int, tmp_path: Path) -> None:
    pages: dict[Any, Page] = {"/.well-known/tdmrep.json": answer, "/a": page(), "/robots.txt": Page(b"")}
    with Server(pages) as server:
        patience = {"robots_timeout": 3.5, "read_timeout": 2.0} if answer.body is FAULTS["silence"] else {}
        options = fetching.settings(server, tdmrep=True, **patience)
        (row,) = fetching.crawl(["http://a.test/a"], options, tmp_path)
        assert row["reason"] == "ok"
        assert server.paths().count("/.well-known/tdmrep.json") == asked


def test_tdmrep_json_is_not_asked_for_where_robots_txt_forbids_it(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {"/robots.txt": Page(b"User-agent: *\nDisallow: /.well-known/"), "/a": page()}
    with Server(pages) as server:
        (row,) = fetching.crawl(["http://a.test/a"], fetching.settings(server, tdmrep=True), tmp_path)
        assert row["reason"] == "ok"
        assert server.paths() == ["/a"]


def test_every_signal_is_an_outcome() -> None:
    assert set(ALL) == consent.REASONS
    assert set(REASONS) > consent.REASONS


@given(st.binary(max_size=200), st.sampled_from(["", "utf-16", "utf-32", "ucs-x"]))
def test_any_page_can_be_asked(rest: bytes, charset: str) -> None:
    reader = consent.Reader(ALL, "webtext-pipeline")
    for head in (rest, b"<meta name=robots content=noai" + rest, b"noai <" + rest):
        reader.page(head, charset)


@given(st.text(max_size=60))
def test_any_header_can_be_read(value: str) -> None:
    reader = consent.Reader(ALL, "webtext-pipeline")
    for name in ("X-Robots-Tag", "Content-Usage", "Content-Signal", "TDM-Reservation", consent.EVIDENCE):
        reader.headers([(name, value), (name, f"noai, x: {value}")])
    robots.parse(f"Content-Usage: {value}\nContent-Signal: {value}".encode(), "x", ALL)
