"""The source `reddit:NAME,…`: submissions from Reddit's API, continued from batch to batch.

Reading happens in the process that was given the credentials, one request at a time, as Reddit's limits are
for each account. A chunk is committed every CHECKPOINT ids, or with each listing: an interrupted reading goes
on behind the last one. Scores grow for a day or two. What is younger than `reddit.mature_after` waits in
`pending` until a later batch asks for its score again.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.batch.progress import StageProgress
from pipeline.corpus.files import Corpus
from pipeline.errors import UserError
from pipeline.settings import Fetch, Reddit, Settings, fingerprint
from pipeline.submissions.records import Row, parse
from pipeline.submissions.reddit_api import BLOCK, Api, Refused, Unavailable
from pipeline.submissions.reddit_store import Chunk, EarlierReading, Position, Store, earlier_reading

__all__ = ["SCHEME", "collect", "identify", "source", "steps"]

SCHEME = "reddit:"
CHECKPOINT = 50 * BLOCK  # ids: about a minute of Reddit's time
TIMED = ("top", "controversial")


def identify(path: str, settings: Settings) -> dict[str, Any]:
    """What tells one request to Reddit from another; asks Reddit whether it accepts the credentials.

    Raises UserError.
    """
    api = Api(settings.reddit, settings.fetch)
    try:
        api.check()
    except (Unavailable, Refused) as error:
        raise UserError(f"Reddit cannot be read ({error}); try again later") from error
    finally:
        api.close()
    return {"path": path, "bytes": 0, "digest": fingerprint([path, settings.reddit.identity()])}


@dataclass(frozen=True)
class Step:
    """A part of the reading: `kind` is `pending`, `scan`, `search`, or a listing's name."""

    kind: str
    subreddit: str = ""
    argument: str | None = None  # the time filter, or the query


def steps(path: str, settings: Reddit) -> list[Step]:
    """The parts of the reading that a path asks for, in their order."""
    if settings.scan:
        return [Step("pending"), Step("scan")]
    found = [Step("pending")]
    for name in _subreddits(path):
        for kind in settings.listings:
            filters = settings.time_filters if kind in TIMED else [None]
            found += [Step(kind, name, time_filter) for time_filter in filters]
        found += [Step("search", name, query) for query in settings.search]
    return found


def collect(
    corpus: Corpus,
    batch: str,
    path: str,
    settings: Reddit,
    fetch: Fetch,
    progress: StageProgress | None = None,
) -> None:
    """Reads what `path` names into the chunks of a batch, behind those that are there.

    Counts, beside the outcomes of `records.parse`: `pending`; `no_submission` (an id that Reddit does not
    know, or whose submission is gone); `other_subreddit`; and one for each listing that failed, under the
    reason of `Refused` or `Unavailable`. Holds the ids of all pending submissions, about 150 bytes each.
    Raises UserError when Reddit cannot be read on: the same command continues.
    """
    store = Store(corpus, batch)
    if store.complete:
        return
    reading = _Reading(store, earlier_reading(corpus), settings, path, progress)
    api = Api(settings, fetch)
    try:
        reading.run(api)
    finally:
        api.close()


