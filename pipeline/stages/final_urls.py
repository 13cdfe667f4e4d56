"""The end of the stage `fetch`: the links that redirects led to one page become one document.

Reads `fetched` and the `pages` of committed batches, writes `final_urls` and `pages`. A page's final URL lies
anywhere, so its rows are shuffled by the hash of that URL, and what was decided goes back to the partitions
of the links: two Dask shuffles, on disk.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.frames import PARTITION, partitions_for, read_frame, shuffle, to_arrow, write_frame
from pipeline.batch.stage import Output, Partition, Run
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import FINAL_URLS, OK
from pipeline.fetch.final_urls import PAGES_BY_FINAL_URL, SAME_FINAL_URL, by_final_url, choose, mark
from pipeline.links.placing import partition_of_id
from pipeline.settings import fingerprint

__all__ = ["mark_pages", "run"]

ROWS = 100_000  # pages in a partition of `final_urls`
COLUMNS = PAGES_BY_FINAL_URL.append(PARTITION)


class _Piece(NamedTuple):
    """A partition of pages. batch: its number in the order of the commits."""

    table: Table
    number: int
    batch: int


def run(run: Run) -> None:
    """Makes `final_urls`, then `pages`.

    Holds in a worker the pages of all batches whose final URLs belong to one partition of `final_urls`, ROWS
    on average at about 900 bytes each; or one partition of `fetched`. The shuffle moves 200 bytes a page.
    """
    fetched = run.sealed("fetched")
    earlier = run.corpus.committed()
    seals = [run.sealed("pages", batch) for batch in earlier]
    pages = sum(seal.counts.get("fetch", {}).get(OK, 0) for seal in (*seals, fetched))
    partitions = partitions_for(pages, ROWS)
    checksums = [[part.checksum for part in seal.parts] for seal in (*seals, fetched)]
    tables = [run.table("pages", batch) for batch in earlier] + [run.table("fetched")]
    pieces = [
        _Piece(table, number, batch)
        for batch, (table, parts) in enumerate(zip(tables, checksums, strict=True))
        for number in range(len(parts))
    ]
    rows = read_frame(partial(_read, last=len(earlier), partitions=partitions), pieces, COLUMNS)
    chosen = write_frame(
        run,
        "final_urls",
        shuffle(rows, partitions),
        partial(_choose, batches=[*earlier, run.batch]),
        into="final_urls",
        key=fingerprint(["final_urls", partitions, earlier, checksums]),
    )
    dropped = read_frame(partial(_dropped, run.table("final_urls")), range(partitions), FINAL_URLS)
    write_frame(
        run,
        "pages",
        shuffle(dropped, len(fetched.parts)),
        mark_pages,
        into="pages",
        key=fingerprint(["pages", checksums[-1], [part.checksum for part in chosen.parts]]),
    )


def _read(piece: _Piece, last: int, partitions: int) -> pa.Table:
    pages = piece.table.read(piece.number, ["doc_id", "url", "karma", "final_url", "reason"])
    rows = by_final_url(pages, piece.batch, piece.number)
    if piece.batch < last:
        rows = rows.filter(pc.equal(rows["reason"], OK))
    places = [partition_of_id(final_id, partitions) for final_id in rows["final_id"].to_pylist()]
    return rows.append_column(PARTITION, pa.array(places, pa.int64()))


def _choose(rows: pd.DataFrame, partition: Partition, batches: Sequence[str]) -> Output:
    return Output(choose(to_arrow(rows, PAGES_BY_FINAL_URL), batches), {})


def _dropped(final_urls: Table, number: int) -> pa.Table:
    rows = final_urls.read(number)
    return rows.filter(pc.equal(rows["reason"], SAME_FINAL_URL))


def mark_pages(dropped: pd.DataFrame, partition: Partition) -> Output:
    """A partition of `pages`: that of `fetched`, with the outcome of the links that are dropped."""
    pages = mark(partition.read("fetched"), to_arrow(dropped, FINAL_URLS))
    return Output(pages, {"fetch": dict(Counter(pages["reason"].to_pylist()))})
