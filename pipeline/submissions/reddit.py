"""The source `reddit:NAME,…`: submissions from Reddit's API, continued from batch to batch.

    reddit_chunks/<batch>/00000.parquet   rows of `tables.SUBMISSIONS`; as metadata, where the reading stood
    reddit/<batch>/pending.parquet        submissions that are too young to be judged
    reddit/<batch>/state.json             written last: the next id of the scan

Reading happens in the process that was given the credentials, one request at a time, as Reddit's limits are
for each account. A chunk is committed every CHECKPOINT ids, or with each listing: an interrupted reading goes
on behind the last one. Scores grow for a day or two. What is younger than `reddit.mature_after` waits in
`pending` until a later batch asks for its score again.
"""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus import Corpus
from pipeline.errors import UserError
from pipeline.settings import Fetch, Reddit, Settings, fingerprint
from pipeline.submissions.records import Row, batches, parse
from pipeline.submissions.reddit_api import BLOCK, Api, Refused, Trouble
from pipeline.tables import SUBMISSIONS, TIME

SCHEME = "reddit:"
CHECKPOINT = 50 * BLOCK  # ids: about a minute of Reddit's time
METADATA = b"reddit"
PENDING = pa.schema([("submission_id", pa.string()), ("created", TIME)])
TIMED = ("top", "controversial")


def identify(path: str, settings: Settings) -> dict[str, Any]:
    """What tells one request to Reddit from another; asks Reddit whether it accepts the credentials.

    Raises UserError.
    """
    api = Api(settings.reddit, settings.fetch)
    try:
        api.check()
    except (Trouble, Refused) as error:
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


@dataclass
class _Chunk:
    """What was read since the last commit."""

    rows: list[Row] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)  # id -> milliseconds since 1970
    counts: Counter[str] = field(default_factory=Counter)


def gather(corpus: Corpus, batch: str, path: str, settings: Reddit, fetch: Fetch) -> None:
    """Reads what `path` names into the chunks of a batch, behind those that are there.

    Counts, beside the outcomes of `records.parse`: `pending`; `no_submission` (an id that Reddit does not
    know, or whose submission is gone); `other_subreddit`; and one for each listing that failed, under the
    reason of `Refused` or `Trouble`. Holds the ids of all pending submissions, about 150 bytes each.
    Raises UserError when Reddit cannot be read on: the same command continues.
    """
    if corpus.exists(f"reddit/{batch}/state.json"):
        return
    reading = _Reading(corpus, batch, settings, path)
    api = Api(settings, fetch)
    try:
        reading.run(api)
    finally:
        api.close()


def chunks(corpus: Corpus, batch: str, counts: Counter[str]) -> Iterator[pa.Table]:
    """The rows of a batch that was gathered, a chunk at a time."""
    for name in _names(corpus, batch):
        table, state = _read(corpus, batch, name)
        counts.update(state["counts"])
        yield table


