"""The links of a partition, politely asked for one by one, each to exactly one outcome."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.fetch import agent, one_at_a_time, pages
from pipeline.fetch.archives.journal import Entry, Journal
from pipeline.fetch.archives.warc import WarcFile
from pipeline.fetch.http.client import REDIRECTS, Client
from pipeline.fetch.http.response import Response
from pipeline.fetch.http.target import parse_first
from pipeline.fetch.outcome import Failure
from pipeline.fetch.pages import Pages
from pipeline.fetch.politeness import robots
from pipeline.fetch.politeness.retry_after import retry_after
from pipeline.fetch.politeness.schedule import Host, Schedule
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch, fingerprint

logger = logging.getLogger(__name__)

_OVERLOAD = (429, 503)
_UNTRIED = ("deferred", "host_failing")  # not for the journal: whoever continues has more time
_HOST_FAILURES = frozenset(
    {"connect_error", "connection_reset", "dns_error", "protocol_error", "timeout", "tls_error"}
)


def fetch(
    links: pa.Table,
    settings: Fetch,
    warc: Path,
    *,
    batch: str,
    on_outcome: Callable[[str], None] | None = None,
) -> tuple[pa.Table, Counter[str]]:
    """Fetches links and stores every exchange.

    links: rows of `schemas.LINKS`; all those of a host belong in one call. warc: the .warc.gz to write. What
    was killed is continued by the same call: a journal beside the WARC tells what is finished.
    on_outcome: called with the reason of each link as it comes, from many threads. Returns `schemas.PAGES`, a
    row for each link in the order of `links`, and the number of links by reason (outcome.REASONS).

    A redirect to another host joins that host's queue, with its robots.txt and spacing. Where that belongs to
    the partition of another process of this machine, both take turns by the machine's `TurnTable`.
    Memory: a row for each link, the rules of each host, and about 2 MiB a thread of bodies and records.
    Raises UserError as `agent.check` does, OSError if the WARC cannot be written, and of these
    BlockingIOError if another process is writing it.
    """
    agent.check(settings)
    work = fingerprint([links["link_id"].to_pylist(), settings.identity()])
    with Journal(warc.with_name(warc.name + ".journal")) as journal:
        done = journal.resume(work, warc.stat().st_size if warc.exists() else 0)
        end = max((entry.end for entry in done), default=0)
        found = Pages(links, on_outcome)
        with WarcFile(warc, agent.warcinfo(settings, batch), end) as file:
            _Crawl(found, settings, file, warc.name, journal).run(done)
    return found.table(), found.counts


class _Crawl:
    """The state that the threads of one fetch share."""

    def __init__(
        self,
        found: Pages,
        settings: Fetch,
        warc: WarcFile,
        name: str,
        journal: Journal,
    ) -> None:
        self._pages = found
        self._settings = settings
        self._warc = warc
        self._name = name
        self._journal = journal
        self._product = agent.product(settings)
        self._client = Client(settings, agent.user_agent(settings))
        self._schedule = Schedule(settings, until=time.monotonic() + settings.batch_time)
        self._broken: BaseException | None = None

    def run(self, done: list[Entry]) -> None:
        for entry in done:
            self._pages.note(entry.index, entry.row)
        visits = []
        for row in self._pages.open():
            link = self._pages.links[row]
            try:
                target = parse_first(link["raw_url"], link["url"])
            except Failure as failure:
                self._record(row, pages.failure_row(failure))
                continue
            visits.append(Visit(row, target, target.origin, seen={target.url}))
        self._schedule.add(visits)
        count = min(self._settings.threads, len(visits))
        threads = [threading.Thread(target=self._work, name=f"fetch-{n}", daemon=True) for n in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._schedule.stop()
            self._client.close()
        if self._broken:
            raise self._broken

    def _work(self) -> None:
        try:
            while turn := self._schedule.take():
                host, visit = turn
                with one_at_a_time.working():
                    self._turn(host, visit)
                    self._schedule.release(host)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called `run`
            self._broken = error
            self._schedule.stop()

    def _turn(self, host: Host, visit: Visit) -> None:
        """Takes a visit as far as one request does."""
        try:
            failure = self._unwanted(host, visit)
            if failure:
                self._fail(visit, failure)
            elif self._settings.robots and visit.row is not None and visit.target.origin not in host.rules:
                self._schedule.hold(host, visit)
            elif not host.named and (name := self._client.lookup(visit.target)):
                self._schedule.wait(host, visit, name, self._client.resolve_timeout)
            else:
                host.named = False  # an answer that expires at once is good for one turn
                address = self._client.address(visit.target)
                if host.pace.claim(time.monotonic(), address):
                    try:
                        self._ask(host, visit)
                    finally:
                        host.pace.leave(address)
                else:
                    self._schedule.again(visit)
        except OSError:  # of the disk: those of the network are outcomes
            raise
        except Exception as error:
            logger.exception("%s", visit.target.url)
            self._fail(visit, Failure("error", repr(error)[:300]))

    def _unwanted(self, host: Host, visit: Visit) -> Failure | None:
        """Why a visit is not to be made."""
        if time.monotonic() >= self._schedule.until:
            return Failure("deferred", "the partition's batch_time is over")
        if host.pace.failing:
            return Failure("host_failing", f"{host.pace.failures} failures in a row")
        rules = host.rules.get(visit.target.origin)
        return rules.check(visit.target.url, self._product) if rules and visit.row is not None else None

    def _ask(self, host: Host, visit: Visit) -> None:
        """One request, and what follows from its response."""
        response = self._get(visit)
        with response.body:
            if response.contacted:
                host.pace.touched(response.last_sent)
            visit.seconds += response.seconds
            stored = None
            if response.status is not None:
                stored = self._warc.add(response, visit.via, visit.hops)
            if self._try_again(host, visit, response):
                self._schedule.again(visit)
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
        """Keeps the host's books, and tells whether the same URL shall be asked for once more."""
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
            self._schedule.decide(
                visit.origin, robots.read(response, self._product, redirected=visit.hops > 0)
            )
            return
        try:
            target = visit.target.join(location)
        except Failure:
            target = None
        if target is None or visit.hops >= robots.MAX_REDIRECTS:
            self._schedule.decide(visit.origin, robots.ALLOW_ALL)
        else:
            visit.go(target)
            self._schedule.again(visit)

    def _page(self, visit: Visit, response: Response, stored: tuple[int, int] | None) -> None:
        location = response.header("location") if response.status in REDIRECTS else None
        reason = visit.follow(location, self._settings) if location is not None else response.verdict()
        if reason is None:
            self._schedule.again(visit)
            return
        row = pages.response_row(response, reason, self._name, stored)
        self._end(visit, row | {"seconds": visit.seconds})

    def _fail(self, visit: Visit, failure: Failure) -> None:
        """Ends a visit without a response."""
        if visit.row is None:
            self._schedule.decide(visit.origin, robots.unreachable(failure, redirected=visit.hops > 0))
            return
        row = pages.failure_row(failure) | {"final_url": visit.target.url}
        self._end(visit, row | {"seconds": visit.seconds or None})

    def _end(self, visit: Visit, row: dict[str, Any]) -> None:
        if visit.row is not None:
            self._record(visit.row, row)
            self._schedule.close()

    def _record(self, index: int, row: dict[str, Any]) -> None:
        if row["reason"] not in _UNTRIED:
            self._journal.add(Entry(index, self._warc.end, row))
        self._pages.note(index, row)
