"""How often a host is asked: spacing, crawl-delay, Retry-After, back-off, and when it is left alone.

A host is a name, whatever the scheme and port; many may share an address. Spacing is counted from when the
last request had been sent, so that the host sees it too. Nothing here makes a host faster again within a
partition.
"""

import email.utils
import math
import random
import re
import threading
import time
from collections import Counter
from datetime import UTC, datetime

from pipeline.settings import Fetch

_POLL = 0.1  # seconds between two looks whether an address has room for one more connection


class Clock:
    """When each host and each address may be asked next, in seconds of `time.monotonic()`.

    Shared by all fetches of a process, so that two partitions cannot hurry a host between them, not even by
    redirects. A host's turn and its address's are taken together or not at all.
    """

    _SWEEP = 100_000  # names, about 100 bytes each

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._queue: dict[
            str, float
        ] = {}  # when those who wait for a name shall come back, one after another
        self._asked: Counter[str] = Counter()  # requests on their way, by address
        self._lock = threading.Lock()

    def due(self, name: str) -> float:
        """The next time for a host or address; in the past if it may be asked now."""
        with self._lock:
            return self._due.get(name, 0.0)

    def claim(self, now: float, gaps: dict[str, float], address: str | None = None, limit: int = 0) -> bool:
        """Takes the turns of some names, if all are due; the next one of each is at least its gap away.

        With an address, only if fewer than `limit` requests are on their way to it; `leave` it afterwards.
        """
        with self._lock:
            if any(self._due.get(name, 0.0) > now for name in gaps):
                return False
            if address is not None:
                if self._asked[address] >= limit:
                    return False
                self._asked[address] += 1
            if len(self._due) > self._SWEEP:
                self._due = {name: due for name, due in self._due.items() if due > now}
                self._queue = {name: due for name, due in self._queue.items() if due > now}
            for name, gap in gaps.items():
                self._due[name] = now + gap
            return True

    def leave(self, address: str) -> None:
        """A request to an address is over."""
        with self._lock:
            self._asked[address] -= 1
            if not self._asked[address]:
                del self._asked[address]

    def line_up(self, name: str, gap: float, earliest: float) -> float:
        """When to come back for a turn that was refused: behind the others who wait for it."""
        with self._lock:
            place = max(self._due.get(name, 0.0), self._queue.get(name, 0.0), earliest)
            self._queue[name] = place + gap
            return place

    def delay(self, name: str, until: float) -> None:
        """Not before `until`; never earlier than said before."""
        with self._lock:
            self._due[name] = max(self._due.get(name, 0.0), until)


CLOCK = Clock()


class Pace:
    """The manners towards one host."""

    def __init__(self, host: str, settings: Fetch) -> None:
        self.host = host
        self.failures = 0  # in a row
        self._settings = settings
        self._gap = settings.spacing
        self._random = random.Random(host)
        self._place = 0.0  # in the line for the address

    @property
    def failing(self) -> bool:
        """True when the host is left alone for the rest of the partition."""
        return self.failures >= self._settings.host_failures

    def due(self) -> float:
        """When the next request may start (`time.monotonic()`)."""
        return max(CLOCK.due(self.host), self._place)

    def claim(self, now: float, address: str | None) -> bool:
        """Takes the turn for a request to an address (None: not known) that starts now, if it is due."""
        if address is None:
            return CLOCK.claim(now, {self.host: self._gap})
        spacing = self._settings.address_spacing
        gaps = {self.host: self._gap, address: spacing}
        if CLOCK.claim(now, gaps, address, self._settings.address_connections):
            self._place = 0.0
            return True
        if CLOCK.due(self.host) <= now:
            due = CLOCK.due(address)
            if self._place and due > now:  # first in the line, and a little too early
                self._place = due
            else:
                gap = spacing or _POLL
                self._place = CLOCK.line_up(address, gap, now + gap if due <= now else due)
        return False

    def left(self, address: str | None) -> None:
        """The request that was claimed is over."""
        if address is not None:
            CLOCK.leave(address)

    def touched(self, when: float, address: str | None) -> None:
        """The host, and its address, last heard from us at `when`."""
        CLOCK.delay(self.host, when + self._gap)
        if address is not None and self._settings.address_spacing:
            CLOCK.delay(address, when + self._settings.address_spacing)

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
        CLOCK.delay(self.host, time.monotonic() + min(asked, self._settings.max_retry_after))


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110, section 10.2.3).

    None when absent or senseless; 0 for a date that has passed.
    """
    if header is None:
        return None
    header = header.strip()
    if re.fullmatch(r"\d{1,10}(\.\d*)?", header, re.ASCII):
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
