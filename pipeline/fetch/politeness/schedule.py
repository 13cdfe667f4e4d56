"""Whose turn it is: hosts by the time at which they may be asked, and a queue of visits for each host.

One turn is one request, so that redirects, retries and robots.txt all keep the host's spacing, and no thread
ever sleeps for a host, or while its name is looked up, as long as another is due. Of the hosts that are due,
the one whose queue will take longest comes first (longest processing time first: Graham, "Bounds on
multiprocessing timing anomalies", 1969), as it decides when the last request is made. Among queues of about
the same length, hosts that were asked before go on until they are done: servers close connections that are
idle for some seconds, and a new one over TLS costs more than half the CPU time of a page.
"""

import heapq
import itertools
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from pipeline.fetch.http.resolver import Lookup
from pipeline.fetch.http.target import Origin
from pipeline.fetch.job import Job
from pipeline.fetch.outage import Outage
from pipeline.fetch.politeness.host import Host
from pipeline.fetch.politeness.pace import TURNS, Pace
from pipeline.fetch.politeness.robots import Rules
from pipeline.fetch.politeness.turns import Turns
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch

__all__ = ["Schedule"]

_FORGOTTEN = 4096  # hosts without a visit whose rules and pace are kept, in case a redirect leads there


class Schedule:
    """Turns for many threads. now: the clock, in seconds; turns: the table of them; outage: leaves few."""

    def __init__(
        self,
        settings: Fetch,
        now: Callable[[], float] = time.monotonic,
        turns: Turns | None = None,
        outage: Outage | None = None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._turns = turns or TURNS
        self._outage = outage or Outage(0, now)
        self._hosts: dict[str, Host] = {}
        self._without_visits: OrderedDict[str, Host] = OrderedDict()
        self._waiting: list[tuple[float, int, Host]] = []  # heap by due time
        self._due: list[tuple[float, int, Host]] = []  # heap by rank, the highest first
        self._ticket = itertools.count(1)
        self._leader: int | None = None
        self._stopped = False
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._starved = threading.Condition(lock)  # threads wait, and no host is due

    def add(self, visits: Iterable[Visit]) -> None:
        """Queues links, each at the end of its host's queue."""
        with self._changed:
            hosts = {}
            for visit in visits:
                host = self._host(visit.target.host)
                host.visits.append(visit)
                hosts[host.name] = host
            for host in hosts.values():
                self._wake(host)

    def poll(self) -> tuple[Host, Visit] | float:
        """The next visit of a host that is due, or else when the next one will be. `release` the host."""
        with self._changed:
            now = self._now()
            if (opens := self._outage.opens()) > now:
                return opens
            while self._waiting and self._waiting[0][0] <= now:
                _, ticket, host = heapq.heappop(self._waiting)
                if ticket == host.ticket:
                    heapq.heappush(self._due, (-host.rank, ticket, host))
            while self._due:
                _, ticket, host = heapq.heappop(self._due)
                if ticket == host.ticket:
                    host.ticket = 0
                    self._outage.taken()
                    return host, host.visits.popleft()
            while self._waiting and self._waiting[0][1] != self._waiting[0][2].ticket:
                heapq.heappop(self._waiting)
            return self._waiting[0][0] if self._waiting else math.inf

    def take(self) -> tuple[Host, Visit] | None:
        """Waits for the next visit of a host that is due; None when stopped. `release` the host.

        One waiting thread leads: it sleeps until the first host is due, the others until they are called (the
        leader-follower pattern of Java's DelayQueue), so that a due host wakes one thread and not all.
        """
        me = threading.get_ident()
        with self._changed:
            while not self._stopped:
                turn = self.poll()
                if isinstance(turn, tuple):
                    if self._leader is None:
                        self._changed.notify()
                    return turn
                if self._leader not in (None, me):
                    self._changed.wait()
                    continue
                self._leader = me
                self._starved.notify_all()
                self._changed.wait(None if turn == math.inf else max(turn - self._now(), 0.0))
                if self._leader == me:
                    self._leader = None
            return None

    def wait_starved(self, seconds: float) -> bool:
        """Waits until no host is due for a thread that has nothing to do; false after `seconds`."""
        with self._starved:
            return self._starved.wait_for(lambda: self._leader is not None and not self._due, seconds)

    def release(self, host: Host) -> None:
        """Gives a host back after its turn."""
        with self._changed:
            host.idle = True
            self._wake(host)
            if host.idle and not host.awaiting_robots:
                self._without_visits[host.name] = host
                if len(self._without_visits) > _FORGOTTEN:
                    del self._hosts[self._without_visits.popitem(last=False)[0]]

    def requeue(self, visit: Visit) -> None:
        """Puts a visit at the head of the queue of the host that it is for now: a retry or a redirect."""
        with self._changed:
            host = self._host(visit.target.host)
            host.visits.appendleft(visit)
            self._wake(host)

    def await_name(self, host: Host, visit: Visit, lookup: Lookup, seconds: float) -> None:
        """Puts a visit back until its host's name is looked up, or to look again after `seconds`."""
        with self._changed:
            host.visits.appendleft(visit)
            host.resolving_until = self._now() + seconds
        lookup.add_done_callback(lambda _: self._resolved(host))

    def await_robots(self, host: Host, visit: Visit) -> None:
        """Sets a visit aside until the rules of its origin are known, and queues one to its robots.txt."""
        with self._changed:
            waiting = host.awaiting_robots.setdefault(visit.target.origin, [])
            waiting.append(visit)
            if len(waiting) == 1:
                host.visits.appendleft(visit.robots())

    def set_rules(self, origin: Origin, rules: Rules) -> None:
        """Gives the visits that waited for an origin's robots.txt back to their host, in their order."""
        with self._changed:
            host = self._host(origin[1])
            host.rules[origin] = rules
            host.pace.crawl_delay(rules.crawl_delay)
            host.visits.extendleft(reversed(host.awaiting_robots.pop(origin, [])))
            self._wake(host)

    def withdraw(self, job: Job) -> list[Visit]:
        """Takes a job's visits out of all queues; those to its links are returned."""
        with self._changed:
            links: list[Visit] = []
            for host in list(self._hosts.values()):
                mine = [visit for visit in host.visits if visit.job is job]
                host.visits = deque(visit for visit in host.visits if visit.job is not job)
                for origin, waiting in list(host.awaiting_robots.items()):
                    links += [visit for visit in waiting if visit.job is job]
                    waiting[:] = [visit for visit in waiting if visit.job is not job]
                    if not waiting:
                        del host.awaiting_robots[origin]
                for visit in mine:
                    if visit.row is None:
                        self.drop(visit)
                    else:
                        links.append(visit)
                if not host.visits and host.ticket:
                    host.ticket, host.idle = 0, True
            return links

    def drop(self, visit: Visit) -> None:
        """Gives a visit up. That to a robots.txt is made for another job, if one waits for it."""
        with self._changed:
            host = self._host(visit.origin[1])
            if visit.row is None and (waiting := host.awaiting_robots.get(visit.origin)):
                host.visits.appendleft(waiting[0].robots())
                self._wake(host)

    def spacing(self, name: str) -> float:
        """Seconds between two requests to a host, as robots.txt and its answers have made them."""
        with self._changed:
            return self._hosts[name].pace.spacing if name in self._hosts else self._settings.spacing

    def resume(self) -> None:
        """An outage has ended: a waiting thread looks again when its next turn is."""
        with self._changed:
            self._leader = None
            self._changed.notify()

    def stop(self) -> None:
        """Lets every thread go, whatever is left."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _host(self, name: str) -> Host:
        self._without_visits.pop(name, None)
        if name not in self._hosts:
            self._hosts[name] = Host(name, Pace(name, self._settings, self._now, self._turns))
        return self._hosts[name]

    def _resolved(self, host: Host) -> None:
        with self._changed:
            host.resolved, host.resolving_until = True, 0.0
            if host.ticket:
                self._enter(host)

    def _wake(self, host: Host) -> None:
        if host.idle and host.visits:
            host.idle = False
            self._enter(host)

    def _enter(self, host: Host) -> None:
        host.ticket = next(self._ticket)
        entry = (max(host.pace.due(), host.resolving_until), host.ticket, host)
        heapq.heappush(self._waiting, entry)
        if self._waiting[0] is entry:
            self._leader = None
            self._changed.notify()
