"""The source `deferred:BATCH`: links for which an earlier batch had no time, in the shape of submissions.

A link keeps its karma, whatever its rule, its submissions and the time it was first seen; so it passes again
where it passed before, and merges with what new submissions say of the same URL.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import Corpus
from pipeline.partitions import Table
from pipeline.tables import OK, SUBMISSIONS

SCHEME = "deferred:"
REASON = "deferred"


def source(corpus: Corpus) -> dict[str, Any] | None:
    """The links that the last committed batch deferred, as an input of the next; None if there are none."""
    batch = next(reversed(corpus.committed()), None)
    pages = Table(corpus, "pages", batch).sealed() if batch else None
    count = pages.counts.get("fetch", {}).get(REASON, 0) if pages else 0
    if not pages or not count:
        return None
    digest = "-".join(part.checksum for part in pages.parts)
    return {"path": f"{SCHEME}{batch}", "bytes": count, "digest": digest}


def submissions(corpus: Corpus, path: str, counts: Counter[str]) -> Iterator[pa.Table]:
    """The deferred links of a batch as rows of SUBMISSIONS, a partition at a time; counted as `ok`."""
    batch = path.removeprefix(SCHEME)
    pages = Table(corpus, "pages", batch)
    seal = pages.sealed()
    for number in range(len(seal.parts) if seal else 0):
        outcomes = pages.read(number, ["doc_id", "reason"])
        waiting = outcomes.filter(pc.equal(outcomes["reason"], REASON))["doc_id"]
        links = Table(corpus, "links", batch).read(number)
        links = links.filter(
            pc.and_(pc.equal(links["reason"], OK), pc.is_in(links["link_id"], value_set=waiting))
        )
        rows = [row for link in links.to_pylist() for row in _rows(link)]
        counts[OK] += len(rows)
        yield pa.Table.from_pylist(rows, schema=SUBMISSIONS)


def _rows(link: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each submission of a link; the first has the karma, the others no score."""
    subreddits = link["subreddits"] or [""]
    ids = link["submission_ids"] or [""]
    for n in range(max(len(ids), len(subreddits))):
        yield {
            "submission_id": ids[min(n, len(ids) - 1)],
            "url": link["raw_url"],
            "score": link["karma"] if n == 0 else None,
            "origin": "list" if link["karma"] is None else "reddit",
            "subreddit": subreddits[min(n, len(subreddits) - 1)],
            "created": link["first_seen"],
            "is_self": False,
            "over_18": link["over_18"],
        }
