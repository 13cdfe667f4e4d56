"""From submissions to links: one row a canonical URL, with all its submissions, its karma and its outcome.

Two pure steps around a shuffle by site: `pipeline.candidates` of any part of the submissions, `merge` of all
candidates of some sites. Their counts are per submission and add up to the submissions that came in: a kept
link counts one `ok` and its other submissions `same_url`; a dropped link counts all of its submissions under
its reason.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline import urls
from pipeline.candidates import CANDIDATES, sift
from pipeline.partitions import Table
from pipeline.settings import Links, fingerprint
from pipeline.stage import (
    Output,
    Partition,
    Run,
    frame,
    map_partitions,
    partitions_for,
    place,
    to_arrow,
    write,
)
from pipeline.tables import LINKS, OK

BEST_FIRST = [  # a total order of a link's submissions; nulls come last
    ("link_id", "ascending"),
    ("score", "descending"),
    *(
        (name, "ascending")
        for name in ("created", "submission_id", "raw_url", "subreddit", "origin", "over_18")
    ),
]

EARLIER = "earlier"  # marks, among candidates, the pages that committed batches have fetched
PLACED = CANDIDATES.append(pa.field("place", pa.int64()))


@dataclass(frozen=True)
class Piece:
    """A row group of candidates, or a partition of an earlier batch's pages."""

    table: Table
    number: int
    row_group: int | None = None


def merge(candidates: pa.Table, earlier: pa.Table | None, settings: Links) -> tuple[pa.Table, Counter[str]]:
    """The links of all candidates of some hosts: a row of schema `tables.LINKS` each, sorted by link_id.

    earlier: a table with the column `link_id` of links that earlier batches have, or None.
    Karma is the best score (rules `max` and `any`, which ask that one submission reach the threshold) or the
    sum. Lines of lists without a score pass the threshold. A URL is over 18 if one of its submissions is.
    A submission that comes twice, as from overlapping dumps, counts once, with its best score.
    Reasons, the first that holds: that of `urls.reject`, `over_18`, `no_score` (none of its submissions has
    one), `below_threshold`, `in_earlier_batch`; and in the counts `repeated_submission`.
    The result depends on neither the order of the rows nor how hosts are spread over calls. Holds about
    700 bytes a candidate.
    """
    rows = candidates.select(CANDIDATES.names).cast(CANDIDATES).sort_by(BEST_FIRST)
    distinct = rows.filter(_first_copies(rows))
    unscored = pc.and_(pc.equal(distinct["origin"], "list"), pc.is_null(distinct["score"]))
    distinct = distinct.append_column("unscored", unscored)
    found = (
        distinct.group_by("link_id", use_threads=False)
        .aggregate(
            [
                *((name, "first") for name in ("url", "raw_url", "host", "reason")),
                ("score", "sum" if settings.karma_rule == "sum" else "max"),
                ("created", "min"),
                ("over_18", "any"),
                ("unscored", "any"),
                ([], "count_all"),
            ]
        )
        .rename_columns(
            ["link_id", "url", "raw_url", "host", "reason", "karma", "first_seen", "over_18", "unscored", "n"]
        )
        .sort_by("link_id")
    )
    made = {
        "submission_ids": _lists(found["link_id"], distinct, "submission_id"),
        "subreddits": _lists(found["link_id"], distinct, "subreddit"),
        "n_submissions": found["n"].cast(pa.int32()),
        "reason": _reasons(found, earlier, settings),
    }
    links = pa.table([made[n] if n in made else found[n] for n in LINKS.names], schema=LINKS)
    counts = Counter(repeated_submission=rows.num_rows - distinct.num_rows)
    for row in links.group_by("reason").aggregate([("n_submissions", "sum"), ([], "count_all")]).to_pylist():
        kept = row["count_all"] if row["reason"] == OK else row["n_submissions_sum"]
        counts[row["reason"]] = kept
        counts["same_url"] += row["n_submissions_sum"] - kept
    return links, +counts


def _first_copies(rows: pa.Table) -> pa.Array:
    """True for the first row of each submission of a link; lines of lists have no id and are never copies."""
    named = pc.fill_null(pc.not_equal(rows["submission_id"], ""), False).to_numpy()
    numbered = rows.select(["link_id", "submission_id"]).append_column("row", pa.array(np.arange(len(rows))))
    grouped = numbered.filter(pa.array(named)).group_by(["link_id", "submission_id"], use_threads=False)
    keep = ~named
    keep[grouped.aggregate([("row", "min")])["row_min"].to_numpy()] = True
    return pa.array(keep)


