"""The source `deferred:BATCH`: links that an earlier batch left for later, in the shape of submissions.

Those that it did not try for reasons of our own (`outcome.UNTRIED`), as often as that happens; and once more
those that failed for reasons that may pass (`outcome.TRANSIENT`), so that dead hosts do not come for ever. A
link keeps its karma, whatever its rule, its submissions and the time it was first seen; so it passes again
where it passed before, and merges with what new submissions say of the same URL.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK, SUBMISSIONS
from pipeline.fetch.outcome import TRANSIENT, UNTRIED

SCHEME = "deferred:"
WARC = "warc:"  # of inputs that are WARC files: such a batch asks for nothing, and leaves nothing


def source(corpus: Corpus) -> dict[str, Any] | None:
    """What the last batch from the network left for later, as an input of the next; None for nothing."""
    batch = next(reversed(_fetched(corpus)), None)
    pages = Table(corpus, "pages", batch).sealed() if batch else None
    counts = pages.counts.get("fetch", {}) if pages else {}
    count = sum(counts.get(reason, 0) for reason in UNTRIED | TRANSIENT)
    if not pages or not count:
        return None
    digest = "-".join(part.checksum for part in pages.parts)
    return {"path": f"{SCHEME}{batch}", "bytes": count, "digest": digest}


def submissions(corpus: Corpus, path: str, counts: Counter[str]) -> Iterator[pa.Table]:
    """The links that a batch left as rows of SUBMISSIONS, a partition at a time; counted as `ok`.

    Holds 8 bytes for each link that failed for reasons that may pass in the batch before it.
    """
    batch = path.removeprefix(SCHEME)
    committed = _fetched(corpus)
    before = committed[committed.index(batch) - 1 : committed.index(batch)]
    failed = [_numbers(ids) for name in before for ids in _ended(corpus, name, TRANSIENT)]
    twice = np.sort(np.concatenate([np.empty(0, np.uint64), *failed]))
    both = zip(_ended(corpus, batch, UNTRIED), _ended(corpus, batch, TRANSIENT), strict=True)
    for number, (untried, transient) in enumerate(both):
        once = transient.filter(pa.array(~_among(_numbers(transient), twice)))
        links = Table(corpus, "links", batch).read(number)
        waiting = pa.chunked_array([*untried.chunks, *once.chunks], pa.string())
        links = links.filter(
            pc.and_(pc.equal(links["reason"], OK), pc.is_in(links["link_id"], value_set=waiting))
        )
        rows = [row for link in links.to_pylist() for row in _rows(link)]
        counts[OK] += len(rows)
        yield pa.Table.from_pylist(rows, schema=SUBMISSIONS)


def _fetched(corpus: Corpus) -> list[str]:
    """The committed batches whose pages came from the network, in order."""
    records = corpus.batches()
    return [
        name
        for name in corpus.committed()
        if not any(item["path"].startswith(WARC) for item in records[name].get("inputs", []))
    ]


def _ended(corpus: Corpus, batch: str, reasons: Collection[str]) -> Iterator[pa.ChunkedArray]:
    """The ids of the links that ended so, a partition at a time."""
    pages = Table(corpus, "pages", batch)
    seal = pages.sealed()
    for number in range(len(seal.parts) if seal else 0):
        outcomes = pages.read(number, ["doc_id", "reason"])
        wanted = pc.is_in(outcomes["reason"], value_set=pa.array(sorted(reasons)))
        yield outcomes.filter(wanted)["doc_id"]


def _numbers(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """The first 64 bits of the 128 of each id: no two links of a corpus are to be expected to share them."""
    return np.frombuffer(bytes.fromhex("".join(ids.to_pylist())), np.uint64)[::2]


def _among(values: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which values are in `known`, which is sorted."""
    places = np.searchsorted(known, values)
    return np.append(known, 0)[places] == values if len(known) else np.zeros(len(values), np.bool_)


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
