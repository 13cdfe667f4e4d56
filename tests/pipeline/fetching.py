"""What the tests of fetching share: quick settings, rows of links, and what must hold of every fetch."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from warcio.checker import Checker

from pipeline.corpus.schemas import LINKS, PAGES
from pipeline.fetch import fetch
from pipeline.fetch.archives.warc import read_body
from pipeline.fetch.outcome import REASONS
from pipeline.settings import Fetch
from tests.web import Server


def settings(server: Server | None = None, **changes: Any) -> Fetch:
    quick: dict[str, Any] = {
        "contact": "tests@example.org",
        "spacing": 0.0,
        "deadline": 1.5,
        "read_timeout": 0.6,
        "connect_timeout": 1.0,
        "robots_timeout": 1.0,
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
