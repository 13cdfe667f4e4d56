"""Pages by the million: each in a child process under limits, and of equal pages only the first.

The others get its outcome. Equal are pages with the same body, charset, media type, day of fetch and date in
the URL: nothing else of a URL decides what is found.
"""

import atexit
import hashlib
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
from htmldate.extractors import COMPLETE_URL

from pipeline.extraction.one_page import extract_page
from pipeline.extraction.page import Dropped, Page, Text
from pipeline.extraction.sandbox import Outcome, Sandbox

if TYPE_CHECKING:
    from pipeline.settings import Extract

__all__ = ["extract_pages"]

_thread = threading.local()  # the sandbox of each thread, and its limits


def extract_pages(pages: Iterable[Page], settings: "Extract") -> Iterator[Outcome[Text | Dropped]]:
    """The outcome of each page, in order.

    `reason` is `ok` for a text, else the reason of `Dropped`, or a failure of `pipeline.extraction.sandbox`.

    Lazy: holds two pages at a time, and the outcomes of all pages so far, for those that are equal to one.
    Raises RuntimeError if no child process can be started.
    """
    numbers: list[int] = []  # of each page: which of the outcomes is its own
    outcomes: list[Outcome[Text | Dropped]] = []
    done = 0
    sandbox = _sandbox(settings.deadline, settings.memory_limit, settings.recycle_after)
    for outcome in sandbox.map(_distinct(pages, numbers)):
        if isinstance(outcome.value, Dropped):
            outcome = outcome._replace(reason=outcome.value.reason)
        outcomes.append(outcome)
        while done < len(numbers) and numbers[done] < len(outcomes):
            yield outcomes[numbers[done]]
            done += 1


def _distinct(pages: Iterable[Page], numbers: list[int]) -> Iterator[Page]:
    """The first of equal pages. Appends to `numbers`, for every page that is read, the place of its first."""
    known: dict[bytes, int] = {}
    for page in pages:
        new = len(known)
        numbers.append(known.setdefault(_identity(page), new))
        if numbers[-1] == new:
            yield page


def _identity(page: Page) -> bytes:
    """A digest that is the same for pages in which the same is found."""
    date = COMPLETE_URL.search(page.url)
    rest = msgspec.structs.replace(page, body=b"", url="-".join(date.groups()) if date else "")
    return hashlib.blake2b(page.body, key=hashlib.sha256(msgspec.msgpack.encode(rest)).digest()).digest()


def _sandbox(deadline: float, memory_limit: int, recycle_after: int) -> Sandbox[Page, Text | Dropped]:
    """The sandbox of this thread. Its child lives on between partitions: to start one takes a second."""
    limits = deadline, memory_limit, recycle_after
    if getattr(_thread, "limits", None) != limits:
        if hasattr(_thread, "sandbox"):
            _thread.sandbox.close()
        _thread.limits = limits
        _thread.sandbox = Sandbox(
            extract_page, deadline=deadline, memory_limit=memory_limit, recycle_after=recycle_after
        )
        atexit.register(_thread.sandbox.close)
    sandbox: Sandbox[Page, Text | Dropped] = _thread.sandbox
    return sandbox
