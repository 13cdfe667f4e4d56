"""Reddit dumps (Pushshift, Arctic Shift): one JSON object a line, whose fields vary over the years."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from pipeline.submissions.records import MAX_SCORE, Row, milliseconds, parse

__all__ = ["ORIGIN", "rows"]

ORIGIN = "reddit"


class _CommonFields(msgspec.Struct, gc=False):
    """A submission as nearly all are; msgspec skips the other hundred fields without making objects."""

    id: str
    url: str
    score: Annotated[int, msgspec.Meta(gt=-MAX_SCORE, lt=MAX_SCORE)]
    subreddit: str
    created_utc: int | float | str
    is_self: bool
    over_18: bool
    promoted: bool = False


def rows(lines: Iterable[bytes | None], counts: Counter[str]) -> Iterator[Row]:
    """The submissions of the lines of a dump.

    Counts each line under one reason: `ok`, `empty_line`, `broken_line` (too long, not JSON, or not an
    object), and those of `records.parse`. The types of most lines are known, which makes them cheap; a line
    that does not fit is read again without expectations.
    """
    decode = msgspec.json.Decoder(_CommonFields).decode
    for line in lines:
        usual: _CommonFields | None
        row: Row | str
        try:
            usual = decode(line or b"")
        except (msgspec.DecodeError, RecursionError):
            usual = None
        if usual is None or usual.promoted or usual.url[:1] in "/":  # or empty
            row = _tolerant(line)
        else:
            row = Row(
                usual.id.removeprefix("t3_"),
                usual.url,
                usual.score,
                ORIGIN,
                usual.subreddit,
                milliseconds(usual.created_utc),
                usual.is_self,
                usual.over_18,
            )
        if isinstance(row, str):
            counts[row] += 1
        else:
            counts["ok"] += 1
            yield row


def _tolerant(line: bytes | None) -> Row | str:
    if line is None:
        return "broken_line"
    if not line.strip():
        return "empty_line"
    try:
        record = json.loads(line.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return "broken_line"
    return parse(record, ORIGIN) if isinstance(record, dict) else "broken_line"
