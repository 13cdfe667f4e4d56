"""How often a host is asked: spacing, crawl-delay, Retry-After, back-off, and when it is left alone.

A host is a name, whatever the scheme and port; many may share an address. Spacing is counted from the end
of sending, so that the host sees it too. Turns come from the `TurnTable` that all processes of a machine
share. Nothing here makes a host faster again.
"""

import random
import threading
import time
from collections.abc import Callable

from pipeline.fetch.politeness.turns import Limits, Turns, TurnTable
from pipeline.settings import Fetch

__all__ = ["TURNS", "Pace"]

POLL = 0.1  # seconds between two looks whether others have finished their requests

TURNS: Turns = TurnTable()


class AddressQueue:
    """When the hosts that wait for an address shall come back, one after another. Thread-safe."""

    _SWEEP = 100_000  # names, about 100 bytes each

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def join(self, name: str, spacing: float, earliest: float) -> float:
        """The time of the next place behind the others, and not before `earliest`."""
        with self._lock:
            if len(self._next) > self._SWEEP:
                self._next = {each: due for each, due in self._next.items() if due > earliest}
            place = max(self._next.get(name, 0.0), earliest)
            self._next[name] = place + spacing
            return place


ADDRESS_QUEUE = AddressQueue()


class Pace:
    """How often one host is asked. now: the clock, in seconds; turns: the table that turns are taken from."""

    def __init__(
        self,
        host: str,
        settings: Fetch,
        now: Callable[[], float] = time.monotonic,
        turns: Turns | None = None,
    ) -> None:
        self.host = host
        self.failures = 0  # in a row
        self._settings = settings
        self.spacing = settings.spacing
        self._now = now
        self._turns = turns or TURNS
        self._not_before = 0.0  # the time of its place in the queue for an address
        self._last_sent = 0.0

    @property
    def failing(self) -> bool:
        """True when the host is left alone."""
        return self.failures >= self._settings.host_failures

    @property
    def asked(self) -> bool:
        """True when the host has been asked for something, so that a connection to it may be open."""
        return self._last_sent > 0.0

    def due(self) -> float:
        """When the next request may start, by the clock."""
        return max(self._turns.due(self.host), self._not_before)

    def claim(self, now: float, address: str | None) -> bool:
        """Takes the turn for a request to an address (None: not known) that starts now, if it is due.

        `release` it, with the same address, when the request is over.
        """
        wanted = {self.host: Limits(self.spacing, 1)}
        if address is not None:
            limit = self._settings.address_connections
            wanted[_address_name(address)] = Limits(self._settings.address_spacing, limit)
        late = self._turns.claim(now, wanted)
        if late is None:
            self._not_before = 0.0
        elif late != self.host:
            self._not_before = self._join_queue(late, now)
        elif self._turns.due(self.host) <= now:  # a request of another process, or partition, is on its way
            self._not_before = now + POLL
        return late is None

    def _join_queue(self, address: str, now: float) -> float:
        """When to come back for an address: behind the other hosts of this process that wait for it."""
        due, spacing = self._turns.due(address), self._settings.address_spacing or POLL
        if self._not_before and due > now:  # first in the line, and a little too early
            return due
        return ADDRESS_QUEUE.join(address, spacing, now + spacing if due <= now else due)

    def sent(self, when: float) -> None:
        """Notes when something was last sent to the host, and so to its address."""
        self._last_sent = when

    def release(self, address: str | None) -> None:
        """Gives back what was claimed: the request is over."""
        spacings = {self.host: self.spacing}
        if address is not None:
            spacings[_address_name(address)] = self._settings.address_spacing
        self._turns.release(spacings, self._last_sent)

    def crawl_delay(self, seconds: float) -> None:
        """robots.txt asks for this spacing; a host that asks for more than `max_crawl_delay` gets that."""
        self.spacing = max(self.spacing, min(seconds, self._settings.max_crawl_delay))

    def overloaded(self) -> None:
        """A 429 or 503: half as often from now on, down to one request per `max_crawl_delay`."""
        slower = max(2 * self.spacing, self._settings.backoff)
        self.spacing = max(self.spacing, min(slower, self._settings.max_crawl_delay))

    def back_off(self, attempt: int, asked: float | None) -> None:
        """Leaves the host alone after its `attempt`th failure (0, 1, …) on a URL.

        For `backoff` doubled at each attempt, spread over its upper half (jitter), or for as long as its
        Retry-After asks (seconds), whichever is longer; for `max_retry_after` at most.
        """
        own = self._settings.backoff * 2**attempt * random.uniform(0.5, 1.0)
        delay = min(max(own, asked or 0.0), self._settings.max_retry_after)
        self._turns.delay(self.host, self._now() + delay)


def _address_name(address: str) -> str:
    """The name of an address, told apart from a host that is named by it."""
    return f"address {address}"
