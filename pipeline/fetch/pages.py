"""The table of pages: a row for each link, from its response or its failure."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from pipeline.corpus.schemas import PAGES
from pipeline.fetch import consent
from pipeline.fetch.http.response import Response
from pipeline.fetch.outcome import Failure

__all__ = ["Pages", "failure_row", "response_row"]


class Pages:
    """The outcomes of some links, as they come. Safe to use from many threads.

    links: rows of `schemas.LINKS`. on_outcome: called with the reason of each. Holds a row for each link.
    """

    def __init__(self, links: pa.Table, on_outcome: Callable[[str], None] | None) -> None:
        self.links: list[dict[str, Any]] = links.select(["link_id", "url", "karma", "raw_url"]).to_pylist()
        self.counts: Counter[str] = Counter()
        self._rows: list[dict[str, Any] | None] = [None] * len(self.links)
        self._on_outcome = on_outcome
        self._lock = threading.Lock()

    def note(self, index: int, row: dict[str, Any]) -> None:
        """Sets the outcome of a link."""
        link = self.links[index]
        keys = {"doc_id": link["link_id"], "url": link["url"], "karma": link["karma"], "truncated": False}
        with self._lock:
            self._rows[index] = keys | row
            self.counts[row["reason"]] += 1
        if self._on_outcome:
            self._on_outcome(row["reason"])

    def open(self) -> list[int]:
        """The links without an outcome."""
        return [index for index, row in enumerate(self._rows) if row is None]

    def table(self) -> pa.Table:
        """The outcomes as `schemas.PAGES`, in the order of the links."""
        return pa.Table.from_pylist([row or {} for row in self._rows], schema=PAGES)


def response_row(
    response: Response, verdict: Failure, warc: str, stored: tuple[int, int] | None
) -> dict[str, Any]:
    """The row of a link that ends with a response. stored: offset and length of its record in `warc`."""
    row = {
        "reason": verdict.reason,
        "detail": verdict.detail or None,
        "final_url": response.target.url,
        "status": response.status,
        "content_type": response.content_type,
        "charset": response.charset,
        "n_bytes": response.n_bytes if stored else None,
        "truncated": response.truncated is not None,
        "fetched": response.fetched,
        "consent": response.consent or None,
    }
    if stored:
        row |= {"warc": warc, "warc_offset": stored[0], "warc_length": stored[1]}
    return row


def failure_row(failure: Failure) -> dict[str, Any]:
    """The row of a link that ends without one."""
    said = [failure.detail] if failure.reason in consent.REASONS else None
    return {"reason": failure.reason, "detail": failure.detail, "consent": said}
