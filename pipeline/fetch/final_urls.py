"""Links that redirects lead to one page: one of them is kept, the others are dropped as `same_final_url`.

A page's identity is the canonical form of its final URL, hashed as a link's is. Of the pages with the same
identity the first by this order is kept: one of an earlier batch; one whose own URL it is; the best karma
(none comes last); the URL. What the bytes of the pages are plays no part.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schemas import FINAL_URLS, OK
from pipeline.links import urls

__all__ = ["PAGES_BY_FINAL_URL", "SAME_FINAL_URL", "by_final_url", "choose", "mark"]

SAME_FINAL_URL = "same_final_url"

PAGES_BY_FINAL_URL = pa.schema(
    [
        ("final_id", pa.string()),  # `urls.link_id` of the canonical final URL
        ("final_url", pa.string()),  # canonical; null where it is the link's own
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("karma", pa.int64()),
        ("reason", pa.string()),
        ("batch", pa.int64()),  # in the order of the commits
        ("page_partition", pa.int64()),  # of the table of pages
    ]
)
_FIRST_IS_KEPT = [
    ("final_id", "ascending"),
    ("batch", "ascending"),
    ("redirected", "ascending"),
    ("karma", "descending"),  # nulls come last
    ("url", "ascending"),
]


def by_final_url(pages: pa.Table, batch: int, partition: int) -> pa.Table:
    """Those pages that are `ok` or that a redirect led to another URL, as rows of PAGES_BY_FINAL_URL.

    pages: with the columns doc_id, url, karma, final_url and reason of `schemas.PAGES`.
    """
    identities: list[str | None] = []
    final_urls: list[str | None] = []
    rows = zip(*(pages[name].to_pylist() for name in ("doc_id", "url", "final_url")), strict=True)
    for doc_id, url, final in rows:
        canonical = url if final in (None, url) else urls.canonical(final) or url
        identities.append(doc_id if canonical == url else urls.link_id(canonical))
        final_urls.append(None if canonical == url else canonical)
    known = {
        "final_id": pa.array(identities, pa.string()),
        "final_url": pa.array(final_urls, pa.string()),
        "batch": pa.repeat(pa.scalar(batch, pa.int64()), len(pages)),
        "page_partition": pa.repeat(pa.scalar(partition, pa.int64()), len(pages)),
    }
    columns = [known[name] if name in known else pages[name] for name in PAGES_BY_FINAL_URL.names]
    found = pa.table(columns, schema=PAGES_BY_FINAL_URL)
    return found.filter(pc.or_(pc.equal(found["reason"], OK), pc.is_valid(found["final_url"])))


def choose(rows: pa.Table, batches: Sequence[str]) -> pa.Table:
    """The rows of the last batch that were redirected or are dropped, as `schemas.FINAL_URLS`.

    rows: of PAGES_BY_FINAL_URL, all of each final URL. batches: names by number. Sorted by final_id and
    doc_id; depends on neither the order of the rows nor which final URLs are together.
    """
    by_id = rows.group_by("final_id").aggregate([([], "count_all"), ("final_url", "count")])  # most are alone
    shared = pc.or_(pc.greater(by_id["count_all"], 1), pc.greater(by_id["final_url_count"], 0))
    rows = rows.filter(pc.is_in(rows["final_id"], value_set=by_id["final_id"].filter(shared)))
    rows = rows.append_column("redirected", pc.is_valid(rows["final_url"]).cast(pa.int8()))
    passed = rows.filter(pc.equal(rows["reason"], OK)).sort_by(_FIRST_IS_KEPT)
    first = passed.group_by("final_id", use_threads=False).aggregate(
        [(name, "first") for name in ("doc_id", "url", "batch")]
    )
    mine = rows.filter(pc.equal(rows["batch"], len(batches) - 1))
    mine = mine.sort_by([("final_id", "ascending"), ("doc_id", "ascending")])
    ok = pc.equal(mine["reason"], OK)
    keeper = first.take(pc.index_in(mine["final_id"], value_set=first["final_id"]))
    names = pa.array(list(batches), pa.string()).take(keeper["batch_first"].combine_chunks())
    is_kept = pc.and_(
        pc.equal(keeper["doc_id_first"], mine["doc_id"]), pc.equal(keeper["batch_first"], mine["batch"])
    )
    dropped = pc.and_(ok, pc.invert(pc.fill_null(is_kept, False)))  # null: none with that final URL is ok
    nothing = pa.scalar(None, pa.string())
    made = {
        "partition": mine["page_partition"],
        "final_url": pc.coalesce(mine["final_url"], mine["url"]),
        "reason": pc.if_else(dropped, SAME_FINAL_URL, mine["reason"]),
        "keeper": pc.if_else(ok, keeper["doc_id_first"], nothing),
        "keeper_batch": pc.if_else(ok, names, nothing),
        "keeper_url": pc.if_else(ok, keeper["url_first"], nothing),
    }
    chosen = pa.table(
        [made[name] if name in made else mine[name] for name in FINAL_URLS.names], schema=FINAL_URLS
    )
    return chosen.filter(pc.or_(dropped, pc.equal(mine["redirected"], 1)))


def mark(pages: pa.Table, dropped: pa.Table) -> pa.Table:
    """The pages with the reason and, in `detail`, the keeper of those that are dropped.

    dropped: rows of `schemas.FINAL_URLS` with the reason SAME_FINAL_URL, of this partition.
    """
    found = dropped.take(pc.index_in(pages["doc_id"], value_set=dropped["doc_id"]))
    keeper = pc.binary_join_element_wise(found["keeper_url"], found["keeper_batch"], " in batch ")
    marked = {
        "reason": pc.coalesce(found["reason"], pages["reason"]),
        "detail": pc.coalesce(keeper, pages["detail"]),
    }
    return pa.table(
        [marked[name] if name in marked else pages[name] for name in pages.column_names], schema=pages.schema
    )
