"""A host that is being asked: its queue, its pace, its robots.txt."""

from collections import deque

from pipeline.fetch.http.target import Origin
from pipeline.fetch.politeness.pace import Pace
from pipeline.fetch.politeness.robots import Rules
from pipeline.fetch.visit import Visit

__all__ = ["Host"]

_CONNECTED = 60.0  # seconds that another's queue must be longer to come before a host that was asked before


class Host:
    """A host's queue and pace. `pace`, `resolved` and `answered` are the crawler's to change."""

    def __init__(self, name: str, pace: Pace) -> None:
        self.name = name
        self.pace = pace
        self.visits: deque[Visit] = deque()
        self.rules: dict[Origin, Rules] = {}
        self.awaiting_robots: dict[Origin, list[Visit]] = {}
        self.answered = False  # once at least
        self.idle = True  # neither in a heap nor in a thread's hands
        self.ticket = 0  # of its valid entry in a heap, if it has one
        self.resolving_until = 0.0  # a look-up of its name is waited for until then at most
        self.resolved = False  # the name was looked up for the turn that comes now

    @property
    def rank(self) -> float:
        """Seconds that its queue will take at its spacing, and more if a connection to it may be open."""
        length = len(self.visits) + sum(map(len, self.awaiting_robots.values()))
        return length * self.pace.spacing + _CONNECTED * self.pace.asked
