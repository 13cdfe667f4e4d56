"""Submissions that link to something, one by one: the part of the stage `links` that needs no shuffle.

Counts are per submission, as in `links`.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schemas import OK, TIME
from pipeline.links import urls
from pipeline.settings import Links

__all__ = ["CANDIDATES", "candidates"]

CANDIDATES = pa.schema(  # no list columns: these do not survive Dask's shuffle
    [
        ("link_id", pa.string()),
        ("url", pa.string()),  # canonical
        ("raw_url", pa.string()),  # as posted, made fit to be requested
        ("host", pa.string()),
        ("reason", pa.string()),  # `ok`, or why the URL is rejected (`urls.reject`)
        ("score", pa.int64()),
        ("origin", pa.string()),
        ("subreddit", pa.string()),
        ("submission_id", pa.string()),
        ("created", TIME),
        ("over_18", pa.bool_()),
    ]
)


def candidates(submissions: pa.Table, settings: Links) -> tuple[pa.Table, Counter[str]]:
    """The submissions that link to something: rows of schema CANDIDATES.

    submissions: schema `schemas.SUBMISSIONS`. The counts are of those without a row: `self_post`, `bad_url`.
    """
    outbound = submissions.filter(pc.invert(pc.fill_null(submissions["is_self"], False)))
    counts = Counter(self_post=submissions.num_rows - outbound.num_rows)
    rows: list[int] = []
    made: list[tuple[str, str, str, str, str]] = []
    for row, posted in enumerate(outbound["url"].to_pylist()):
        raw_url = urls.clean(posted or "")
        url = urls.canonical(raw_url) if raw_url else None
        if raw_url is None or url is None:
            counts["bad_url"] += 1
        else:
            rows.append(row)
            made.append((urls.link_id(url), url, raw_url, urls.host(url), urls.reject(url, settings) or OK))
    if not rows:
        return CANDIDATES.empty_table(), +counts
    taken = outbound.take(rows)
    columns = [pa.array(column, pa.string()) for column in zip(*made, strict=True)]
    columns += [taken[name] for name in CANDIDATES.names[len(columns) : -1]]
    columns.append(pc.fill_null(taken["over_18"], False))
    return pa.table(columns, schema=CANDIDATES), +counts
