"""Threads that make one request at a time, and more of them while requests take long."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Threads"]

SLOW = 1.0  # seconds after which a request counts as slow
MAX_SLOW = 512  # threads that wait for slow requests: few bytes, and no CPU time


class Threads:
    """`size` threads besides those that wait for a slow request: a dead host holds up nobody but itself.

    work: runs in each until `surplus` says that the thread is one too many, or nothing is left.
    """

    def __init__(self, size: int, work: Callable[[], None]) -> None:
        self._size = size
        self._work = work
        self._alive = 0
        self._began: dict[int, float] = {}  # requests on their way, by thread
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the threads that are missing."""
        with self._lock:
            target = self._size + min(self._slow(), MAX_SLOW)
            for _ in range(self._alive, target):
                self._alive += 1
                threading.Thread(target=self._work, name="fetch", daemon=True).start()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Notes how long this thread's request takes."""
        me = threading.get_ident()
        self._began[me] = time.monotonic()
        try:
            yield
        finally:
            del self._began[me]

    def surplus(self) -> bool:
        """Whether the calling thread is one too many, and has to end."""
        if self._alive <= self._size:
            return False
        with self._lock:
            if self._alive - self._slow() <= self._size:
                return False
            self._alive -= 1
            return True

    def _slow(self) -> int:
        before = time.monotonic() - SLOW
        return sum(began < before for began in list(self._began.values()))
