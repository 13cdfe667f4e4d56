"""Whose turn it is, on a clock of the test's own."""

import itertools
import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.http.target import Target
from pipeline.fetch.outage import HOSTS, PROBE, Evidence, Outage
from pipeline.fetch.politeness.robots import ALLOW_ALL, Rules
from pipeline.fetch.politeness.schedule import Schedule
from pipeline.fetch.politeness.turns import Limits
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch

SPACING = 1.0


class Turns:
    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def due(self, name: str) -> float:
        return self.times.get(name, 0.0)

    def claim(self, now: float, wanted: Mapping[str, Limits]) -> str | None:
        assert all(self.due(name) <= now for name in wanted), "too early"
        self.times |= {name: now + limits.spacing for name, limits in wanted.items()}
        return None

    def release(self, spacings: Mapping[str, float], last_sent: float) -> None: ...

    def delay(self, name: str, until: float) -> None:
        self.times[name] = max(self.due(name), until)


class Clock:
    def __init__(self, spacing: float = SPACING) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.outage = Outage(60.0, lambda: self.now)
        settings = Fetch(contact="a@b.org", spacing=spacing)
        self.schedule = Schedule(settings, lambda: self.now, self.turns, self.outage)

    def asked(self, threads: int = 1000) -> Iterator[tuple[float, str, int | None]]:
        """Every visit with its time; `threads` of them at a moment, a request taking none."""
        while True:
            taken = 0
            while taken < threads and isinstance(turn := self.schedule.poll(), tuple):
                host, visit = turn
                host.pace.claim(self.now, None)
                yield self.now, host.name, visit.row
                self.schedule.release(host)
                taken += 1
            following = self.schedule.poll() if taken < threads else self.now + 0.25
            if following == math.inf:
                return
            assert isinstance(following, float)
            self.now = following


def visits(job: Any, **counts: int) -> list[Visit]:
    found = []
    for name, count in counts.items():
        target = Target(f"http://{name}/", "http", name, 80)
        found += [Visit(job, row, target, target.origin) for row in range(count)]
    return found


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9), min_size=1), st.integers(1, 4))
def test_each_link_once_and_each_host_at_its_spacing(counts: dict[str, int], threads: int) -> None:
    clock = Clock()
    clock.schedule.add(visits(object(), **counts))
    seen: dict[str, list[tuple[float, int | None]]] = {}
    for now, host, row in clock.asked(threads):
        seen.setdefault(host, []).append((now, row))
    assert {host: [row for _, row in rows] for host, rows in seen.items()} == {
        host: list(range(count)) for host, count in counts.items()
    }
    for rows in seen.values():
        times = [now for now, _ in rows]
        assert all(b - a >= SPACING for a, b in itertools.pairwise(times))


def test_hosts_that_were_asked_are_finished_before_others_begin() -> None:
    """Their connections are open. A queue that is longer by more than a minute comes first all the same."""
    clock = Clock()
    clock.now = 1.0
    job = object()
    clock.schedule.add(visits(job, **{f"host{n}": 3 for n in range(100)}))
    times: dict[str, list[float]] = {}
    began = list[str]()
    for now, host, _ in clock.asked(threads=2):  # eight requests a second
        if host not in times:
            began.append(host)
            clock.schedule._hosts[host].pace.sent(now)
            if len(began) == 20:
                clock.schedule.add(visits(job, long=70))
        times.setdefault(host, []).append(now)
    gaps = [b - a for host in times if host != "long" for a, b in itertools.pairwise(times[host])]
    assert len(gaps) == 200
    assert max(gaps) <= 3 * SPACING
    assert times["long"][0] - times[began[19]][0] <= 1.0
    assert times["long"][-1] - times["long"][0] <= 69 * SPACING * 1.05


def test_the_longest_queue_comes_first() -> None:
    """One thread, four requests a second: 40 short queues do not hold up the long one."""
    clock = Clock()
    clock.schedule.add(visits(object(), **{f"short{n}": 1 for n in range(40)}, long=10))
    asked = list(clock.asked(threads=1))
    assert [now for now, host, _ in asked if host == "long"][:9] == list(
        range(9)
    )  # then it is as short as they
    assert asked[-1][0] == 12.25  # 50 requests, four a second: the bound


def test_a_job_is_withdrawn_and_leaves_the_robots_txt_to_the_others() -> None:
    clock = Clock(spacing=0.0)
    schedule = clock.schedule
    first, second = SimpleNamespace(), SimpleNamespace()
    schedule.add([*visits(first, a=2), *visits(second, a=1)])
    for _ in range(3):
        host, visit = schedule.poll()  # type: ignore[misc]
        if visit.row is None:  # the robots.txt of the first job comes at once
            schedule.requeue(visit)
        else:
            schedule.await_robots(host, visit)
        schedule.release(host)
    left = schedule.withdraw(first)  # type: ignore[arg-type]
    assert [visit.row for visit in left] in ([0, 1], [0], [1, 0])
    host, visit = schedule.poll()  # type: ignore[misc]
    while visit.row is not None:
        schedule.await_robots(host, visit)
        schedule.release(host)
        host, visit = schedule.poll()  # type: ignore[misc]
    assert visit.job is second
    schedule.set_rules(visit.origin, ALLOW_ALL)
    schedule.release(host)
    host, visit = schedule.poll()  # type: ignore[misc]
    assert (visit.job, visit.row) == (second, 0)
    schedule.release(host)
    assert schedule.poll() == math.inf
    assert schedule.withdraw(first) == []  # type: ignore[arg-type]


def test_hosts_without_links_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.fetch.politeness.schedule._FORGOTTEN", 10)
    clock = Clock(spacing=0.0)
    clock.schedule.add(visits(object(), **{f"h{n}": 1 for n in range(50)}))
    assert len(list(clock.asked())) == 50
    assert len(clock.schedule._hosts) == 10


def test_during_an_outage_there_is_a_turn_now_and_then() -> None:
    clock = Clock(spacing=0.0)
    clock.schedule.add(visits(object(), **{f"h{n}": 1 for n in range(20)}))
    for n in range(HOSTS):
        clock.outage.note(f"h{n}", Evidence.UNREACHED, known=False)
    for _ in range(3):
        assert clock.schedule.poll() == clock.now + PROBE
        clock.now += PROBE
        assert isinstance(clock.schedule.poll(), tuple)
    assert clock.outage.note("h0", Evidence.ANSWERED, known=False)
    clock.schedule.resume()
    assert all(isinstance(clock.schedule.poll(), tuple) for _ in range(17))


def test_the_spacing_of_a_host_is_known_once_robots_txt_has_named_it() -> None:
    clock = Clock(spacing=1.0)
    job = object()
    clock.schedule.add(visits(job, slow=1))
    assert clock.schedule.spacing("slow") == clock.schedule.spacing("elsewhere") == 1.0
    clock.schedule.set_rules(("http", "slow", 80), Rules(crawl_delay=20.0))
    assert (clock.schedule.spacing("slow"), clock.schedule.spacing("elsewhere")) == (20.0, 1.0)
