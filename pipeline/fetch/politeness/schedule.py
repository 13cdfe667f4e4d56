"""Whose turn it is: hosts in a heap by the time at which they may be asked, visits in a queue for each host.

One turn is one request, so redirects,
retries and robots.txt all keep the host's spacing, and no thread ever sleeps for a host, or while its name is
looked up, as long as another is due.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable

from pipeline.fetch.http.resolver import Lookup
from pipeline.fetch.http.target import Origin
from pipeline.fetch.politeness.pace import Pace
from pipeline.fetch.politeness.robots import Rules
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch


class Host:
    """A host's queue and manners. Its fields are the schedule's to change, but for `pace` and `named`."""

    def __init__(self, name: str, settings: Fetch) -> None:
        self.name = name
        self.pace = Pace(name, settings)
        self.visits: deque[Visit] = deque()
        self.rules: dict[Origin, Rules] = {}
        self.held: dict[Origin, list[Visit]] = {}  # visits that wait for their robots.txt
        self.idle = True  # neither in the heap nor in a thread's hands
        self.ticket = 0  # of its place in the heap, if it is there
        self.waits = 0.0  # for its name, until then at most
        self.named = False  # the name was looked up for the turn that comes now


class Schedule:
    """Turns for many threads. Times are of `time.monotonic()`; after `until` every visit comes up at once."""

    def __init__(self, settings: Fetch, until: float) -> None:
        self.until = until
        self._settings = settings
        self._hosts: dict[str, Host] = {}
        self._heap: list[tuple[float, int, Host]] = []
        self._ticket = itertools.count(1)
        self._open = 0  # links without an outcome
        self._leader: int | None = None
        self._changed = threading.Condition()

    def add(self, visits: Iterable[Visit]) -> None:
        """Queues links, each at the end of its host's queue."""
        with self._changed:
            for visit in visits:
                self._open += 1
                host = self._host(visit.target.host)
                host.visits.append(visit)
                self._wake(host)

    def take(self) -> tuple[Host, Visit] | None:
        """The next visit, when its host is due; None when every link has its outcome. `release` the host.

        One waiting thread leads: it sleeps until the first host is due, the others until they are called (the
        leader-follower pattern of Java's DelayQueue), so that a due host wakes one thread and not all.
        """
        with self._changed:
            while self._open:
                now = time.monotonic()
                late = now >= self.until
                while self._heap and self._heap[0][1] != self._heap[0][2].ticket:
                    heapq.heappop(self._heap)  # the host has another place by now
                if self._heap and (late or self._heap[0][0] <= now):
                    _, _, host = heapq.heappop(self._heap)
                    host.ticket = 0
                    if self._heap and self._leader is None:
                        self._changed.notify()
                    return host, host.visits.popleft()
                me = threading.get_ident()
                if self._leader not in (None, me) or late:
                    self._changed.wait()
                    continue
                self._leader = me
                due = self._heap[0][0] if self._heap else self.until
                self._changed.wait(min(due, self.until) - now)
                if self._leader == me:
                    self._leader = None
            return None

    def release(self, host: Host) -> None:
        """Gives a host back after its turn."""
        with self._changed:
            host.idle = True
            self._wake(host)

    def again(self, visit: Visit) -> None:
        """Puts a visit at the head of the queue of the host that it is for now: a retry or a redirect."""
        with self._changed:
            host = self._host(visit.target.host)
            host.visits.appendleft(visit)
            self._wake(host)

    def wait(self, host: Host, visit: Visit, name: Lookup, seconds: float) -> None:
        """Puts a visit back until its host's name is looked up, or to look again after `seconds`."""
        with self._changed:
            host.visits.appendleft(visit)
            host.waits = time.monotonic() + seconds
        name.add_done_callback(lambda _: self._named(host))

    def hold(self, host: Host, visit: Visit) -> None:
        """Sets a visit aside until the robots.txt of its origin is decided, and queues the visit to that."""
        with self._changed:
            held = host.held.setdefault(visit.target.origin, [])
            held.append(visit)
            if len(held) == 1:
                host.visits.appendleft(Visit(None, visit.target.robots(), visit.target.origin))

    def decide(self, origin: Origin, rules: Rules) -> None:
        """Gives the visits that waited for an origin's robots.txt back to their host, in their order."""
        with self._changed:
            host = self._host(origin[1])
            host.rules[origin] = rules
            host.pace.crawl_delay(rules.crawl_delay)
            host.visits.extendleft(reversed(host.held.pop(origin, [])))
            self._wake(host)

    def close(self) -> None:
        """One link has its outcome."""
        with self._changed:
            self._open -= 1
            if not self._open:
                self._changed.notify_all()

    def stop(self) -> None:
        """Lets every thread go, whatever is left."""
        with self._changed:
            self._open = 0
            self._changed.notify_all()

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            self._hosts[name] = Host(name, self._settings)
        return self._hosts[name]

    def _named(self, host: Host) -> None:
        with self._changed:
            host.named, host.waits = True, 0.0
            if host.ticket:
                self._enter(host)

    def _wake(self, host: Host) -> None:
        if host.idle and host.visits:
            host.idle = False
            self._enter(host)

    def _enter(self, host: Host) -> None:
        host.ticket = next(self._ticket)
        entry = (max(host.pace.due(), host.waits), host.ticket, host)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._leader = None
            self._changed.notify()
