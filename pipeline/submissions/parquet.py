"""Parquet: copies of Reddit dumps, and lists of links made elsewhere.

A file with the columns `score`, `subreddit`, `created_utc`, and `id` or `name` is a copy of a dump: its rows
have the origin "reddit" and are read as those of a dump, whatever types the copy has given the columns. Any
other file with a column of URLs is a list.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError, as_user_error
from pipeline.submissions import dumps, url_lists
from pipeline.submissions.records import Row, parse

__all__ = ["rows"]

_OF_DUMPS = {"score", "subreddit", "created_utc"}


def rows(path: str, file: Any, size: int, counts: Counter[str]) -> Iterator[Row]:
    """The rows of an open Parquet file, read `size` at a time.

    Counts each row as `ok` or under a reason of `records.parse`; where the file is damaged, one `truncated`.
    Raises UserError if the file cannot be read or has no column of URLs.
    """
    with as_user_error(f"{path}: not a readable Parquet file", (pa.ArrowException, OSError)):
        source = pq.ParquetFile(file)
    names = source.schema_arrow.names
    header = url_lists.columns(names)
    if "url" not in header:
        raise UserError(
            f"{path}: no column named {' or '.join(url_lists.NAMES['url'])} among {', '.join(names)}"
        )
    origin = _origin(names)
    selected = [names[i] for i in header.values()]
    try:
        for batch in source.iter_batches(batch_size=size, columns=selected):
            for cells in zip(*(_values(batch.column(name)) for name in selected), strict=True):
                row = parse(dict(zip(header, cells, strict=True)), origin)
                counts[row if isinstance(row, str) else "ok"] += 1
                if not isinstance(row, str):
                    yield row
    except (pa.ArrowException, OSError):
        counts["truncated"] += 1


def _origin(names: Sequence[str]) -> str:
    present = {name.lower() for name in names}
    dump = present >= _OF_DUMPS and not present.isdisjoint({"id", "name"})
    return dumps.ORIGIN if dump else url_lists.ORIGIN


def _values(column: pa.Array) -> list[Any]:
    """A column's values as `records.parse` takes them: times in seconds; text that is not UTF-8, mended."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    kind = column.type
    if pa.types.is_timestamp(kind):  # as numbers: datetime ends with the year 9999, Arrow's do not
        ticks = column.cast(pa.int64()).to_pylist()
        a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return [None if tick is None else tick / a_second for tick in ticks]
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        column = column.cast(pa.large_binary())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.binary())
    else:
        return list(column.to_pylist())
    return [None if text is None else text.decode("utf-8", "replace") for text in column.to_pylist()]
