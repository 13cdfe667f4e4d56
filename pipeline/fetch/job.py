"""The links of a partition while they are fetched: their outcomes, and the WARC and journal they go to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.fetch.archives.journal import Entry, Journal
from pipeline.fetch.archives.warc import WarcFile
from pipeline.fetch.outcome import UNTRIED
from pipeline.fetch.pages import Pages

__all__ = ["Job", "JobClosed"]

_NOT_TRIED = UNTRIED | {"host_failing"}  # not for the journal: whoever continues may try again


class JobClosed(Exception):  # noqa: N818 - no error: the job ended while a request was about to begin
    """Nothing more may be asked for on behalf of a job."""


class Job:
    """A partition's fetch, shared by the threads of a `Frontier`.

    pages: collects the outcomes. name: of the WARC file, for the table of pages. until: `time.monotonic()`
    from which on no request begins.
    """

    def __init__(self, pages: Pages, warc: WarcFile, name: str, journal: Journal, until: float) -> None:
        self.pages = pages
        self.warc = warc
        self.name = name
        self.until = until
        self.error: BaseException | None = None
        self._journal = journal
        self._pending = len(pages.open())  # links without an outcome
        self._in_flight = 0  # turns of threads, which may write to the WARC
        self._closed = False
        self._changed = threading.Condition()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.until

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keeps the job from ending while a thread works for it. Raises JobClosed if it has ended."""
        with self._changed:
            if self._closed:
                raise JobClosed
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def record(self, index: int, outcome: dict[str, Any]) -> None:
        """Notes the outcome of a link (columns of `schemas.PAGES`), in the journal too if it was tried."""
        if outcome["reason"] not in _NOT_TRIED:
            self._journal.add(Entry(index, self.warc.end, outcome))
        self.pages.note(index, outcome)
        with self._changed:
            self._pending -= 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Ends the job with an error, which `Frontier.run` raises."""
        with self._changed:
            self.error = self.error or error
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Waits until every link has its outcome, or the job has failed; false after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self.error is not None or not self._pending, seconds)

    def close(self) -> None:
        """Lets nobody begin a turn, and waits for those under way."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._in_flight)
