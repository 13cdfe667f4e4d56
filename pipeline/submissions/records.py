"""One record of any source -> one row of `schemas.SUBMISSIONS`, or the reason why there is none."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.corpus.schemas import SUBMISSIONS

__all__ = ["MAX_SCORE", "Row", "batches", "milliseconds", "parse"]

MAX_SCORE = 2**31  # beyond it a score is an error of the source, and sums could overflow
MAX_TIME = 253_402_300_800_000  # milliseconds of the year 10000


class Row(NamedTuple):
    """A row of `schemas.SUBMISSIONS`; `created` in milliseconds since 1970."""

    submission_id: str
    url: str
    score: int | None
    origin: str
    subreddit: str
    created: int | None
    is_self: bool
    over_18: bool


def batches(rows: Iterable[Row], size: int) -> Iterator[pa.RecordBatch]:
    """Record batches of schema SUBMISSIONS, of at most `size` rows each."""
    rows = iter(rows)
    while some := list(islice(rows, size)):
        columns = zip(*some, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SUBMISSIONS, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=SUBMISSIONS)


def parse(record: Mapping[str, Any], origin: str) -> Row | str:
    """A row of whatever the source gave, by Reddit's names, or the reason why it is none.

    Reasons: `promoted` (an advertisement: bought, not voted for), `no_url`, `wrong_type` (a URL that is not
    text, a score that is not a whole number). Other fields are not worth a submission: what is unusable
    becomes null, empty or false.
    """
    if flag(record.get("promoted")):
        return "promoted"
    url = record.get("url")
    if url is None or url == "":
        return "no_url"
    try:
        score = _score(record.get("score"))
    except (TypeError, ValueError):
        return "wrong_type"
    if not isinstance(url, str):
        return "wrong_type"
    if origin == "reddit" and url.startswith("/") and not url.startswith("//"):
        url = "https://www.reddit.com" + url  # the API's form of a crosspost's link
    is_self = record.get("is_self")
    if is_self is None:
        is_self = _text(record.get("domain")).startswith("self.")
    return Row(
        submission_id=_text(record.get("id") or record.get("name")).removeprefix("t3_"),
        url=_text(url),
        score=score,
        origin=origin,
        subreddit=_text(record.get("subreddit")),
        created=milliseconds(record.get("created_utc")),
        is_self=flag(is_self),
        over_18=flag(record.get("over_18")),
    )


def milliseconds(seconds: Any) -> int | None:
    """Milliseconds since 1970 of seconds in any form (number, text, datetime, ISO 8601), or None."""
    try:
        if isinstance(seconds, str) and not seconds.replace(".", "", 1).isdecimal():
            seconds = datetime.fromisoformat(seconds)
        if isinstance(seconds, datetime):
            aware = seconds if seconds.tzinfo else seconds.replace(tzinfo=UTC)
            seconds = aware.timestamp()
        time = round(float(seconds) * 1000)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if 0 < time < MAX_TIME else None


def flag(value: Any) -> bool:
    """The truth of a flag that may be a boolean, a number or its text; unknown text is false."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "t", "yes", "1", "1.0"}
    return value is not None and bool(value)


def _score(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise TypeError("a boolean is not a score")
    number = float(value)
    if math.isnan(number):  # pandas' missing value
        return None
    if not math.isfinite(number) or number != int(number) or abs(number) >= MAX_SCORE:
        raise ValueError(f"not a score: {value!r}")
    return int(number)


def _text(value: Any) -> str:
    """Text that Arrow can hold: JSON may escape half a surrogate pair."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
