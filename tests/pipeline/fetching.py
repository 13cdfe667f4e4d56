"""What the tests of fetching share: quick settings, rows of links, and what must hold of every fetch."""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from warcio.checker import Checker

from pipeline.corpus.schemas import LINKS, PAGES
from pipeline.fetch import fetch
from pipeline.fetch.archives.warc import read_body
from pipeline.fetch.outcome import REASONS
from pipeline.fetch.politeness.turns import Limits, TurnTable
from pipeline.settings import Fetch
from tests.web import Server


class RecordedTurns(TurnTable):
    """Keeps the times by which the client goes, in seconds of `time.monotonic()`.

    What a loaded machine does to requests on their way, or to the server, is not in them.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._times: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self.delays: list[float] = []  # seconds from now, of each `delay`

    def claim(self, now: float, wanted: Mapping[str, Limits]) -> str | None:
        late = super().claim(now, wanted)
        for name in wanted if late is None else ():
            self._times[name].append((now, now))
        return late

    def release(self, spacings: Mapping[str, float], last_sent: float) -> None:
        for name in spacings:
            start, _ = self._times[name][-1]
            self._times[name][-1] = start, max(start, last_sent)
        super().release(spacings, last_sent)

    def delay(self, name: str, until: float) -> None:
        self.delays.append(until - time.monotonic())
        super().delay(name, until)

    def gaps(self, name: str) -> list[float]:
        """From when one request of a host or address had been sent to when the turn for the next was taken.

        Of an address that is asked many times at once only the turns count.
        """
        times = self._times[name]
        return [start - end for (_, end), (start, _) in itertools.pairwise(times)]

    def turns(self, name: str) -> list[float]:
        """When the turns of a host or address were taken."""
        return [start for start, _ in self._times[name]]


# For what never answers. Where a page shall be had it would depend on how busy the machine is.
IMPATIENT = {"deadline": 1.5, "read_timeout": 0.6, "connect_timeout": 1.0, "robots_timeout": 1.0}


def settings(server: Server | None = None, **changes: Any) -> Fetch:
    quick: dict[str, Any] = {
        "contact": "tests@example.org",
        "spacing": 0.0,
        "deadline": 60.0,
        "read_timeout": 30.0,
        "connect_timeout": 30.0,
        "robots_timeout": 30.0,
        "backoff": 0.02,
        "retries": 1,
        "max_bytes": 256 * 1024,
        "threads": 16,
    }
    if server:
        quick["connect_to"] = {"*": server.url}
    return Fetch(**quick | changes)


def links(*urls: str) -> pa.Table:
    rows = [
        {"link_id": f"{n:032x}", "url": u, "raw_url": u, "host": "h", "karma": n, "reason": "ok"}
        for n, u in enumerate(urls)
    ]
    return pa.Table.from_pylist(rows, schema=LINKS)


def crawl(urls: list[str], options: Fetch, directory: Path) -> list[dict[str, Any]]:
    """Fetches and checks what must hold of every fetch; returns the rows."""
    heard: list[str] = []
    warc = directory / "part.warc.gz"
    table = links(*urls)
    pages, counts = fetch(table, options, warc, batch="b", on_outcome=heard.append)
    assert pages.schema == PAGES
    assert pages["doc_id"].to_pylist() == table["link_id"].to_pylist()
    assert pages["url"].to_pylist() == urls
    reasons = pages["reason"].to_pylist()
    assert set(reasons) <= set(REASONS)
    assert counts == Counter(reasons) == Counter(heard)
    validate(warc)
    return list(pages.to_pylist())


def validate(warc: Path) -> None:
    """As `warcio check`: every record parses, and its digests are right."""

    class Inputs:
        inputs = (str(warc),)
        verbose = False

    assert Checker(Inputs).process_all() == 0


def body(row: dict[str, Any], directory: Path) -> bytes:
    with (directory / row["warc"]).open("rb") as file:
        return read_body(file, row["warc_offset"], row["warc_length"]).body
