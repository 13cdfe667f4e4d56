"""Pages from WARC files that others made (Common Crawl, Heritrix, wget, warcio), in place of the network.

Two steps: `captures` lists the responses of a file, `fetch` copies those of some links into a WARC of the
corpus's own, with the same bounds, types and outcomes as a page from the network.
"""

import io
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipeline.corpus.schemas import OK, TIME
from pipeline.fetch import agent, consent, pages
from pipeline.fetch.archives.warc import WarcFile, content
from pipeline.fetch.http.client import REDIRECTS
from pipeline.fetch.http.response import SPOOL, Response, take
from pipeline.fetch.http.target import Origin, parse
from pipeline.fetch.outcome import Failure
from pipeline.fetch.pages import Pages
from pipeline.fetch.politeness import robots, tdmrep
from pipeline.fetch.redirects import FILTERS, redirect_target
from pipeline.links import urls
from pipeline.settings import Fetch, Links

CAPTURES = pa.schema(
    [
        ("link_id", pa.string()),
        ("url", pa.string()),  # as the record names it
        ("host", pa.string()),
        ("path", pa.string()),  # of the WARC file
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("status", pa.int16()),
        ("fetched", TIME),
    ]
)
READERS = 8  # threads that read from the files
BROKEN = (ArchiveLoadFailed, EOFError, OSError, ValueError, LookupError, AttributeError, zlib.error)


