"""The stage `links`: submissions to one row for each canonical URL, with its submissions, karma and outcome.

Reads `submissions` and the `pages` of committed batches; writes `candidates` (a row for each submission that
links to something) and `links`. Two pure steps around a shuffle by site: `links.candidates` of any part of
the submissions, `links.merge` of all candidates of some sites. Their counts are of submissions, and add up to
those that came in.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.batch.frames import PARTITION, partitions_for, read_frame, shuffle, to_arrow, write_frame
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK
from pipeline.fetch.final_urls import SAME_FINAL_URL
from pipeline.links import urls
from pipeline.links.candidates import CANDIDATES, candidates
from pipeline.links.merge import merge
from pipeline.links.placing import partitions_of
from pipeline.settings import Links, fingerprint

__all__ = ["find_candidates", "merge_candidates", "run"]

EARLIER = "earlier"  # the reason that marks, among candidates, the pages that committed batches have fetched
COLUMNS = CANDIDATES.append(PARTITION)


@dataclass(frozen=True)
class _Piece:
    """A row group of `candidates`, or a partition of the `pages` of an earlier batch."""

    table: Table
    number: int
    row_group: int | None = None


def run(run: Run) -> None:
    """Makes `candidates` and `links`: every site whole in one partition, about `links.rows` links in each.

    A worker holds one partition of candidates and of the pages that earlier batches fetched from the same
    hosts, about 400 bytes a submission; the shuffle is on the workers' disks.
    """
    settings = run.settings.links
    found = map_partitions(
        run,
        "candidates",
        partial(find_candidates, settings=settings),
        into="candidates",
        inputs=[part.checksum for part in run.sealed("submissions").parts],
        settings=settings.identity(),
    )
    earlier = run.corpus.committed()
    pages = {batch: run.sealed("pages", batch) for batch in earlier}
    key = fingerprint(
        ["links", settings.identity(), [part.checksum for part in found.parts]]
        + [[part.checksum for part in seal.parts] for seal in pages.values()]
    )
    pieces = [
        _Piece(run.table("candidates"), number, group)
        for number, part in enumerate(found.parts)
        for group in range(part.row_groups)
    ] + [
        _Piece(run.table("pages", batch), number)
        for batch, seal in pages.items()
        for number in range(len(seal.parts))
    ]
    partitions = partitions_for(sum(part.facts["eligible"] for part in found.parts), settings.rows)
    rows = read_frame(partial(_read, partitions=partitions), pieces, COLUMNS)
    sites = shuffle(rows, partitions)
    write_frame(run, "links", sites, partial(merge_candidates, settings=settings), into="links", key=key)


def _read(piece: _Piece, partitions: int) -> pa.Table:
    """The rows of a piece, pages as candidates of reason EARLIER, with the partition of their host."""
    if piece.row_group is None:
        pages = piece.table.read(piece.number, ["doc_id", "url", "reason"])
        pages = pages.filter(pc.is_in(pages["reason"], value_set=pa.array([OK, SAME_FINAL_URL])))
        hosts = pa.array([urls.host(url) for url in pages["url"].to_pylist()], pa.string())
        known = {"link_id": pages["doc_id"], "host": hosts, "reason": pa.repeat(EARLIER, len(pages))}
        columns = [known.get(field.name, pa.nulls(len(pages), field.type)) for field in CANDIDATES]
        rows = pa.table(columns, schema=CANDIDATES)
    else:
        rows = piece.table.read(piece.number, row_group=piece.row_group)
    return rows.append_column(PARTITION, partitions_of(rows["host"], partitions))


def merge_candidates(rows: pd.DataFrame, partition: Partition, settings: Links) -> Output:
    """A partition of `links` from all candidates of its hosts."""
    table = to_arrow(rows, CANDIDATES)
    known = pc.equal(table["reason"], EARLIER)
    links, counts = merge(table.filter(pc.invert(known)), table.filter(known), settings)
    hosts = links["host"].filter(pc.equal(links["reason"], OK)).value_counts()
    longest = pc.max(hosts.field("counts")).as_py() or 0
    return Output(links, {"links": dict(counts)}, facts={"longest_queue": longest})


def find_candidates(partition: Partition, settings: Links) -> Output:
    """The candidates of a partition of `submissions`; holds one row group."""
    counts: Counter[str] = Counter()
    eligible = 0
    target = partition.scratch / "candidates.parquet"
    with pq.ParquetWriter(target, CANDIDATES, compression="zstd") as writer:
        for submissions in partition.stream("submissions"):
            rows, dropped = candidates(submissions, settings)
            counts.update(dropped)
            eligible += _eligible(rows, settings)
            writer.write_table(rows)
    return Output(target, {"links": dict(counts)}, facts={"eligible": eligible})


def _eligible(rows: pa.Table, settings: Links) -> int:
    """At most how many rows become links: decides the number of partitions."""
    ok = pc.equal(rows["reason"], OK)
    if settings.karma_rule != "sum":
        ok = pc.and_(ok, pc.fill_null(pc.greater_equal(rows["score"], settings.min_karma), True))
    return pc.sum(ok).as_py() or 0
