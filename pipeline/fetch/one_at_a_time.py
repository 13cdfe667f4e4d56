"""One thread of a process works at a time, and hands over where it waits for the network.

The interpreter's lock has the same effect, but every system call gives it up: of 32 threads with something to
do another one takes it, on another core, and a page costs half as much CPU time again. With the baton the
others do not wait for the interpreter's lock but for their turn, a few times a page.
"""

import contextlib
import threading
from collections.abc import Iterator

_baton = threading.Lock()
_mine = threading.local()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Work. Not to be entered while holding it, nor while holding another lock."""
    with _baton:
        _mine.held = True
        try:
            yield
        finally:
            _mine.held = False


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Waiting: whoever has the baton gives it up meanwhile. No effect for those who have not."""
    if not getattr(_mine, "held", False):
        yield
        return
    _mine.held = False
    _baton.release()
    try:
        yield
    finally:
        _baton.acquire()
        _mine.held = True
