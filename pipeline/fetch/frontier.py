"""The hosts of all partitions that a process fetches, and the threads that ask them.

A partition alone keeps one of thirty threads busy while its slowest host is asked link by link. So the
partitions of a process share threads, connections and hosts, and a further one is let in as soon as a thread
has nothing to do (`admitted`), as long as no more than `fetch.open_links` links are in memory.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.fetch import agent, one_at_a_time, pages
from pipeline.fetch.http.client import REDIRECTS, Client
from pipeline.fetch.http.response import Response
from pipeline.fetch.http.target import parse_first
from pipeline.fetch.job import Job, JobClosed
from pipeline.fetch.outcome import Failure
from pipeline.fetch.politeness import robots
from pipeline.fetch.politeness.retry_after import retry_after
from pipeline.fetch.politeness.schedule import Host, Schedule
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch

__all__ = ["Cancelled", "Frontier", "shared"]

logger = logging.getLogger(__name__)

MAX_JOBS = 512  # partitions at a time, each with a waiting thread and two open files
_LOOK = 0.5  # seconds between two looks whether a job was cancelled

_OVERLOAD = (429, 503)
_HOST_FAILURES = frozenset(
    {"connect_error", "connection_reset", "dns_error", "protocol_error", "timeout", "tls_error"}
)


class Cancelled(Exception):  # noqa: N818 - by whoever gave the job
    """The job's outcome is no longer wanted."""


