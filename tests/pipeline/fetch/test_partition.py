"""Each fault of the hostile web ends in its named outcome, and every link in exactly one."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.fetch import check, fetch
from pipeline.fetch.archives.warc import WarcFile
from pipeline.fetch.politeness.robots import Rules
from pipeline.settings import Fetch
from tests.pipeline.fetching import IMPATIENT, body, crawl, links, settings
from tests.web import FAULTS, Page, Server, dns, page
from tests.web.faults import HTML

OUTCOMES = {
    "silence": "timeout",
    "drip_head": "timeout",
    "drip_headers": "timeout",
    "drip_body": "timeout",
    "drip_chunks": "timeout",
    "drip_chunk_size": "timeout",
    "hang_in_body": "timeout",
    "endless_100": "timeout",
    "endless_body": "too_large",
    "endless_chunks": "too_large",
    "endless_trailers": "too_large",
    "huge_header": "headers_too_large",
    "many_headers": "headers_too_large",
    "fat_headers": "headers_too_large",
    "gzip_bomb": "too_large",
    "nested_bomb": "too_large",
    "deflate_bomb": "too_large",
    "brotli_bomb": "too_large",
    "zstd_bomb": "too_large",
    "mixed_bomb": "too_large",
    "redirect_loop": "too_many_redirects",
    "redirect_growing": "too_many_redirects",
    "redirect_file": "redirect_refused",
    "redirect_script": "redirect_refused",
    "redirect_garbage": "redirect_refused",
    "redirect_nowhere": "http_3xx",
    "gzip": "ok",
    "gzip_trailing": "ok",
    "gzip_members": "ok",
    "deflate": "ok",
    "deflate_raw": "ok",
    "gzip_corrupt": "decode_error",
    "gzip_cut": "decode_error",
    "gzip_not": "decode_error",
    "brotli": "ok",
    "brotli_cut": "decode_error",
    "brotli_corrupt": "decode_error",
    "brotli_trailing": "decode_error",
    "zstd": "ok",
    "zstd_frames": "ok",
    "zstd_cut": "decode_error",
    "zstd_corrupt": "decode_error",
    "zstd_wide_window": "decode_error",
    "unknown_coding": "decode_error",
    "many_codings": "decode_error",
    "length_too_long": "protocol_error",
    "length_too_short": "ok",
    "length_negative": "ok",
    "lengths_differ": "protocol_error",
    "chunk_size_bad": "protocol_error",
    "chunk_cut": "protocol_error",
    "chunk_last_missing": "protocol_error",
    "chunked": "ok",
    "garbage": "protocol_error",
    "http_09": "protocol_error",
    "http_10": "ok",
    "status_line_only": "empty_body",
    "odd_headers": "ok",
    "close": "connection_reset",
    "reset": "connection_reset",
    "reset_in_head": "connection_reset",
    "reset_in_headers": "connection_reset",
    "reset_in_body": "connection_reset",
    "reset_in_chunks": "connection_reset",
    "empty": "empty_body",
    "no_content": "empty_body",
    "pdf": "content_type",
    "pdf_endless": "content_type",
    "pdf_as_html": "content_type",
    "zeros_as_html": "content_type",
    "utf16": "ok",
    "wrong_charset": "ok",
    "unknown_charset": "ok",
    "no_type": "ok",
    "no_type_text": "content_type",
    "no_type_binary": "content_type",
    "odd_type": "ok",
    "status_404": "http_4xx",
    "status_404_endless": "http_4xx",
    "status_410": "http_4xx",
    "status_500": "http_5xx",
    "status_503": "http_5xx",
    "status_304": "http_3xx",
    "status_999": "http_9xx",
}


def test_every_fault_has_its_outcome(tmp_path: Path) -> None:
    assert OUTCOMES.keys() == FAULTS.keys()
    with Server() as server:
        by_name: dict[str, dict[str, Any]] = {}
        for hang, options in ((True, settings(server, **IMPATIENT)), (False, settings(server))):
            names = [name for name in FAULTS if (OUTCOMES[name] == "timeout") == hang]
            urls = [f"http://{name.replace('_', '-')}.test/fault/{name}" for name in names]
            (tmp_path / str(hang)).mkdir()
            by_name |= dict(zip(names, crawl(urls, options, tmp_path / str(hang)), strict=True))
    wrong = {name: row["detail"] for name, row in by_name.items() if row["reason"] != OUTCOMES[name]}
    assert wrong == {}
    plain = ("gzip", "gzip_trailing", "deflate", "deflate_raw", "brotli", "zstd", "chunked")
    for name in plain:
        assert body(by_name[name], tmp_path / "False") == HTML, name
    for name in ("gzip_members", "zstd_frames"):
        assert body(by_name[name], tmp_path / "False") == HTML * 2
    for name, row in by_name.items():
        if row["warc"]:
            directory = tmp_path / str(OUTCOMES[name] == "timeout")
            assert len(body(row, directory)) >= row["n_bytes"] or row["truncated"], name
        assert (row["status"] is None) == (row["warc"] is None), name
    assert by_name["endless_body"]["truncated"]
    assert by_name["no_type"]["content_type"] == "text/html"
    assert (by_name["odd_type"]["content_type"], by_name["odd_type"]["charset"]) == (
        "text/html",
        "iso-8859-1",
    )


def test_a_link_that_is_no_url_falls_back_to_the_canonical_one(tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        table = links("http://a.test/a").set_column(2, "raw_url", [["a.test/a"]])
        pages, counts = fetch(table, settings(server), tmp_path / "x.warc.gz", batch="b")
        assert counts == {"ok": 1}
        assert pages["final_url"].to_pylist() == ["http://a.test/a"]


def test_what_is_no_url_is_not_asked_for(tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        rows = crawl(
            ["mailto:a@b.test", "ftp://a.test/", "http://", "http://a b/", ""],
            settings(server),
            tmp_path,
        )
        assert {row["reason"] for row in rows} == {"invalid_url"}
        assert not server.log


def test_user_name_and_password_are_not_sent(tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        (row,) = crawl(["http://user:secret@a.test/a#part"], settings(server), tmp_path)
        assert (row["reason"], row["final_url"]) == ("ok", "http://a.test/a")
        assert not any("authorization" in request.headers for request in server.log)


def test_connect_to_keeps_host_url_and_https(tmp_path: Path) -> None:
    with Server(
        {("www.real.test", "/a"): page("<html>real"), ("other.test:8443", "/a"): page("<html>other")}
    ) as server:
        rows = crawl(["https://www.real.test/a", "http://other.test:8443/a"], settings(server), tmp_path)
        assert [row["reason"] for row in rows] == ["ok", "ok"]
        assert [row["final_url"] for row in rows] == ["https://www.real.test/a", "http://other.test:8443/a"]
        assert {request.host for request in server.log} == {"www.real.test", "other.test:8443"}
        assert body(rows[0], tmp_path) == b"<html>real"


def test_connect_to_leaves_other_hosts_to_the_guard(tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        options = settings(connect_to={"*.test": server.url})
        rows = crawl(["http://a.test/a", f"http://127.0.0.1:{server.port}/a"], options, tmp_path)
        assert [row["reason"] for row in rows] == ["ok", "address_refused"]
        assert {request.host for request in server.log} == {"a.test"}


def test_redirects_are_followed_over_hosts_and_stored(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {
        ("a.test", "/1"): Page(b"moved", "301 Moved", {"Location": "//b.test/2?x=1#frag"}),
        ("b.test", "/2"): Page(b"", "307 Again", {"Location": "/caf\xc3\xa9"}),
        ("b.test", "/caf%C3%A9"): page("<html>end"),
        ("a.test", "/private"): Page(b"", "302 Found", {"Location": "http://10.0.0.1/"}),
        ("a.test", "/port"): Page(b"", "302 Found", {"Location": "http://c.example:6379/"}),
        ("a.test", "/closed"): Page(b"", "302 Found", {"Location": "http://closed.test/x"}),
        ("closed.test", "/robots.txt"): Page(b"User-agent: *\nDisallow: /"),
    }
    with Server(pages) as server:
        options = settings(connect_to={"*.test": server.url})
        urls = [f"http://a.test/{name}" for name in ("1", "private", "port", "closed")]
        rows = crawl(urls, options, tmp_path)
        assert [row["reason"] for row in rows] == [
            "ok",
            "address_refused",
            "port_refused",
            "robots_disallowed",
        ]
        assert rows[0]["final_url"] == "http://b.test/caf%C3%A9"
        assert rows[1]["final_url"] == "http://10.0.0.1/"
        assert "/x" not in server.paths("closed.test")
        assert body(rows[0], tmp_path) == b"<html>end"


def test_the_number_of_redirects_is_bounded(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {f"/{n}": Page(b"", "302 Found", {"Location": f"/{n + 1}"}) for n in range(5)}
    with Server(pages | {"/5": page()}) as server:
        urls = ["http://a.test/0", "http://b.test/1"]
        rows = crawl(urls, settings(server, max_redirects=4), tmp_path)
        assert [row["reason"] for row in rows] == ["too_many_redirects", "ok"]


def test_no_cookie_comes_back_and_no_proxy_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with Server({"/a": page(Set_Cookie="id=1"), "/b": page()}) as server:
        rows = crawl(["http://a.test/a", "http://a.test/b"], settings(server), tmp_path)
        assert [row["reason"] for row in rows] == ["ok", "ok"]
        assert not any("cookie" in request.headers for request in server.log)
        agents = {request.headers["user-agent"] for request in server.log}
        assert agents == {"webtext-pipeline/0.2 (+tests@example.org)"}


def test_one_connection_serves_a_host(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {f"/{n}": page() for n in range(8)}
    with Server(pages | {"/gone": Page(b"gone", "404 Not Found")}) as server:
        urls = [f"http://a.test/{n}" for n in [*range(8), "gone"]]
        rows = crawl(urls, settings(server), tmp_path)
        assert [row["reason"] for row in rows] == ["ok"] * 8 + ["http_4xx"]
        assert server.connections == 1


def test_nothing_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = settings(connect_to={"*": f"http://127.0.0.1:{port}"}, host_failures=3, robots=False)
    rows = crawl([f"http://a.test/{n}" for n in range(5)], options, tmp_path)
    assert [row["reason"] for row in rows] == ["connect_error"] * 2 + ["host_failing"] * 3
    (row,) = crawl(["http://a.test/"], settings(connect_to={"*": f"http://127.0.0.1:{port}"}), tmp_path)
    assert (
        row["reason"] == "connect_error"
    )  # robots.txt was asked for, but it is the host that does not answer


def test_a_name_that_does_not_resolve(tmp_path: Path) -> None:
    rows = crawl(["http://no-such-host.invalid/", f"http://{'a' * 64}.test/"], settings(), tmp_path)
    assert [row["reason"] for row in rows] == ["dns_error", "dns_error"]


def test_a_resolver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: over.wait())
    try:
        (row,) = crawl(["http://slow.example/"], settings(robots=False, retries=0, deadline=0.3), tmp_path)
    finally:
        over.set()
    assert row["reason"] == "timeout"


def test_a_slow_resolver_does_not_idle_the_threads(tmp_path: Path) -> None:
    """Two threads, twenty names: none is answered before all are asked for, and the rest is fetched."""
    names: dict[str, list[list[str] | None]] = {f"h{n}.slow.example": [["127.0.0.1"]] for n in range(20)}
    pages: dict[Any, Page] = {f"/{n}": page() for n in range(10)}
    with Server(pages) as server:
        resolver = dns.NameServer(
            names, 60, ready=lambda: set(resolver.asked) == set(names) and len(server.log) >= 11
        )
        options = settings(
            nameservers=[resolver.address],
            allow_networks=["127.0.0.0/8"],
            address_spacing=0.0,
            threads=2,
        )
        urls = [f"http://{name}:{server.port}/0" for name in names]
        urls += [f"http://127.0.0.1:{server.port}/{n}" for n in range(10)]
        with resolver.running():
            rows = crawl(urls, options, tmp_path)
        assert {row["reason"] for row in rows} == {"ok"}
        assert [request.host for request in server.log[:11]] == [f"127.0.0.1:{server.port}"] * 11
        assert sorted(resolver.asked[:20]) == sorted(names)


def test_batch_time_defers_the_rest(tmp_path: Path) -> None:
    with Server({f"/{n}": page() for n in range(50)}) as server:
        urls = [f"http://a.test/{n}" for n in range(50)]
        rows = crawl(urls, settings(server, spacing=0.2, batch_time=0.9), tmp_path)
        reasons = [row["reason"] for row in rows]
        done = reasons.count("ok")
        assert done <= 5
        assert reasons == ["ok"] * done + ["deferred"] * (50 - done)


def test_a_slow_host_does_not_idle_the_threads(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {f"/{n}": page() for n in range(20)}
    with Server(pages) as server:
        urls = [f"http://slow.test/{n}" for n in range(4)]
        urls += [f"http://quick{n}.test/{m}" for n in range(20) for m in range(3)]
        rows = crawl(urls, settings(server, threads=2, spacing=0.4), tmp_path)
        assert {row["reason"] for row in rows} == {"ok"}
        hosts = [request.host for request in server.log]
        again = hosts.index("slow.test", hosts.index("slow.test") + 1)
        assert len(set(hosts[:again])) > 3, "its threads have gone to other hosts while it had to wait"


def test_a_fault_of_the_crawler_costs_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_rules = Rules.check

    def broken(self: Rules, url: str, product: str) -> Any:
        if url.endswith("/bad"):
            raise RuntimeError("a bug")
        return check_rules(self, url, product)

    monkeypatch.setattr(Rules, "check", broken)
    with Server({"/good": page(), "/bad": page()}) as server:
        rows = crawl(["http://a.test/bad", "http://a.test/good"], settings(server), tmp_path)
    assert [row["reason"] for row in rows] == ["error", "ok"]


def test_a_full_disk_ends_the_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: WarcFile, *exchange: Any) -> tuple[int, int]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(WarcFile, "add", full)
    with Server({"/a": page()}) as server, pytest.raises(OSError, match="No space"):
        crawl([f"http://a{n}.test/a" for n in range(9)], settings(server), tmp_path)


def test_no_links(tmp_path: Path) -> None:
    assert crawl([], settings(), tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contact": None}, r"fetch\.contact is not set"),
        ({"contact": ""}, r"fetch\.contact is not set"),
        ({"contact": "me"}, r"fetch\.contact: expected an e-mail address"),
        ({"contact": "a@b"}, r"fetch\.contact: expected an e-mail address"),
        ({"contact": "a@b.org\nX: y"}, r"fetch\.contact: expected an e-mail address"),
        ({"user_agent": "bot/1.0"}, r"fetch\.user_agent: expected printable ASCII with \{contact\}"),
        ({"user_agent": "bot/1.0 \n {contact}"}, r"fetch\.user_agent: expected printable"),
        ({"user_agent": "1337/1.0 {contact}"}, r"fetch\.user_agent: expected a name"),
        ({"allow_networks": ["127.0.0.0/33"]}, r"fetch\.allow_networks: .*127\.0\.0\.0/33"),
        ({"nameservers": ["resolver.example"]}, r"fetch\.nameservers: .*not the address"),
        ({"connect_to": {"*": "127.0.0.1:80"}}, r"fetch\.connect_to: .*not of the form"),
        ({"connect_to": {"*": "http://a.test/path"}}, r"fetch\.connect_to: .*not of the form"),
    ],
)
def test_settings_that_cannot_start(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(Fetch(**{"contact": "me@example.org"} | changes))


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/bot", "http://a.example/~me?x"])
def test_settings_that_can(contact: str) -> None:
    check(Fetch(contact=contact))
