"""All submissions of a URL -> one link, with its karma and its outcome.

Counts are per submission: a kept link counts one `ok` and its other submissions `same_url`; a dropped link
counts all of its submissions under its reason.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schemas import LINKS, OK
from pipeline.links.candidates import CANDIDATES
from pipeline.settings import Links

__all__ = ["merge"]

BEST_FIRST = [  # a total order of a link's submissions; nulls come last
    ("link_id", "ascending"),
    ("score", "descending"),
    *(
        (name, "ascending")
        for name in ("created", "submission_id", "raw_url", "subreddit", "origin", "over_18")
    ),
]


def merge(candidates: pa.Table, earlier: pa.Table | None, settings: Links) -> tuple[pa.Table, Counter[str]]:
    """The links of all candidates of some hosts: a row of schema `schemas.LINKS` each, sorted by link_id.

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
