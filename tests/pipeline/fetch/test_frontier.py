"""Several partitions at a time in one process."""

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.fetch import fetch
from pipeline.fetch.archives.warc import WarcFile
from pipeline.fetch.frontier import Cancelled, Frontier, Room, shared
from pipeline.fetch.http.response import Response
from pipeline.fetch.threads import Threads
from tests.pipeline.fetching import links, settings, validate
from tests.web import FAULTS, Page, Server, page


def together(
    parts: list[list[str]], frontier: Frontier, options: Any, directory: Path, **others: Any
) -> list[tuple[pa.Table, Counter[str]] | BaseException]:
    """What `fetch` returned or raised for partitions that were begun at the same time."""
    found: list[Any] = [None] * len(parts)

    def one(n: int) -> None:
        try:
            warc = directory / f"part-{n}.warc.gz"
            found[n] = fetch(links(*parts[n]), options, warc, batch="b", frontier=frontier, **others)
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            found[n] = error

    threads = [threading.Thread(target=one, args=(n,)) for n in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_partitions_share_hosts_and_each_has_its_own_outcomes(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {f"/{n}": page(f"<p>{n}</p>") for n in range(8)}
    with Server(pages) as server:
        options = settings(server)
        parts = [[f"http://h{host}.test/{n}" for host in range(3)] for n in range(8)]
        with shared(options) as frontier:
            found = together(parts, frontier, options, tmp_path)
        for n, result in enumerate(found):
            assert isinstance(result, tuple)
            assert result[1] == {"ok": 3}
            assert result[0]["url"].to_pylist() == parts[n]
            validate(tmp_path / f"part-{n}.warc.gz")
        for host in range(3):
            assert [r.path for r in server.log if r.host == f"h{host}.test"].count(
                "/robots.txt"
            ) == 1  # for all partitions


def test_a_disk_error_ends_one_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = WarcFile.add

    def failing(self: WarcFile, response: Response, *others: Any) -> tuple[int, int]:
        if "bad" in response.target.url:
            raise OSError(28, "No space left on device")
        return add(self, response, *others)

    monkeypatch.setattr(WarcFile, "add", failing)
    with Server({"/a": page()}) as server:
        options = settings(server, robots=False)
        with shared(options) as frontier:
            parts = [[f"http://{name}.test/a" for name in names] for names in (("bad", "c"), ("d", "e"))]
            bad, good = together(parts, frontier, options, tmp_path)
    assert isinstance(bad, OSError)
    assert isinstance(good, tuple)
    assert good[1] == {"ok": 2}


def test_what_nobody_wants_any_more_ends_and_can_be_continued(tmp_path: Path) -> None:
    """Cancelled while it waits for a robots.txt; then another waits for the same host."""
    stop = threading.Event()
    with Server({"/a": page(), "/robots.txt": Page(FAULTS["silence"])}) as server:
        options = settings(server, robots_timeout=1.0)
        with shared(options) as frontier:
            threading.Timer(0.2, stop.set).start()
            (result,) = together([["http://h.test/a"]], frontier, options, tmp_path, cancelled=stop.is_set)
            assert isinstance(result, Cancelled)
            (result,) = together([["http://h.test/a"]], frontier, options, tmp_path)
    assert isinstance(result, tuple)


def test_after_the_time_of_the_stage_the_rest_is_deferred(tmp_path: Path) -> None:
    """`until` holds for all partitions, whenever they begin."""
    with Server({"/a": page()}) as server:
        options = settings(server, robots=False, spacing=30.0)
        with shared(options) as frontier:
            parts = [[f"http://h{n}.test/a?{m}" for m in range(3)] for n in range(2)]
            found = together(parts, frontier, options, tmp_path, until=time.time() + 1.0)
            late = together([["http://late.test/a"]], frontier, options, tmp_path, until=time.time() - 1)
    for result in found:
        assert isinstance(result, tuple)
        assert result[1] == {"ok": 1, "deferred": 2}
    assert isinstance(late[0], tuple)
    assert late[0][1] == {"deferred": 1}


def test_one_is_let_in_always_and_more_while_threads_are_idle() -> None:
    room = Room(open_links=100)
    assert room.enter(1000, starved=False)
    assert not room.enter(1, starved=True)  # 1,001 links
    room.leave(1000)
    assert room.enter(60, starved=False)
    assert not room.enter(40, starved=False)
    assert room.enter(40, starved=True)
    assert not room.enter(1, starved=True)


def test_slow_requests_get_other_threads_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.fetch.threads.SLOW", 0.0)
    running, gate, ended = threading.Semaphore(0), threading.Event(), []

    def work() -> None:
        with threads.busy():
            running.release()
            gate.wait()
        ended.append(threads.surplus())

    threads = Threads(2, work)
    threads.start()
    running.acquire(timeout=10)
    running.acquire(timeout=10)
    time.sleep(0.01)
    threads.start()  # both wait: two more
    assert running.acquire(timeout=10)
    assert running.acquire(timeout=10)
    gate.set()
    while len(ended) < 4:
        time.sleep(0.01)
    assert ended.count(True) >= 2
