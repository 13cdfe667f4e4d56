"""The hosts of all partitions that a process fetches, and the threads that ask them.

A partition alone keeps one of thirty threads busy while its slowest host is asked link by link. So the
partitions of a process share threads, connections and hosts, and a further one is let in as soon as a thread
has nothing to do (`admitted`), as long as no more than `fetch.open_links` links are in memory.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.fetch import agent, one_at_a_time, pages
from pipeline.fetch.crawler import Crawler
from pipeline.fetch.http.client import Client
from pipeline.fetch.http.target import parse_first
from pipeline.fetch.job import Job, JobClosed
from pipeline.fetch.outage import Outage
from pipeline.fetch.outcome import Failure
from pipeline.fetch.politeness.schedule import Schedule
from pipeline.fetch.redirects import FILTERS
from pipeline.fetch.threads import Threads
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch, Links

__all__ = ["Cancelled", "Frontier", "Room", "shared"]

MAX_JOBS = 512  # partitions at a time, each with a waiting thread and two open files
_LOOK = 0.5  # seconds between two looks whether a job was cancelled


class Cancelled(Exception):  # noqa: N818 - by whoever gave the job
    """The job's outcome is no longer wanted."""


class Room:
    """Which jobs are let in: one at least, further ones while threads have nothing to do. Thread-safe."""

    def __init__(self, open_links: int) -> None:
        self._most = open_links
        self._jobs = 0
        self._links = 0
        self._lock = threading.Lock()

    def enter(self, links: int, *, starved: bool) -> bool:
        """Lets a job of so many links in, or not. starved: a thread waits, and no host is due."""
        with self._lock:
            has_room = self._jobs < MAX_JOBS and self._links + links <= self._most
            if self._jobs and not (starved and has_room):
                return False
            self._jobs += 1
            self._links += links
            return True

    def leave(self, links: int) -> None:
        """A job of so many links has ended."""
        with self._lock:
            self._jobs -= 1
            self._links -= links


class Frontier:
    """Fetches the links of several jobs at a time, with threads of its own. Thread-safe. `close` it.

    filters: what the targets of redirects are judged by.
    """

    def __init__(self, settings: Fetch, filters: Links = FILTERS) -> None:
        self._settings = settings
        self._client = Client(settings, agent.user_agent(settings))
        self._outage = Outage(settings.max_outage)
        self._schedule = Schedule(settings, outage=self._outage)
        self._crawler = Crawler(settings, filters, self._client, self._schedule, self._outage)
        self._threads = Threads(settings.threads, self._work)
        self._room = Room(settings.open_links)

    def close(self) -> None:
        """Ends the threads and closes every connection."""
        self._schedule.stop()
        self._client.close()

    def spacing(self, host: str) -> float:
        """Seconds between two requests to a host, as far as is known by now."""
        return self._schedule.spacing(host)

    @contextmanager
    def admitted(self, links: int, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Waits until there is room for a job of so many links, and holds it. Raises Cancelled."""
        while not self._room.enter(links, starved=self._schedule.wait_starved(0)):
            if cancelled():
                raise Cancelled
            self._schedule.wait_starved(_LOOK)
        try:
            yield
        finally:
            self._room.leave(links)

    def run(self, job: Job, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Takes every open link of a job to its outcome. Raises Cancelled, or what ended it (OSError)."""
        visits = []
        for row in job.pages.open():
            link = job.pages.links[row]
            try:
                target = parse_first(link["raw_url"], link["url"])
            except Failure as failure:
                job.record(row, pages.failure_row(failure))
                continue
            visits.append(Visit(job, row, target, target.origin, seen={target.url}))
        self._threads.start()
        self._schedule.add(visits)
        try:
            self._wait(job, cancelled)
        except BaseException:
            self._schedule.withdraw(job)
            raise
        finally:
            job.close()

    def _wait(self, job: Job, cancelled: Callable[[], bool]) -> None:
        """Until every link has its outcome; those that are left at the end are given up untried.

        That is when the time is over, or an outage of our network has taken too long.
        """
        withdrawn = False
        while not job.wait(_LOOK if withdrawn else min(_LOOK, max(job.until - time.monotonic(), 0.0))):
            self._threads.start()
            if cancelled():
                raise Cancelled
            if (job.over or self._outage.expired) and (self._outage.on or not withdrawn):
                withdrawn = True
                for visit in self._schedule.withdraw(job):
                    self._crawler.give_up(visit)
        if job.error:
            raise job.error

    def _work(self) -> None:
        while turn := self._schedule.take():
            host, visit = turn
            try:
                with visit.job.turn(), self._threads.busy(), one_at_a_time.working():
                    self._crawler.advance(host, visit)
            except JobClosed:
                self._schedule.drop(visit)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the job
                visit.job.fail(error)
            self._schedule.release(host)
            if self._threads.surplus():
                break


_shared: dict[str, Frontier] = {}  # by their settings
_users: Counter[str] = Counter()
_shared_lock = threading.Lock()


@contextmanager
def shared(settings: Fetch, filters: Links = FILTERS) -> Iterator[Frontier]:
    """The frontier of all partitions of this process that are fetched by these settings at the same time."""
    key = settings.model_dump_json() + filters.model_dump_json()
    with _shared_lock:
        if key not in _shared:
            _shared[key] = Frontier(settings, filters)
        frontier = _shared[key]
        _users[key] += 1
    try:
        yield frontier
    finally:
        with _shared_lock:
            _users[key] -= 1
            if not _users[key]:
                del _shared[key], _users[key]
                frontier.close()
