"""Links from elsewhere: tables (CSV, TSV) with a column of URLs, and plain lists of URLs.

Their rows have the origin "list": what is on such a list was chosen by whoever made it, so that a row without
a score passes the karma threshold.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.submissions.records import Row, parse

ORIGIN = "list"
NAMES = {  # Reddit's name of a field -> names of columns that stand for it, the best first
    "url": ("url", "link", "raw_url", "uri"),
    "score": ("score", "karma", "ups", "points"),
    "id": ("id", "submission_id", "name"),
    "subreddit": ("subreddit",),
    "created_utc": ("created_utc", "created", "date"),
    "is_self": ("is_self",),
    "over_18": ("over_18", "nsfw"),
    "promoted": ("promoted",),
    "domain": ("domain",),
}
DELIMITERS = "\t,;"
RECORD = 1 << 17  # characters that one record of a table may have: what an open quote may swallow
SCORE = re.compile(r"\s*-?\d+\s*", re.ASCII)


def columns(header: Sequence[str]) -> dict[str, int]:
    """Reddit's names of the columns that a header has -> their positions. Without "url" it is no header."""
    present = {name.strip(' "').lower(): position for position, name in enumerate(header)}
    return {
        field: next(present[name] for name in names if name in present)
        for field, names in NAMES.items()
        if not present.keys().isdisjoint(names)
    }


def delimiter(header: str) -> str | None:
    """The delimiter that makes a line the header of a table with a column of URLs, or None."""
    return next((mark for mark in DELIMITERS if "url" in columns(header.split(mark))), None)


def table(lines: Iterable[bytes | None], delimiter: str, counts: Counter[str]) -> Iterator[Row]:
    """The rows of a CSV or TSV file with a header; a quoted field may span lines.

    Counts one `ok` a row, and every line of what is no row as `empty_line`, `broken_line` (too long, or an
    open quote) or a reason of `records.parse`. The header is not counted.
    """
    record = _Record(_text(lines, counts))
    reader = csv.reader(record, delimiter=delimiter)
    header: dict[str, int] = {}
    while True:
        record.lines = record.size = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            counts["broken_line"] += record.lines
            continue
        if not any(cells):
            counts["empty_line"] += 1
        elif not header:
            header = columns(cells)
        else:
            row = parse({field: cells[i] for field, i in header.items() if i < len(cells)}, ORIGIN)
            if isinstance(row, str):
                counts[row] += record.lines
            else:
                counts["ok"] += 1
                yield row


def urls(lines: Iterable[bytes | None], comma: bool, counts: Counter[str]) -> Iterator[Row]:
    """The lines of a list: a URL, then perhaps a score after a tab or a space.

    comma: a comma may stand before the score as well. (In a single line, it may belong to the URL.)
    """
    for line in _text(lines, counts):
        text = line.strip()
        if not text:
            counts["empty_line"] += 1
            continue
        url, score = (comma and scored(text, ",")) or scored(text) or (text, None)
        row = parse({"url": url, "score": score}, ORIGIN)
        if isinstance(row, str):
            counts[row] += 1
        else:
            counts["ok"] += 1
            yield row


def scored(text: str, separator: str | None = None) -> tuple[str, str] | None:
    """The text before the last separator (by default white space) and the score after it, if it is one."""
    before, *score = text.rsplit(separator, 1)
    return (before.rstrip(), score[0]) if score and SCORE.fullmatch(score[0]) else None


class _Record:
    """Lines for a csv.reader, and how many of them the record that it reads has taken.

    The bound is kept here since that of `csv`, `field_size_limit`, is one for the process: libraries lift it.
    """

    def __init__(self, source: Iterator[str]) -> None:
        self.source = source
        self.lines = self.size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.source)
        self.lines += 1
        self.size += len(line)
        if self.size > RECORD:
            raise csv.Error(f"a record of more than {RECORD} characters")
        return line


def _text(lines: Iterable[bytes | None], counts: Counter[str]) -> Iterator[str]:
    for line in lines:
        if line is None:
            counts["broken_line"] += 1
        else:
            yield line.decode("utf-8", "replace") + "\n"