def _lists(link_ids: pa.ChunkedArray, rows: pa.Table, name: str) -> pa.ListArray:
    """For each of the sorted link_ids its distinct values in a column, sorted, without empty and null."""
    present = rows.select(["link_id", name]).filter(pc.not_equal(rows[name], ""))
    pairs = present.group_by(["link_id", name], use_threads=False).aggregate([])
    pairs = pairs.sort_by([("link_id", "ascending"), (name, "ascending")])
    owners = pc.index_in(pairs["link_id"], value_set=link_ids).to_numpy()
    ends = np.cumsum(np.bincount(owners, minlength=len(link_ids)))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pairs[name].combine_chunks())


def _reasons(links: pa.Table, earlier: pa.Table | None, settings: Links) -> pa.ChunkedArray:
    passes = pc.or_(
        links["unscored"], pc.fill_null(pc.greater_equal(links["karma"], settings.min_karma), False)
    )
    known = earlier["link_id"].cast(pa.string()) if earlier is not None else pa.array([], pa.string())
    conditions = {
        "over_18": pc.and_(links["over_18"], not settings.over_18),
        "no_score": pc.and_(pc.is_null(links["karma"]), pc.invert(links["unscored"])),
        "below_threshold": pc.invert(passes),
        "in_earlier_batch": pc.is_in(links["link_id"], value_set=known),
    }
    rejected = pc.not_equal(links["reason"], OK)
    decided = pc.make_struct(rejected, *conditions.values())
    return pc.case_when(decided, links["reason"], *conditions, OK)


def run(run: Run) -> None:
    """Makes `candidates` and `links`, sites whole in partitions of about `links.rows` links.

    Holds in a worker one partition of candidates and of the pages that earlier batches fetched from the same
    hosts, about 400 bytes a submission; the shuffle is on the workers' disks.
    """
    settings = run.settings.links
    found = map_partitions(
        run,
        "candidates",
        partial(sift, settings=settings),
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
        Piece(run.table("candidates"), number, group)
        for number, part in enumerate(found.parts)
        for group in range(part.row_groups)
    ] + [
        Piece(run.table("pages", batch), number)
        for batch, seal in pages.items()
        for number in range(len(seal.parts))
    ]
    partitions = partitions_for(sum(part.facts["eligible"] for part in found.parts), settings.rows)
    rows = frame(partial(placed, partitions=partitions), pieces, PLACED)
    hosts = place(rows, "place", partitions)
    write(run, "links", hosts, partial(gather, settings=settings), into="links", key=key)


def placed(piece: Piece, partitions: int) -> pa.Table:
    """The rows of a piece with the number of the partition of links that their host belongs to."""
    if piece.row_group is None:
        pages = piece.table.read(piece.number, ["doc_id", "url", "reason"])
        pages = pages.filter(pc.equal(pages["reason"], OK))
        hosts = pa.array([urls.host(url) for url in pages["url"].to_pylist()], pa.string())
        known = {"link_id": pages["doc_id"], "host": hosts, "reason": pa.repeat(EARLIER, len(pages))}
        columns = [known.get(field.name, pa.nulls(len(pages), field.type)) for field in CANDIDATES]
        rows = pa.table(columns, schema=CANDIDATES)
    else:
        rows = piece.table.read(piece.number, row_group=piece.row_group)
    hosts = rows["host"].combine_chunks().dictionary_encode()
    numbers = [partition_of(host, partitions) for host in hosts.dictionary.to_pylist()]
    return rows.append_column("place", pa.array(numbers, pa.int64()).take(hosts.indices))


def partition_of(host: str, partitions: int) -> int:
    """The partition of links, and of all tables made from them, that holds a host and the rest of its site.

    "www." and the bare host are one web server as a rule: politeness wants them in one place.
    """
    return xxhash.xxh64_intdigest(urls.site(host).encode()) % partitions


def gather(rows: pd.DataFrame, partition: Partition, settings: Links) -> Output:
    """A partition of links from all candidates of its hosts."""
    table = to_arrow(rows, CANDIDATES)
    known = pc.equal(table["reason"], EARLIER)
    links, counts = merge(table.filter(pc.invert(known)), table.filter(known), settings)
    return Output(links, {"links": dict(counts)})
