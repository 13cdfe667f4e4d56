"""Politeness: what the server is asked, and the times by which the client goes.

No time is taken at the server, which a loaded machine may keep from reading a request.
"""

import itertools
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from warcio.archiveiterator import ArchiveIterator

from pipeline.fetch.politeness.pace import AddressQueue, Pace
from pipeline.fetch.politeness.retry_after import retry_after
from pipeline.fetch.politeness.turns import TurnTable
from tests.pipeline.fetching import RecordedTurns, crawl, settings
from tests.web import FAULTS, Page, Server, dns, flaky, page


def test_no_host_sees_two_requests_closer_than_its_spacing(tmp_path: Path, turn_table: RecordedTurns) -> None:
    """Pages, redirects to and fro, retries, resets, dead ends and robots.txt, from two fetches at once."""
    spacing = 0.1
    hosts = [f"h{n}.spacing.test" for n in range(4)]
    pages: dict[Any, Page] = {f"/{n}": page() for n in range(3)}
    for n, host in enumerate(hosts):
        after = hosts[(n + 1) % len(hosts)]
        pages[host, "/away"] = Page(b"", "302 Found", {"Location": f"http://{after}/0?from={host}"})
        pages[host, "/busy"] = flaky(1, Page(b"", "503 Busy", {"Retry-After": "0"}))
        pages[host, "/reset"] = Page(FAULTS["reset"])
    with Server(pages) as server:
        options = settings(server, spacing=spacing, host_failures=50, threads=8)
        names = ["0", "away", "busy", "reset", "1", "gone", "2"]
        halves = [
            [f"http://{host}/{name}" for host in half for name in names] for half in (hosts[:2], hosts[2:])
        ]
        rows: dict[int, list[dict[str, Any]]] = {}

        def run(n: int) -> None:
            (tmp_path / str(n)).mkdir()
            rows[n] = crawl(halves[n], options, tmp_path / str(n))

        threads = [threading.Thread(target=run, args=(n,)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reasons = [row["reason"] for row in rows[0][:7]]
        assert reasons == ["ok", "ok", "ok", "connection_reset", "ok", "http_4xx", "ok"]
        for host in hosts:
            assert len(turn_table.gaps(host)) + 1 == len(server.times(host)) >= 9
            assert min(turn_table.gaps(host)) >= spacing, host


def test_crawl_delay_is_honoured_up_to_the_cap(tmp_path: Path, turn_table: RecordedTurns) -> None:
    robots = Page(b"User-agent: *\nCrawl-delay: 0.3\n")
    strict = Page(b"User-agent: *\nCrawl-delay: 86400\n")
    pages: dict[Any, Page] = {"/0": page(), "/1": page(), ("a.delay.test", "/robots.txt"): robots}
    with Server(pages | {("b.delay.test", "/robots.txt"): strict}) as server:
        urls = [f"http://{host}.delay.test/{n}" for host in "ab" for n in range(2)]
        rows = crawl(urls, settings(server, max_crawl_delay=0.5), tmp_path)
        assert {row["reason"] for row in rows} == {"ok"}
    assert turn_table.gaps("a.delay.test")[-1] >= 0.3
    assert turn_table.gaps("b.delay.test")[-1] >= 0.5


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Busy"])
@pytest.mark.parametrize("form", ["seconds", "date", "too long"])
def test_retry_after(tmp_path: Path, turn_table: RecordedTurns, status: str, form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    asked = {"seconds": "1", "date": date, "too long": "86400"}[form]
    host = f"{status[:3]}-{form.replace(' ', '-')}.retry.test"
    with Server({"/a": flaky(1, Page(b"", status, {"Retry-After": asked})), "/b": page()}) as server:
        options = settings(server, robots=False, max_retry_after=1.2)
        rows = crawl([f"http://{host}/a", f"http://{host}/b"], options, tmp_path)
        assert [row["reason"] for row in rows] == ["ok", "ok"]
        assert len(server.times(host)) == 3
    asked_for = {"seconds": 1.0, "date": 1.2, "too long": 1.2}[form]
    (delay,) = turn_table.delays
    assert delay <= asked_for
    first, second = turn_table.gaps(host)
    assert first >= asked_for
    assert second >= 0.02


def test_an_overloaded_host_is_asked_more_slowly_from_then_on(
    tmp_path: Path, turn_table: RecordedTurns
) -> None:
    busy = flaky(1, Page(b"", "429 Slow down", {"Retry-After": "0"}))
    with Server({"/a": busy, "/b": page(), "/c": page()}) as server:
        options = settings(server, robots=False, spacing=0.1, backoff=0.25)
        rows = crawl([f"http://slow.over.test/{n}" for n in "abc"], options, tmp_path)
        assert {row["reason"] for row in rows} == {"ok"}
    assert len(turn_table.gaps("slow.over.test")) == 3
    assert min(turn_table.gaps("slow.over.test")[1:]) >= 0.25


def test_a_host_that_keeps_failing_is_left_alone(tmp_path: Path) -> None:
    with Server() as server:
        urls = [f"http://dead.test/fault/status_500?{n}" for n in range(10)]
        rows = crawl(urls, settings(server, host_failures=4), tmp_path)
        assert [row["reason"] for row in rows] == ["http_5xx"] * 4 + ["host_failing"] * 6
        assert len(server.paths("dead.test")) == 4


def test_a_success_resets_the_count(tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        urls = [f"http://half.test/{'a' if n % 3 == 2 else 'fault/status_500'}?{n}" for n in range(12)]
        rows = crawl(urls, settings(server, host_failures=3), tmp_path)
        assert "host_failing" not in {row["reason"] for row in rows}


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("soon", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2015 12:00:30 GMT", 0.0),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_who_waits_comes_back_one_after_another() -> None:
    waiting = AddressQueue()
    assert [waiting.join("a", 0.5, 11.0) for _ in range(3)] == [11.0, 11.5, 12.0]
    assert waiting.join("b", 0.5, 11.0) == 11.0
    assert waiting.join("a", 0.5, 20.0) == 20.0


def test_hosts_behind_one_address_share_its_spacing(tmp_path: Path, turn_table: RecordedTurns) -> None:
    """Fifteen hosts on one address: never closer than `address_spacing`."""
    spacing, count = 0.05, 15
    names: dict[str, list[list[str] | None]] = {f"h{n}.shared.example": [["127.0.0.1"]] for n in range(count)}
    with Server({"/a": page()}) as server, dns.NameServer(names, ttl=60).running() as resolver:
        options = settings(
            nameservers=[resolver.address], allow_networks=["127.0.0.0/8"], address_spacing=spacing
        )
        rows = crawl([f"http://{name}:{server.port}/a" for name in names], options, tmp_path)
        assert {row["reason"] for row in rows} == {"ok"}
        assert len(server.log) == 2 * count
    turns = turn_table.turns("address 127.0.0.1")
    assert len(turns) == 2 * count
    assert min(b - a for a, b in itertools.pairwise(turns)) >= spacing


def test_an_address_has_few_connections_at_a_time(tmp_path: Path, turn_table: RecordedTurns) -> None:
    """Twelve hosts on one address, which answers none before three are waiting."""
    names: dict[str, list[list[str] | None]] = {f"h{n}.shared.example": [["127.0.0.1"]] for n in range(12)}
    lock, three = threading.Lock(), threading.Barrier(3)
    open_, most = 0, 0

    def slow(connection: Any, request: Any, server: Server) -> bool:
        nonlocal open_, most
        with lock:
            open_ += 1
            most = max(most, open_)
        three.wait()
        time.sleep(0.05)  # in which a fourth could come
        with lock:
            open_ -= 1
        return server.send(connection, page())

    with Server({"/a": Page(slow)}) as server, dns.NameServer(names, ttl=60).running() as resolver:
        options = settings(
            nameservers=[resolver.address],
            allow_networks=["127.0.0.0/8"],
            address_spacing=0.0,
            address_connections=3,
            robots=False,
            deadline=100.0,
            read_timeout=100.0,
        )
        rows = crawl([f"http://{name}:{server.port}/a" for name in names], options, tmp_path)
    assert {row["reason"] for row in rows} == {"ok"}
    assert most == 3
    assert not turn_table._in_flight


def test_worker_processes_keep_the_spacing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Three workers, a partition each; pages redirect to the hosts of the others, with retries on the way."""
    from pipeline import crawl as command

    spacing, count = 0.1, 6
    hosts = [f"h{n}.workers{n}.example" for n in range(count)]
    pages: dict[Any, Page] = {f"/{n}": page() for n in range(2)}
    pages["/moved"] = Page(b"", "302 Found", {"Location": "/0?again"})
    for n, host in enumerate(hosts):
        pages[host, "/busy"] = flaky(1, Page(b"", "503 Busy", {"Retry-After": "0"}))
        for step in range(1, count):
            to = hosts[(n + step) % count]
            pages[host, f"/to{step}"] = Page(b"", "302 Found", {"Location": f"http://{to}/0?from={host}"})
    names = ["0", *(f"to{step}" for step in range(1, count)), "moved", "busy", "1"]
    with Server(pages) as server:
        listed = tmp_path / "list.txt"
        listed.write_text("".join(f"http://{host}/{name}\n" for name in names for host in hosts))
        options = [
            *("fetch.contact=tests@example.org", f"fetch.spacing={spacing}", "fetch.backoff=0.1"),
            *("cluster.workers=3", f"links.rows={2 * len(names)}", "fetch.host_failures=50"),
            f"fetch.connect_to={json.dumps({'*': server.url})}",
        ]
        command.main(
            [
                *("--submissions", str(listed), "--corpus", str(tmp_path / "corpus")),
                *("--batch", "b", "--until", "fetch"),
                *(part for one in options for part in ("--set", one)),
            ]
        )
        asked_by: dict[str, set[str]] = {host: set() for host in hosts}
        times: dict[str, list[datetime]] = {host: [] for host in hosts}
        for file in (tmp_path / "corpus/pages/b/warc").glob("*.warc.gz"):
            with file.open("rb") as stream:
                for record in ArchiveIterator(stream):
                    if record.rec_type == "request":
                        host = urlsplit(record.rec_headers.get_header("WARC-Target-URI")).hostname
                        asked_by[host].add(file.name)
                        date = record.rec_headers.get_header("WARC-Date")  # when the client began with it
                        times[host].append(datetime.fromisoformat(date))
        for host in hosts:
            assert len(asked_by[host]) == 3, "redirects led every worker to every host"
            assert len(times[host]) == len(server.times(host)) == len(names) + 3 + (count - 1) + 2
            seconds = [(b - a).total_seconds() for a, b in itertools.pairwise(sorted(times[host]))]
            assert min(seconds) >= spacing - 0.001, host  # two clocks of the machine, by a millisecond
    assert capfd.readouterr().err.count("fetch.connect_to") == 1


def test_back_off_doubles_within_its_jitter_and_cap() -> None:
    for attempt, (low, high) in enumerate([(0.5, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 3.0)]):
        pace = Pace(f"backoff{attempt}.test", settings(backoff=1.0, max_retry_after=3.0))
        before = time.monotonic()
        pace.back_off(attempt, None)
        assert low <= pace.due() - before
        assert pace.due() - time.monotonic() <= high


@pytest.mark.parametrize(
    ("asked", "low", "high"), [(0.0, 0.5, 1.0), (0.3, 0.5, 1.0), (2.0, 2.0, 2.0), (9.0, 3.0, 3.0)]
)
def test_a_short_retry_after_does_not_cancel_the_back_off(
    asked: float, low: float, high: float, turn_table: TurnTable
) -> None:
    """`Retry-After: 0`, or a date that has passed."""
    pace = Pace("asked.test", settings(backoff=1.0, max_retry_after=3.0), lambda: 100.0, turn_table)
    pace.back_off(0, asked)
    assert 100.0 + low - 0.01 <= pace.due() <= 100.0 + high + 0.01