class _Reading:
    def __init__(
        self,
        store: Store,
        before: EarlierReading,
        settings: Reddit,
        path: str,
        progress: StageProgress | None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._names = _subreddits(path)
        self._steps = steps(path, settings)
        self._before = before
        self._next = before.next  # of the scan
        self._chunk = Chunk()
        self._progress = progress

    def run(self, api: Api) -> None:
        step, cursor, self._next = self._store.position() or Position(next=self._before.next)
        for number, part in enumerate(self._steps):
            if number >= step:
                if part.kind in ("pending", "scan"):
                    self._by_ids(api, part.kind, number, cursor)
                else:
                    self._listed(api, part)
                self._commit(number + 1, None)
                cursor = None
            if self._progress:
                self._progress.advance({})
        self._store.finish(self._next)

    def _listed(self, api: Api, step: Step) -> None:
        limit = self._settings.limit
        try:
            if step.kind == "search":
                found = api.search(step.subreddit, step.argument or "", limit)
            else:
                found = api.listing(step.subreddit, step.kind, step.argument, limit)
            for record in found:
                self._take(record)
        except (Refused, Unavailable) as error:
            self._count(error.reason)

    def _by_ids(self, api: Api, kind: str, step: int, cursor: str | None) -> None:
        """Asks for ids in their order, from `cursor` on, committing on the way."""
        try:
            ids = self._pending(cursor) if kind == "pending" else self._range(api, cursor)
            since = 0
            while block := list(itertools.islice(ids, BLOCK)):
                found = api.by_id(block)
                if kind == "scan" and self._settings.open_end and any(map(self._young, found)):
                    return
                self._count("no_submission", len(block) - len(found))
                for record in found:
                    if kind == "scan" and not self._wanted(record):
                        self._count("other_subreddit")
                    else:
                        self._take(record)
                following = _base36(int(block[-1], 36) + 1)
                if kind == "scan" and self._settings.open_end:
                    self._next = int(following, 36)
                since += len(block)
                if since >= CHECKPOINT:
                    self._commit(step, following)
                    since = 0
        except (Refused, Unavailable) as error:
            raise UserError(
                f"Reddit cannot be read on ({error}); what was read is kept, the same command continues"
            ) from error

    def _pending(self, cursor: str | None) -> Iterator[str]:
        """Ids of earlier batches that have matured, in the order of their numbers; the others wait on."""
        mature = []
        for id_, created in self._before.pending.items():
            if self._is_young(created):
                if cursor is None:  # else a chunk has it
                    self._chunk.pending[id_] = created
            else:
                mature.append(int(id_, 36))
        start = int(cursor, 36) if cursor else 0
        return map(_base36, sorted(number for number in mature if number >= start))

    def _range(self, api: Api, cursor: str | None) -> Iterator[str]:
        """The ids of the scan; an open one ends at the newest, or earlier (see `Reddit.scan`)."""
        first, _, last = (self._settings.scan or "").partition("-")
        start = int(first, 36)
        if cursor:
            start = int(cursor, 36)
        elif self._settings.open_end and self._before.next:
            start = max(start, self._before.next)
        end = int(last, 36) if last else api.newest() or 0
        return map(_base36, range(start, end + 1))

    def _take(self, record: dict[str, Any]) -> None:
        row = parse(record, "reddit")
        if isinstance(row, str):
            self._count(row)
        elif self._is_young(row.created):
            self._chunk.pending[row.submission_id] = row.created or 0
            self._count("pending")
        else:
            self._chunk.rows.append(row)
            self._count("ok")

    def _count(self, reason: str, number: int = 1) -> None:
        self._chunk.counts[reason] += number
        if self._progress and number:
            self._progress.show({reason: number})

    def _young(self, record: dict[str, Any]) -> bool:
        row = parse(record, "reddit")
        return isinstance(row, Row) and self._is_young(row.created)

    def _is_young(self, created: int | None) -> bool:
        return created is not None and created / 1000 > time.time() - self._settings.mature_after

    def _wanted(self, record: dict[str, Any]) -> bool:
        names = {name.lower() for name in self._names}
        return "all" in names or record["subreddit"].lower() in names

    def _commit(self, step: int, cursor: str | None) -> None:
        self._store.commit(self._chunk, Position(step, cursor, self._next))
        self._chunk = Chunk()


def _subreddits(path: str) -> list[str]:
    return path.removeprefix(SCHEME).split(",")


def _base36(number: int) -> str:
    """An id as Reddit writes it."""
    return np.base_repr(number, 36).lower()


def source(names: Sequence[str]) -> str:
    """The path of an input that reads these subreddits. Raises UserError for what is no name of one."""
    for name in names:
        if not (name.isascii() and name.replace("_", "").isalnum() and 2 <= len(name) <= 21):
            raise UserError(f"--reddit {name}: expected names of subreddits, without r/, or 'all'")
    return SCHEME + ",".join(dict.fromkeys(name.lower() for name in names))
