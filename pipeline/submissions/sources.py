"""Where links come from: Reddit dumps, and lists of URLs made elsewhere.

A source is an iterator of record batches of schema `schemas.SUBMISSIONS` that counts what it could not use.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.submissions import dumps, parquet, url_lists, zst_blocks
from pipeline.submissions.records import Row, batches
from pipeline.submissions.stream import chunks, lines, open_file

SAMPLE = 20  # lines that tell the format
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
URL = re.compile(rb"\s*(https?:|//|[\w-]+(\.[\w-]+)+)", re.IGNORECASE)
NO_RECORD = {"truncated", "broken_line", "empty_line"}


def read(path: str, *, rows: int, counts: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Reads a dump or list: record batches of schema SUBMISSIONS, at most `rows` rows each.

    path: a local path or fsspec URL. The content tells the format: NDJSON, CSV or TSV with a header, a list
    of URLs with or without scores, each plain or compressed (zstd, gzip, xz, bzip2); Parquet; or Arctic
    Shift's `.zst_blocks`.
    counts: gets the number of records by outcome when the file has been read: `ok` for rows, otherwise a
    reason (see `dumps.rows`, `url_lists`, `parquet.rows`), and `truncated` if the file is cut off or corrupt.
    Holds one batch, and at most `stream.MAX_LINE` bytes of a line or `zst_blocks.MAX_BLOCK` of a block, in
    memory.
    Raises UserError if the file is missing, has no record, or has no format known here.
    """
    found: Counter[str] = Counter()
    with open_file(path) as file:
        try:
            yield from batches(_rows(path, file, rows, found), rows)
        finally:
            counts.update(found)
    if NO_RECORD.issuperset(found):
        what = ", ".join(f"{reason}: {count}" for reason, count in sorted(found.items()))
        raise UserError(f"{path}: not one record in it ({what or 'the file is empty'})")


def _rows(path: str, file: Any, size: int, counts: Counter[str]) -> Iterator[Row]:
    magic = file.read(8)
    file.seek(0)
    if magic.startswith(b"PAR1"):
        return parquet.rows(path, file, size, counts)
    if zst_blocks.is_zst_blocks(magic):
        return dumps.rows(zst_blocks.rows(file, counts), counts)
    stream = lines(chunks(file, counts), counts)
    sample = list(islice(stream, SAMPLE))
    stream = chain(sample, stream)
    filled = [line for line in sample if line and not line.isspace()]
    if not filled or any(line.lstrip().startswith(b"{") for line in filled):
        return dumps.rows(stream, counts)
    if filled[0].lstrip().startswith(b"["):
        raise UserError(f"{path}: a JSON array; make it one object a line, as with jq -c '.[]'")
    if magic.startswith(UTF_16):
        raise UserError(f"{path}: UTF-16 text; convert it, as with iconv -f UTF-16 -t UTF-8")
    texts = [line.decode("utf-8", "replace") for line in filled]
    if delimiter := url_lists.delimiter(texts[0]):
        return url_lists.table(stream, delimiter, counts)
    if any(map(URL.match, filled)):
        comma = all(url_lists.scored(text, ",") for text in texts)
        return url_lists.urls(stream, comma, counts)
    raise UserError(
        f"{path}: neither a dump (a JSON object a line), nor a table with a column 'url', nor a list of URLs"
    )
