"""An outage of our own network pauses the crawl; dead hosts do not."""

import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch import fetch, outage
from pipeline.fetch.http.response import Response
from pipeline.fetch.http.target import parse
from pipeline.fetch.outage import HOSTS, KNOWN, PROBE, WINDOW, Evidence, Outage, evidence
from pipeline.fetch.outcome import Failure
from tests.pipeline.fetching import links, settings
from tests.web import Server, page

ANSWERED, RESOLVED, UNREACHED = Evidence.ANSWERED, Evidence.RESOLVED, Evidence.UNREACHED


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failing(found: Outage, hosts: int, known: int = 0, name: str = "h") -> None:
    for n in range(hosts):
        found.note(f"{name}{n}", UNREACHED, known=n < known)


def test_hosts_that_answered_before_and_fail_together_are_an_outage(clock: Clock) -> None:
    found = Outage(60.0, clock)
    found.note("a", ANSWERED, known=False)
    failing(found, HOSTS - 1, KNOWN)
    failing(found, HOSTS - 1, KNOWN)  # the same ones
    assert not found.on
    found.note("one more", UNREACHED, known=False)
    assert found.on
    assert found.opens() == clock.now + PROBE
    clock.now = found.opens()
    found.taken()
    assert found.opens() == clock.now + PROBE
    assert not found.note("one more", UNREACHED, known=False)
    assert not found.note("gone", RESOLVED, known=False)
    assert found.note("a", ANSWERED, known=True)
    assert (found.on, found.opens()) == (False, 0.0)


def test_dead_hosts_are_none(clock: Clock) -> None:
    found = Outage(60.0, clock)
    found.note("a", ANSWERED, known=False)
    failing(found, 1000, KNOWN - 1)
    assert not found.on


def test_failures_long_ago_are_none(clock: Clock) -> None:
    found = Outage(60.0, clock)
    for n in range(1000):
        found.note(f"h{n}", UNREACHED, known=True)
        clock.now += WINDOW / (HOSTS - 1) + 0.01
    assert not found.on


def test_nothing_ever_answered(clock: Clock) -> None:
    down, only_dead = Outage(60.0, clock), Outage(60.0, clock)
    only_dead.note("gone", RESOLVED, known=False)  # the name server works
    for found in (down, only_dead):
        failing(found, HOSTS)
    assert (down.on, only_dead.on) == (True, False)


def test_it_expires_and_can_end_still(clock: Clock) -> None:
    found, never = Outage(60.0, clock), Outage(0.0, clock)
    failing(found, HOSTS)
    failing(never, HOSTS)
    assert not never.on
    clock.now += 60.0
    assert not found.expired
    clock.now += 0.1
    assert found.expired
    assert found.note("a", ANSWERED, known=False)
    assert not found.expired


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(Evidence), st.booleans(), st.floats(0, 5))))
def test_an_answer_always_ends_it_and_few_hosts_never_begin_it(
    notes: list[tuple[int, Evidence, bool, float]],
) -> None:
    clock = Clock()
    found, hosts = Outage(60.0, clock), set()
    for host, what, known, later in notes:
        clock.now += later
        ended = found.note(str(host), what, known=known)
        hosts = hosts | {host} if what == UNREACHED else set() if what == ANSWERED else hosts
        assert not (ended and what != ANSWERED)
        assert not (found.on and (what == ANSWERED or len(hosts) < HOSTS))