def captures(path: str, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """The HTTP responses in a file, as rows of CAPTURES, by one pass over it.

    Counts every record: `ok`, or why it is none: its WARC type (`request`, `warcinfo`, `revisit`, …),
    `no_http` (a response without HTTP headers), `bad_url`; and one `truncated` where the file is cut off or
    broken, and what follows cannot be read.
    """
    with fsspec.open(path, "rb") as file:
        records = ArchiveIterator(file, arc2warc=True)
        while True:
            try:
                record = next(records, None)
                if record is None:
                    return
                row = _row(record, path)
                while record.raw_stream.read(65536):
                    pass
                if isinstance(row, dict):
                    row |= {"offset": records.get_record_offset(), "length": records.get_record_length()}
            except BROKEN:
                counts["truncated"] += 1
                return
            counts[row if isinstance(row, str) else OK] += 1
            if isinstance(row, dict):
                yield row


def _row(record: Any, path: str) -> dict[str, Any] | str:
    if record.rec_type != "response":
        return str(record.rec_type)[:40]
    if record.http_headers is None or not record.http_headers.protocol.upper().startswith("HTTP"):
        return "no_http"
    url = (record.rec_headers.get_header("WARC-Target-URI") or "").strip("<> ")
    canonical = urls.canonical(url)
    if canonical is None:
        return "bad_url"
    status = record.http_headers.get_statuscode()
    return {
        "link_id": urls.link_id(canonical),
        "url": url,
        "host": urls.host(canonical),
        "path": path,
        "status": int(status) if status.isdigit() and len(status) == 3 else None,
        "fetched": _date(record),
    }


def fetch(
    links: pa.Table,
    found: pa.Table,
    settings: Fetch,
    warc: Path,
    *,
    batch: str,
    filters: Links = FILTERS,
    on_outcome: Callable[[str], None] | None = None,
) -> tuple[pa.Table, Counter[str]]:
    """As `partition.fetch`, with the captures of those links in place of the network.

    found: rows of CAPTURES. Of several captures of a link, the newest 200 is taken, else the newest. A link
    without one is `not_captured`. A redirect is not followed, only judged. Who may fetch was asked when the
    files were made; what publishers say of use is heard here, in a page, its headers, and in a robots.txt
    that is among the captures. Holds READERS records in memory, and the rules of each host.
    """
    best: dict[str, dict[str, Any]] = {}
    for capture in found.sort_by(
        [("fetched", "ascending"), ("path", "ascending"), ("offset", "ascending")]
    ).to_pylist():
        known = best.get(capture["link_id"])
        if known is None or capture["status"] == 200 or known["status"] != 200:
            best[capture["link_id"]] = capture
    reader = consent.Reader(settings.consent, agent.product(settings))
    rules = _rules(best.values(), settings, reader)
    outcomes = Pages(links, on_outcome)
    info = {"software": agent.user_agent(settings).partition(" ")[0], "isPartOf": batch}
    with WarcFile(warc, info) as file, ThreadPoolExecutor(READERS) as pool:
        # In groups, so that few records wait in memory, and in the order of the links. Threads hide the
        # latency of object stores; where there is none, they would only wait for each other.
        load = partial(_load, settings=settings, reader=reader, rules=rules)
        remote = any("://" in path for path in found["path"].unique().to_pylist())
        for start in range(0, len(outcomes.links), READERS):
            group = outcomes.links[start : start + READERS]
            responses = (pool.map if remote else map)(load, [best.get(link["link_id"]) for link in group])
            for index, response in enumerate(responses, start):
                outcomes.note(index, _page(response, filters, file, warc.name))
    return outcomes.table(), outcomes.counts


def _page(response: Response | Failure, filters: Links, file: WarcFile, name: str) -> dict[str, Any]:
    if isinstance(response, Failure):
        return pages.failure_row(response)
    with response.body:
        return pages.response_row(response, _verdict(response, filters), name, file.add(response))


def _verdict(response: Response, filters: Links) -> Failure:
    location = response.header("location") if response.status in REDIRECTS else None
    if location is not None:
        try:
            redirect_target(response.target, location, filters)
        except Failure as failure:
            return failure
    return response.verdict()


def _rules(
    found: Iterable[dict[str, Any]], settings: Fetch, reader: consent.Reader
) -> dict[Origin, robots.Rules]:
    """What the robots.txt and tdmrep.json among some captures say of the use of an origin's content."""
    rules: dict[Origin, robots.Rules] = {}
    for capture in found:
        path = urlsplit(capture["url"]).path
        if capture["status"] != 200 or path not in ("/robots.txt", tdmrep.PATH):
            continue
        response = _load(capture, settings, None, {})
        if isinstance(response, Failure):
            continue
        with response.body:
            if path != tdmrep.PATH:
                said = robots.read(response, reader.product, reader.honoured).statements
            else:
                said = tdmrep.read(response) if "tdm_reservation" in reader.honoured else ()
        origin = response.target.origin
        rules[origin] = rules.get(origin, robots.ALLOW_ALL).also(said)
    return rules


def _load(
    capture: dict[str, Any] | None,
    settings: Fetch,
    reader: consent.Reader | None,
    rules: Mapping[Origin, robots.Rules],
) -> Response | Failure:
    """The response that a capture names; the caller closes its body. reader: None for
    what says the rules of an origin."""
    if capture is None:
        return Failure("not_captured", "in none of the WARC files")
    try:
        fs, name = fsspec.core.url_to_fs(capture["path"])
        data = fs.cat_file(name, capture["offset"], capture["offset"] + capture["length"])
        record = next(ArchiveIterator(io.BytesIO(data), arc2warc=True))
        headers = record.http_headers
        response = Response(
            target=parse(capture["url"]),
            fetched=_date(record),
            status=capture["status"],
            status_line=headers.statusline,
            headers=[(name, " ".join(str(value).split())) for name, value in headers.headers],
            peer=record.rec_headers.get_header("WARC-IP-Address"),
            truncated=record.rec_headers.get_header("WARC-Truncated"),
            body=tempfile.SpooledTemporaryFile(SPOOL),  # noqa: SIM115 - last: what is above may raise
        )
        if refusal := rules.get(response.target.origin, robots.ALLOW_ALL).use(response.target.url):
            response.body.close()
            return refusal
    except Failure as failure:
        return failure
    except (*BROKEN, StopIteration) as error:
        return Failure("protocol_error", f"a record that cannot be read: {error!r}"[:300])
    try:
        body, coding = content(record)
        if not coding:
            response.headers = [(_renamed(name), value) for name, value in response.headers]
        types = settings.content_types if reader else None
        take(response, body, settings.max_bytes, types, reader)
    except Failure as failure:
        response.failure = failure
        why = {"too_large": "length"} | dict.fromkeys(consent.REASONS, "unspecified")
        response.truncated = response.truncated or why.get(failure.reason)
    except BROKEN as error:
        response.failure = Failure("protocol_error", f"a body that cannot be read: {error!r}"[:300])
        response.truncated = response.truncated or "unspecified"
    return response


def _renamed(name: str) -> str:
    """The name under which a header is kept that no longer describes the body."""
    return f"X-Crawl-{name}" if name.lower() == "content-encoding" else name


def _date(record: Any) -> datetime:
    try:
        date = datetime.fromisoformat(record.rec_headers.get_header("WARC-Date") or "")
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of CAPTURES."""
    return pa.Table.from_pylist(list(rows), schema=CAPTURES)
