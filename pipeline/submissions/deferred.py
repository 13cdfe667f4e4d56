"""The source `deferred:BATCH`: links that an earlier batch left for later, in the shape of submissions.

Those for which it had no time; and once more those whose robots.txt could not be had, which is a disallow for
the time being (RFC 9309, section 2.3.1.4). A link keeps its karma, whatever its rule, its submissions and the
time it was first seen; so it passes again where it passed before, and merges with what new submissions say of
the same URL.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK, SUBMISSIONS

SCHEME = "deferred:"
UNTRIED = "deferred"
UNREACHABLE = "robots_unreachable"


def source(corpus: Corpus) -> dict[str, Any] | None:
    """The links that the last committed batch left, as an input of the next; None if there are none."""
    batch = next(reversed(corpus.committed()), None)
    pages = Table(corpus, "pages", batch).sealed() if batch else None
    counts = pages.counts.get("fetch", {}) if pages else {}
    count = counts.get(UNTRIED, 0) + counts.get(UNREACHABLE, 0)
    if not pages or not count:
        return None
    digest = "-".join(part.checksum for part in pages.parts)
    return {"path": f"{SCHEME}{batch}", "bytes": count, "digest": digest}


def submissions(corpus: Corpus, path: str, counts: Counter[str]) -> Iterator[pa.Table]:
    """The links that a batch left as rows of SUBMISSIONS, a partition at a time; counted as `ok`.

    Holds the ids of the links without robots.txt of the batch before it, about 100 bytes each.
    """
    batch = path.removeprefix(SCHEME)
    committed = corpus.committed()
    before = committed[committed.index(batch) - 1 : committed.index(batch)]
    asked = (chunk for name in before for ids in _ended(corpus, name, UNREACHABLE) for chunk in ids.chunks)
    twice = pa.chunked_array(list(asked), pa.string())
    both = zip(_ended(corpus, batch, UNTRIED), _ended(corpus, batch, UNREACHABLE), strict=True)
    for number, (untried, unreachable) in enumerate(both):
        once = unreachable.filter(pc.invert(pc.is_in(unreachable, value_set=twice)))
        links = Table(corpus, "links", batch).read(number)
        waiting = pa.chunked_array([*untried.chunks, *once.chunks], pa.string())
        links = links.filter(
            pc.and_(pc.equal(links["reason"], OK), pc.is_in(links["link_id"], value_set=waiting))
        )
        rows = [row for link in links.to_pylist() for row in _rows(link)]
        counts[OK] += len(rows)
        yield pa.Table.from_pylist(rows, schema=SUBMISSIONS)


def _ended(corpus: Corpus, batch: str, reason: str) -> Iterator[pa.ChunkedArray]:
    """The ids of the links that ended so, a partition at a time."""
    pages = Table(corpus, "pages", batch)
    seal = pages.sealed()
    for number in range(len(seal.parts) if seal else 0):
        outcomes = pages.read(number, ["doc_id", "reason"])
        yield outcomes.filter(pc.equal(outcomes["reason"], reason))["doc_id"]


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
