"""Whether our own network is down, told by what becomes of the requests of a process.

Of old links many are dead, so a failure says nothing, and neither do ten. An outage is when many hosts fail
within a short time, none answers meanwhile, and some of them have answered before (or none ever has). Then
the crawl pauses: one request every PROBE seconds shows when the network is back, and no failure of it, or of
those that were under way, is held against a host.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum

from pipeline.fetch.http.response import Response

__all__ = ["Evidence", "Outage", "evidence"]

logger = logging.getLogger(__name__)

HOSTS = 10  # different ones that fail
KNOWN = 3  # of them, that have answered before
WINDOW = 30.0  # seconds within which they fail: longer than a look-up and a connection may take
PROBE = 2.0  # seconds between two requests during an outage


class Evidence(Enum):
    """What a request says of our own network."""

    ANSWERED = "the host has said something"
    RESOLVED = "only a name server has: there is no such name"
    UNREACHED = "the host, or the name server, could not be reached"
    NONE = "anything else"


def evidence(response: Response) -> Evidence:
    """What a response, or the lack of one, says of our own network."""
    failure = response.failure
    if response.status is not None or (failure and failure.reason in ("tls_error", "protocol_error")):
        return Evidence.ANSWERED
    if failure and failure.reason == "dns_error":
        return Evidence.UNREACHED if failure.retry else Evidence.RESOLVED
    if failure and failure.reason in ("connect_error", "timeout") and not response.request:
        return Evidence.UNREACHED
    return Evidence.NONE


class Outage:
    """Whether the crawl pauses. Thread-safe.

    max_seconds: after these an outage has `expired`; 0: there is never one. now: the clock, in seconds.
    """

    def __init__(self, max_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._max_seconds = max_seconds
        self._now = now
        self._began: float | None = None
        self._next_probe = 0.0
        self._anything_answered = False
        self._failing: dict[str, tuple[float, bool]] = {}  # host -> when it failed, whether it is a known one
        self._lock = threading.Lock()

    @property
    def on(self) -> bool:
        """Whether there is an outage."""
        return self._began is not None

    @property
    def expired(self) -> bool:
        """Whether there is one that has taken too long to wait for its end."""
        return self._began is not None and self._now() - self._began > self._max_seconds

    def note(self, host: str, found: Evidence, *, known: bool) -> bool:
        """Learns from a request; true if that ends an outage. known: the host has answered before."""
        with self._lock:
            if found in (Evidence.ANSWERED, Evidence.RESOLVED):
                self._anything_answered = True
            if found == Evidence.ANSWERED:
                self._failing.clear()
                return self._end()
            if found == Evidence.UNREACHED and self._began is None:
                self._failing[host] = (self._now(), known)
                self._begin()
            return False

    def opens(self) -> float:
        """When the next request may begin, by the clock."""
        return self._next_probe if self._began is not None else 0.0

    def taken(self) -> None:
        """A request begins: during an outage it is the only one for a while."""
        if self._began is not None:
            self._next_probe = self._now() + PROBE

    def _begin(self) -> None:
        now = self._now()
        if len(self._failing) < HOSTS or not self._max_seconds:
            return
        self._failing = {host: told for host, told in self._failing.items() if told[0] > now - WINDOW}
        known = sum(known for _, known in self._failing.values())
        if len(self._failing) >= HOSTS and (known >= KNOWN or not self._anything_answered):
            self._began, self._next_probe = now, now + PROBE
            logger.warning(
                "the network seems to be down: %d hosts in a row cannot be reached; the crawl pauses until "
                "one can, for %.0f s at most (fetch.max_outage)",
                len(self._failing),
                self._max_seconds,
            )

    def _end(self) -> bool:
        if self._began is None:
            return False
        logger.warning("the network is back after %.0f s: the crawl goes on", self._now() - self._began)
        self._began = None
        return True