class _Reading:
    def __init__(self, corpus: Corpus, batch: str, settings: Reddit, path: str) -> None:
        self._corpus = corpus
        self._batch = batch
        self._settings = settings
        self._names = path.removeprefix(SCHEME).split(",")
        self._before = _before(corpus)
        self._next: int | None = self._before["next"]  # of the scan
        self._number = 0
        self._chunk = _Chunk()

    def run(self, api: Api) -> None:
        step, cursor = self._resume()
        steps = list(self._steps())
        for number in range(step, len(steps)):
            if steps[number].kind in ("pending", "scan"):
                self._by_ids(api, steps[number].kind, number, cursor)
            else:
                self._listed(api, steps[number])
            self._commit(number + 1, None)
            cursor = None
        self._finish()

    def _steps(self) -> Iterator[Step]:
        settings = self._settings
        yield Step("pending")
        if settings.scan:
            yield Step("scan")
            return
        for name in self._names:
            for kind in settings.listings:
                filters = settings.time_filters if kind in TIMED else [None]
                yield from (Step(kind, name, time_filter) for time_filter in filters)
            yield from (Step("search", name, query) for query in settings.search)

    def _resume(self) -> tuple[int, str | None]:
        """The step and the id behind the last chunk."""
        names = _names(self._corpus, self._batch)
        if not names:
            return 0, None
        state = _read(self._corpus, self._batch, names[-1])[1]
        self._number = len(names)
        self._next = state["next"]
        return state["step"], state["cursor"]

    def _listed(self, api: Api, step: Step) -> None:
        limit = self._settings.limit
        try:
            if step.kind == "search":
                found = api.search(step.subreddit, step.argument or "", limit)
            else:
                found = api.listing(step.subreddit, step.kind, step.argument, limit)
            for record in found:
                self._take(record)
        except (Refused, Trouble) as error:
            self._chunk.counts[error.reason] += 1

    def _by_ids(self, api: Api, kind: str, step: int, cursor: str | None) -> None:
        """Asks for ids in their order, from `cursor` on, committing on the way."""
        try:
            ids = self._pending(cursor) if kind == "pending" else self._range(api, cursor)
            since = 0
            while block := list(itertools.islice(ids, BLOCK)):
                found = api.by_id(block)
                if kind == "scan" and self._settings.open_end and any(map(self._young, found)):
                    return
                self._chunk.counts["no_submission"] += len(block) - len(found)
                for record in found:
                    if kind == "scan" and not self._wanted(record):
                        self._chunk.counts["other_subreddit"] += 1
                    else:
                        self._take(record)
                following = _base36(int(block[-1], 36) + 1)
                if kind == "scan" and self._settings.open_end:
                    self._next = int(following, 36)
                since += len(block)
                if since >= CHECKPOINT:
                    self._commit(step, following)
                    since = 0
        except (Refused, Trouble) as error:
            raise UserError(
                f"Reddit cannot be read on ({error}); what was read is kept, the same command continues"
            ) from error

    def _pending(self, cursor: str | None) -> Iterator[str]:
        """Ids of earlier batches that have matured, in the order of their numbers; the others wait on."""
        mature = []
        for id_, created in self._before["pending"].items():
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
        elif self._settings.open_end and self._before["next"]:
            start = max(start, self._before["next"])
        end = int(last, 36) if last else api.newest() or 0
        return map(_base36, range(start, end + 1))

    def _take(self, record: dict[str, Any]) -> None:
        row = parse(record, "reddit")
        if isinstance(row, str):
            self._chunk.counts[row] += 1
        elif self._is_young(row.created):
            self._chunk.pending[row.submission_id] = row.created or 0
            self._chunk.counts["pending"] += 1
        else:
            self._chunk.rows.append(row)
            self._chunk.counts["ok"] += 1

    def _young(self, record: dict[str, Any]) -> bool:
        row = parse(record, "reddit")
        return isinstance(row, Row) and self._is_young(row.created)

    def _is_young(self, created: int | None) -> bool:
        return created is not None and created / 1000 > time.time() - self._settings.mature_after

    def _wanted(self, record: dict[str, Any]) -> bool:
        names = {name.lower() for name in self._names}
        return "all" in names or record["subreddit"].lower() in names

    def _commit(self, step: int, cursor: str | None) -> None:
        chunk, self._chunk = self._chunk, _Chunk()
        state = {
            "step": step,
            "cursor": cursor,
            "next": self._next,
            "counts": dict(+chunk.counts),
            "pending": chunk.pending,
        }
        table = pa.Table.from_batches(batches(chunk.rows, CHECKPOINT), SUBMISSIONS)
        table = table.replace_schema_metadata({METADATA: json.dumps(state)})
        with self._corpus.writing(f"reddit_chunks/{self._batch}/{self._number:05d}.parquet") as target:
            pq.write_table(table, target, compression="zstd")
        self._number += 1

    def _finish(self) -> None:
        pending: dict[str, int] = {}
        for name in _names(self._corpus, self._batch):
            pending |= _read(self._corpus, self._batch, name)[1]["pending"]
        columns = [pa.array(pending.keys(), pa.string()), pa.array(pending.values(), TIME)]
        with self._corpus.writing(f"reddit/{self._batch}/pending.parquet") as target:
            pq.write_table(pa.table(columns, schema=PENDING), target, compression="zstd")
        self._corpus.write_json(f"reddit/{self._batch}/state.json", {"next": self._next})


def _before(corpus: Corpus) -> dict[str, Any]:
    """Where the last committed batch that read Reddit left off."""
    for batch in reversed(corpus.committed()):
        state = corpus.read_json(f"reddit/{batch}/state.json")
        if state is not None:
            with corpus.fs.open(corpus.path(f"reddit/{batch}/pending.parquet"), "rb") as file:
                table = pq.read_table(file)
            created = table["created"].cast(pa.int64()).to_pylist()
            return state | {"pending": dict(zip(table["submission_id"].to_pylist(), created, strict=True))}
    return {"next": None, "pending": {}}


def _names(corpus: Corpus, batch: str) -> list[str]:
    names = corpus.names(f"reddit_chunks/{batch}")
    return [name for name in names if PurePosixPath(name).suffix == ".parquet" and name[0] != "."]


def _read(corpus: Corpus, batch: str, name: str) -> tuple[pa.Table, dict[str, Any]]:
    with corpus.fs.open(corpus.path(f"reddit_chunks/{batch}/{name}"), "rb") as file:
        table = pq.read_table(file)
    state: dict[str, Any] = json.loads(table.schema.metadata[METADATA])
    return table.replace_schema_metadata(), state


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def source(names: Sequence[str]) -> str:
    """The path of an input that reads these subreddits. Raises UserError for what is no name of one."""
    for name in names:
        if not (name.isascii() and name.replace("_", "").isalnum() and 2 <= len(name) <= 21):
            raise UserError(f"--reddit {name}: expected names of subreddits, without r/, or 'all'")
    return SCHEME + ",".join(dict.fromkeys(name.lower() for name in names))