class Frontier:
    """Fetches the links of several jobs at a time, with `fetch.threads` threads. Thread-safe. `close` it."""

    def __init__(self, settings: Fetch) -> None:
        self._settings = settings
        self._product = agent.product(settings)
        self._client = Client(settings, agent.user_agent(settings))
        self._schedule = Schedule(settings)
        self._threads: list[threading.Thread] = []
        self._jobs = 0
        self._links = 0  # of the admitted jobs
        self._room = threading.Condition()

    def close(self) -> None:
        """Ends the threads and closes every connection."""
        self._schedule.stop()
        self._client.close()

    @contextmanager
    def admitted(self, links: int, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Waits until there is room for a job of so many links, and holds it. Raises Cancelled."""
        while not self._enter(links):
            if cancelled():
                raise Cancelled
            self._schedule.wait_starved(_LOOK)
        try:
            yield
        finally:
            with self._room:
                self._jobs -= 1
                self._links -= links

    def _enter(self, links: int) -> bool:
        starved = self._schedule.wait_starved(0)
        with self._room:
            few = self._jobs < MAX_JOBS and self._links + links <= self._settings.open_links
            if self._jobs and not (starved and few):
                return False
            self._jobs += 1
            self._links += links
            return True

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
        self._start_threads(len(visits))
        self._schedule.add(visits)
        try:
            while not job.wait(min(_LOOK, max(job.until - time.monotonic(), 0.01))):
                if cancelled():
                    raise Cancelled
                if job.over:
                    for visit in self._schedule.withdraw(job):
                        self._fail(visit, Failure("deferred", "the time of the batch is over"))
        finally:
            self._schedule.withdraw(job)
            job.close()
        if job.error:
            raise job.error

    def _start_threads(self, links: int) -> None:
        with self._room:
            for n in range(len(self._threads), min(self._settings.threads, len(self._threads) + links)):
                thread = threading.Thread(target=self._work, name=f"fetch-{n}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while turn := self._schedule.take():
            host, visit = turn
            try:
                with visit.job.turn(), one_at_a_time.working():
                    self._turn(host, visit)
            except JobClosed:
                self._schedule.drop(visit)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the job
                visit.job.fail(error)
            self._schedule.release(host)

    def _turn(self, host: Host, visit: Visit) -> None:
        """Takes a visit as far as one request does."""
        try:
            failure = self._reason_to_skip(host, visit)
            if failure:
                self._fail(visit, failure)
            elif self._settings.robots and visit.row is not None and visit.target.origin not in host.rules:
                self._schedule.await_robots(host, visit)
            elif not host.resolved and (lookup := self._client.lookup(visit.target)):
                self._schedule.await_name(host, visit, lookup, self._client.resolve_timeout)
            else:
                host.resolved = False  # an answer that expires at once is good for one turn
                address = self._client.address(visit.target)
                if host.pace.claim(time.monotonic(), address):
                    try:
                        self._ask(host, visit)
                    finally:
                        host.pace.release(address)
                else:
                    self._schedule.requeue(visit)
        except OSError:  # of the disk: those of the network are outcomes
            raise
        except Exception as error:
            logger.exception("%s", visit.target.url)
            self._fail(visit, Failure("error", repr(error)[:300]))

    def _reason_to_skip(self, host: Host, visit: Visit) -> Failure | None:
        """Why a visit is not to be made."""
        if visit.job.over:
            return Failure("deferred", "the time of the batch is over")
        if host.pace.failing:
            return Failure("host_failing", f"{host.pace.failures} failures in a row")
        rules = host.rules.get(visit.target.origin)
        return rules.check(visit.target.url, self._product) if rules and visit.row is not None else None

    def _ask(self, host: Host, visit: Visit) -> None:
        """One request, and what follows from its response."""
        response = self._get(visit)
        with response.body:
            if response.contacted:
                host.pace.sent(response.last_sent)
            visit.seconds += response.seconds
            stored = None
            if response.status is not None:
                stored = visit.job.warc.add(response, visit.via, visit.hops)
            if self._try_again(host, visit, response):
                self._schedule.requeue(visit)
            elif visit.row is None:
                self._robots(visit, response)
            else:
                self._page(visit, response, stored)

    def _get(self, visit: Visit) -> Response:
        if visit.row is None:
            seconds, size, types = self._settings.robots_timeout, self._settings.robots_max_bytes, None
        else:
            seconds, size = self._settings.deadline, self._settings.max_bytes
            types = self._settings.content_types
        return self._client.get(
            visit.target, seconds=seconds - visit.seconds, max_bytes=size, content_types=types
        )

    def _try_again(self, host: Host, visit: Visit, response: Response) -> bool:
        """Counts the host's failures, and tells whether the same URL shall be asked for once more."""
        failure, status = response.failure, response.status
        overload = status in _OVERLOAD
        if overload or (status or 0) >= 500 or (failure and failure.reason in _HOST_FAILURES):
            host.pace.failures += 1
        elif status is not None:
            host.pace.failures = 0
        if overload:
            host.pace.overloaded()
        elif not (failure and failure.retry):
            return False
        host.pace.back_off(visit.attempts, retry_after(response.header("retry-after")))
        visit.attempts += 1
        limit = self._settings.deadline if visit.row is not None else self._settings.robots_timeout
        return visit.attempts <= self._settings.retries and visit.seconds < limit and not host.pace.failing

    def _robots(self, visit: Visit, response: Response) -> None:
        location = response.header("location") if response.status in REDIRECTS else None
        if location is None:
            self._schedule.set_rules(
                visit.origin, robots.read(response, self._product, redirected=visit.hops > 0)
            )
            return
        try:
            target = visit.target.join(location)
        except Failure:
            target = None
        if target is None or visit.hops >= robots.MAX_REDIRECTS:
            self._schedule.set_rules(visit.origin, robots.ALLOW_ALL)
        else:
            visit.redirect(target)
            self._schedule.requeue(visit)

    def _page(self, visit: Visit, response: Response, stored: tuple[int, int] | None) -> None:
        location = response.header("location") if response.status in REDIRECTS else None
        reason = visit.follow(location, self._settings) if location is not None else response.verdict()
        if reason is None:
            self._schedule.requeue(visit)
            return
        row = pages.response_row(response, reason, visit.job.name, stored)
        self._record(visit, row | {"seconds": visit.seconds})

    def _fail(self, visit: Visit, failure: Failure) -> None:
        """Ends a visit without a response."""
        if visit.row is not None:
            row = pages.failure_row(failure) | {"final_url": visit.target.url}
            self._record(visit, row | {"seconds": visit.seconds or None})
        elif visit.job.over:
            self._schedule.drop(visit)
        else:
            self._schedule.set_rules(visit.origin, robots.unreachable(failure, redirected=visit.hops > 0))

    def _record(self, visit: Visit, row: dict[str, object]) -> None:
        if visit.row is not None:
            visit.job.record(visit.row, row)


_shared: dict[str, Frontier] = {}  # by their settings
_users: Counter[str] = Counter()
_lock = threading.Lock()


@contextmanager
def shared(settings: Fetch) -> Iterator[Frontier]:
    """The frontier of all partitions of this process that are fetched by these settings at the same time."""
    key = settings.model_dump_json()
    with _lock:
        if key not in _shared:
            _shared[key] = Frontier(settings)
        frontier = _shared[key]
        _users[key] += 1
    try:
        yield frontier
    finally:
        with _lock:
            _users[key] -= 1
            if not _users[key]:
                del _shared[key], _users[key]
                frontier.close()