@pytest.mark.parametrize(
    ("failure", "sent", "says"),
    [
        (Failure("dns_error", "", retry=True), False, UNREACHED),
        (Failure("dns_error", ""), False, RESOLVED),
        (Failure("connect_error", "", retry=True), False, UNREACHED),
        (Failure("timeout", ""), False, UNREACHED),
        (Failure("timeout", "", retry=True), True, Evidence.NONE),
        (Failure("connection_reset", "", retry=True), True, Evidence.NONE),
        (Failure("address_refused", ""), False, Evidence.NONE),
        (Failure("tls_error", ""), True, ANSWERED),
    ],
)
def test_what_a_failure_says(failure: Failure, sent: bool, says: Evidence) -> None:
    with tempfile.SpooledTemporaryFile() as body:
        response = Response(parse("http://a.test/"), body, failure=failure, request=b"GET /" if sent else b"")
        assert evidence(response) == says
        response.status = 503
        assert evidence(response) == ANSWERED


class Watched(Outage):
    """Tells when one begins."""

    began = threading.Event()
    times = 0

    def _begin(self) -> None:
        super()._begin()
        if self.on:
            type(self).times += 1
            self.began.set()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    monkeypatch.setattr(outage, "PROBE", 0.02)
    monkeypatch.setattr("pipeline.fetch.frontier.Outage", Watched)
    Watched.began.clear()
    Watched.times = 0
    return Watched


def urls(pages: int = 3, hosts: int = 2 * HOSTS) -> list[str]:
    return [f"http://h{host}.test/{n}" for host in range(hosts) for n in range(pages)]


def begun(table: pa.Table, options: Any, directory: Path) -> tuple[threading.Thread, list[Any]]:
    """A fetch in a thread of its own, and the list that its counts will be in."""
    counts: list[Any] = []

    def run() -> None:
        counts.append(fetch(table, options, directory / "part.warc.gz", batch="b")[1])

    thread = threading.Thread(target=run)
    thread.start()
    return thread, counts


@pytest.mark.parametrize("robots", [True, False])
def test_the_crawl_pauses_and_nothing_is_lost(robots: bool, watched: type[Watched], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    options = settings(
        connect_to={"*": f"http://127.0.0.1:{address[1]}"},
        robots=robots,
        retries=3,
        host_failures=2,
        backoff=0.2,
        max_outage=600.0,
    )
    thread, counts = begun(links(*urls()), options, tmp_path)
    assert watched.began.wait(30)
    with Server({f"/{n}": page() for n in range(3)}, address=address) as server:
        thread.join()
        assert counts == [{"ok": 6 * HOSTS}]
        assert watched.times == 1
        assert len([path for path in server.paths() if path != "/robots.txt"]) == 6 * HOSTS


def test_an_outage_that_takes_too_long(watched: type[Watched], tmp_path: Path) -> None:
    """The links end untried, and the same call asks for them again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    options = settings(connect_to={"*": f"http://127.0.0.1:{address[1]}"}, backoff=0.2, max_outage=0.3)
    warc = tmp_path / "part.warc.gz"
    _, counts = fetch(links(*urls()), options, warc, batch="b")
    assert counts == {"no_network": 6 * HOSTS}
    with Server({f"/{n}": page() for n in range(3)}, address=address):
        assert fetch(links(*urls()), options, warc, batch="b")[1] == {"ok": 6 * HOSTS}


def test_the_time_of_the_batch_ends_an_outage_too(watched: type[Watched], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = settings(connect_to={"*": f"http://127.0.0.1:{port}"}, backoff=0.2, batch_time=1.0)
    _, counts = fetch(links(*urls()), options, tmp_path / "part.warc.gz", batch="b")
    assert counts == {"no_network": 6 * HOSTS}


def test_dead_hosts_among_others_pause_nothing(watched: type[Watched], tmp_path: Path) -> None:
    with Server({"/0": page()}) as server, socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
        free.close()
        options = settings(connect_to={"dead*": dead, "*": server.url}, threads=1)
        found = [f"http://{kind}{n}.test/0" for n in range(3 * HOSTS) for kind in ("live", "dead")]
        _, counts = fetch(links(*found), options, tmp_path / "part.warc.gz", batch="b")
    assert counts == {"ok": 3 * HOSTS, "connect_error": 3 * HOSTS}
    assert not watched.began.is_set()
