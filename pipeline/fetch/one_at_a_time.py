"""One thread of a process works at a time, and hands over where it waits for the network.

The interpreter's lock has the same effect, but every system call gives it up: of 32 threads with something to
do another one takes it, on another core, and a page costs half as much CPU time again. Here a thread gives up
its turn only where it waits for the network, a few times a page.
"""

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["waiting", "working"]

_turn = threading.Lock()
_this_thread = threading.local()


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Takes the turn to work. Not reentrant, and not to be entered while holding another lock."""
    with _turn:
        _this_thread.working = True
        try:
            yield
        finally:
            _this_thread.working = False


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Lets another thread work while this one waits. No effect outside `working`."""
    if not getattr(_this_thread, "working", False):
        yield
        return
    _this_thread.working = False
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
        _this_thread.working = True
