"""One request further: what becomes of a visit at its turn."""

import contextlib
import logging
import time

from pipeline.fetch import agent, pages
from pipeline.fetch.http.client import REDIRECTS, Client
from pipeline.fetch.http.response import Response
from pipeline.fetch.http.target import Target
from pipeline.fetch.outage import Evidence, Outage, evidence
from pipeline.fetch.outcome import Failure
from pipeline.fetch.politeness import robots, tdmrep
from pipeline.fetch.politeness.host import Host
from pipeline.fetch.politeness.retry_after import retry_after
from pipeline.fetch.politeness.schedule import Schedule
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch, Links

__all__ = ["Crawler"]

logger = logging.getLogger(__name__)

_OVERLOAD = (429, 503)
_PROBED = 4  # failed attempts that a host is left alone for when it did not answer during an outage
_HOST_FAILURES = frozenset(
    {"connect_error", "connection_reset", "dns_error", "protocol_error", "timeout", "tls_error"}
)


class Crawler:
    """Asks for links and robots.txt, and puts what is to be asked next into the schedule. Thread-safe.

    filters: what the targets of redirects are judged by, those of robots.txt aside.
    """

    def __init__(
        self, settings: Fetch, filters: Links, client: Client, schedule: Schedule, outage: Outage
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._client = client
        self._schedule = schedule
        self._outage = outage
        self._product = agent.product(settings)

    def advance(self, host: Host, visit: Visit) -> None:
        """Takes a visit as far as one request does. Raises OSError of the disk."""
        try:
            failure = self._reason_to_skip(host, visit)
            if failure:
                self.fail(visit, failure)
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
            self.fail(visit, Failure("error", repr(error)[:300]))

    def _reason_to_skip(self, host: Host, visit: Visit) -> Failure | None:
        """Why a visit is not to be made."""
        if visit.job.over:
            return self._untried()
        if host.pace.failing:
            return Failure("host_failing", f"{host.pace.failures} failures in a row")
        rules = host.rules.get(visit.target.origin)
        return rules.check(visit.target.url, self._product) if rules and visit.row is not None else None

    def _untried(self) -> Failure:
        """Why a link is given up without a further request."""
        if self._outage.on:
            return Failure("no_network", "no host could be reached")
        return Failure("deferred", "the time of the batch is over")

    def give_up(self, visit: Visit) -> None:
        """Ends a visit for which there is no time left, or no network."""
        self.fail(visit, self._untried())

    def _ask(self, host: Host, visit: Visit) -> None:
        """One request, and what follows from its response."""
        response = self._get(visit)
        with response.body:
            if response.contacted:
                host.pace.sent(response.last_sent)
            if self._unreachable(host, visit, response):
                return
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

    def _unreachable(self, host: Host, visit: Visit, response: Response) -> bool:
        """Whether our network has failed, not the host: it is asked again then, as if for the first time.

        That is after a while, so that not always the same one has to show whether the network is back.
        """
        found = evidence(response)
        if self._outage.note(host.name, found, known=host.answered):
            self._schedule.resume()
        host.answered |= found == Evidence.ANSWERED
        if found != Evidence.UNREACHED or not self._outage.on:
            return False
        visit.attempts = host.pace.failures = 0
        host.pace.back_off(_PROBED, None)
        self._schedule.requeue(visit)
        return True

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
        """What follows from the response to a robots.txt, or to the tdmrep.json asked for after it."""
        location = response.header("location") if response.status in REDIRECTS else None
        if location is not None and visit.hops < robots.MAX_REDIRECTS:
            with contextlib.suppress(Failure):
                visit.redirect(visit.target.join(location))
                self._schedule.requeue(visit)
                return
        if visit.rules is not None:
            self._schedule.set_rules(visit.origin, visit.rules.also(tdmrep.read(response)))
            return
        honoured, redirected = self._settings.consent, visit.hops > 0
        rules = robots.ALLOW_ALL
        if location is None:
            rules = robots.read(response, self._product, honoured, redirected=redirected)
        file = Target("", *visit.origin).at(tdmrep.PATH)
        if self._settings.tdmrep and rules.check(file.url, self._product) is None:
            visit.rules, visit.target, visit.hops, visit.attempts = rules, file, 0, 0
            self._schedule.requeue(visit)
        else:
            self._schedule.set_rules(visit.origin, rules)

    def _page(self, visit: Visit, response: Response, stored: tuple[int, int] | None) -> None:
        location = response.header("location") if response.status in REDIRECTS else None
        if location is None:
            reason: Failure | None = response.verdict()
        else:
            reason = visit.follow(location, self._settings, self._filters)
        if reason is None:
            self._schedule.requeue(visit)
            return
        row = pages.response_row(response, reason, visit.job.name, stored)
        self._record(visit, row | {"seconds": visit.seconds})

    def fail(self, visit: Visit, failure: Failure) -> None:
        """Ends a visit without a response."""
        if visit.row is not None:
            row = pages.failure_row(failure) | {"final_url": visit.target.url}
            self._record(visit, row | {"seconds": visit.seconds or None})
        elif visit.job.over:
            self._schedule.drop(visit)
        else:
            rules = visit.rules or robots.unreachable(failure, redirected=visit.hops > 0)
            self._schedule.set_rules(visit.origin, rules)

    def _record(self, visit: Visit, row: dict[str, object]) -> None:
        if visit.row is not None:
            visit.job.record(visit.row, row)
