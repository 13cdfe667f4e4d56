"""How often a host is asked: spacing, crawl-delay, Retry-After, back-off, and when it is left alone.

A host is a name, whatever the scheme and port; many may share an address. Spacing is counted from the end
of sending, so that the host sees it too. Turns come from the `TurnTable` that all processes of a machine
share. Nothing here makes a host faster again within a partition.
"""

import random
import threading
import time

from pipeline.fetch.politeness.turns import Limits, TurnTable
from pipeline.settings import Fetch

POLL = 0.1  # seconds between two looks whether others have finished their requests

TURNS = TurnTable()


class AddressQueue:
    """When those who wait for a name shall come back, one after another. Safe to use from many threads."""

    _SWEEP = 100_000  # names, about 100 bytes each

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def join(self, name: str, gap: float, earliest: float) -> float:
        """A place behind the others, and not before `earliest`."""
        with self._lock:
            if len(self._next) > self._SWEEP:
                self._next = {each: due for each, due in self._next.items() if due > earliest}
            place = max(self._next.get(name, 0.0), earliest)
            self._next[name] = place + gap
            return place


ADDRESS_QUEUE = AddressQueue()


class Pace:
    """The manners towards one host."""

    def __init__(self, host: str, settings: Fetch) -> None:
        self.host = host
        self.failures = 0  # in a row
        self._settings = settings
        self._gap = settings.spacing
        self._random = random.Random(host)
        self._place = 0.0  # in the line for the address
        self._touched = 0.0

    @property
    def failing(self) -> bool:
        """True when the host is left alone for the rest of the partition."""
        return self.failures >= self._settings.host_failures

    def due(self) -> float:
        """When the next request may start (`time.monotonic()`)."""
        return max(TURNS.due(self.host), self._place)

    def claim(self, now: float, address: str | None) -> bool:
        """Takes the turn for a request to an address (None: not known) that starts now, if it is due.

        `leave` it, with the same address, when the request is over.
        """
        wanted = {self.host: Limits(self._gap, 1)}
        if address is not None:
            limit = self._settings.address_connections
            wanted[_as_name(address)] = Limits(self._settings.address_spacing, limit)
        late = TURNS.claim(now, wanted)
        if late is None:
            self._place = 0.0
        elif late != self.host:
            self._place = self._join_queue(late, now)
        elif TURNS.due(self.host) <= now:  # a request of another process, or partition, is on its way
            self._place = now + POLL
        return late is None

    def _join_queue(self, address: str, now: float) -> float:
        """When to come back for an address: behind the others of this process who wait for it."""
        due, gap = TURNS.due(address), self._settings.address_spacing or POLL
        if self._place and due > now:  # first in the line, and a little too early
            return due
        return ADDRESS_QUEUE.join(address, gap, now + gap if due <= now else due)

    def touched(self, when: float) -> None:
        """The host, and its address, last heard from us at `when`."""
        self._touched = when

    def leave(self, address: str | None) -> None:
        """The request that was claimed is over."""
        gaps = {self.host: self._gap}
        if address is not None:
            gaps[_as_name(address)] = self._settings.address_spacing
        TURNS.leave(gaps, self._touched)

    def crawl_delay(self, seconds: float) -> None:
        """robots.txt asks for this spacing; a host that asks for more than `max_crawl_delay` gets that."""
        self._gap = max(self._gap, min(seconds, self._settings.max_crawl_delay))

    def overloaded(self) -> None:
        """A 429 or 503: half as often from now on, down to one request per `max_crawl_delay`."""
        slower = max(2 * self._gap, self._settings.backoff)
        self._gap = max(self._gap, min(slower, self._settings.max_crawl_delay))

    def back_off(self, attempt: int, asked: float | None) -> None:
        """Leaves the host alone after its `attempt`th failure (0, 1, …) on a URL.

        asked: the seconds of its Retry-After, honoured up to `max_retry_after`. Without one, `backoff`
        doubled at each attempt, spread over its upper half (jitter), and no longer than that either.
        """
        if asked is None:
            asked = self._settings.backoff * 2**attempt * self._random.uniform(0.5, 1.0)
        TURNS.delay(self.host, time.monotonic() + min(asked, self._settings.max_retry_after))


def _as_name(address: str) -> str:
    """An address beside the host of the same name."""
    return f"address {address}"
