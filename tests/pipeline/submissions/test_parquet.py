"""Parquet: lists of links, and copies of Reddit dumps with whatever types."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus.schemas import SUBMISSIONS
from pipeline.errors import UserError
from pipeline.links.candidates import candidates
from pipeline.settings import Links
from pipeline.stages import links
from pipeline.submissions.sources import read

TIME = datetime(2017, 12, 1, 0, 0, 1, tzinfo=UTC)
SECONDS = 1_512_086_401


def load(path: Path, table: pa.Table | bytes, **options: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    if isinstance(table, bytes):
        path.write_bytes(table)
    else:
        pq.write_table(table, path, **options)
    counts: Counter[str] = Counter()
    batches = list(read(str(path), rows=1000, counts=counts))
    return pa.Table.from_batches(batches, schema=SUBMISSIONS).to_pylist(), counts


def pairs(rows: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    assert all(row["origin"] == "list" for row in rows)
    return [(row["url"], row["score"]) for row in rows]


# Lists


def test_a_list(tmp_path: Path) -> None:
    table = pa.table(
        {
            "title": ["a", "b", "c", "d"],
            "score": pa.array([3.0, float("nan"), 5.5, None]),
            "link": ["http://example.com/a", "http://example.com/b", "http://example.com/c", None],
            "created": pa.array([TIME] * 4, pa.timestamp("us", tz="UTC")),
        }
    )
    rows, counts = load(tmp_path / "table", table)
    assert pairs(rows) == [("http://example.com/a", 3), ("http://example.com/b", None)]
    assert rows[0]["created"] == TIME
    assert counts == {"ok": 2, "wrong_type": 1, "no_url": 1}


def test_without_urls(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no column named url or link .* among address, votes"):
        load(tmp_path / "table", pa.table({"address": ["a"], "votes": [1]}))


def test_a_damaged_file(tmp_path: Path) -> None:
    table = pa.table({"url": [f"http://example.com/{i**3}" for i in range(20_000)]})
    pq.write_table(table, tmp_path / "table", row_group_size=10_000, use_dictionary=False)
    data = bytearray((tmp_path / "table").read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 1000] = b"\xff" * 1000
    rows, counts = load(tmp_path / "table", bytes(data))
    assert counts["truncated"] == 1
    assert 10_000 <= len(rows) < 20_000
    with pytest.raises(UserError, match="not a readable Parquet file"):
        load(tmp_path / "table", bytes(data[:-100]))


def test_a_corpus_own_table_is_a_source(tmp_path: Path) -> None:
    row = {
        "submission_id": "abc",
        "url": "http://example.com/a",
        "score": 3,
        "origin": "list",
        "subreddit": "news",
        "created": TIME,
        "is_self": True,
        "over_18": True,
    }
    assert load(tmp_path / "table", pa.Table.from_pylist([row], schema=SUBMISSIONS))[0] == [row]


# Copies of dumps

DUMP: dict[str, Any] = {
    "author": ["x", "y", "z", "w"],
    "created_utc": [SECONDS] * 4,
    "domain": ["example.com", "self.news", "example.com", "example.com"],
    "id": ["7gr8ja", "7gr8jb", "7gr8jc", "7gr8jd"],
    "is_self": [False, True, False, False],
    "over_18": [False, False, True, False],
    "promoted": [None, None, None, True],
    "score": [12, 7, None, 50],
    "subreddit": ["news", "news", "pics", "news"],
    "url": [
        "http://example.com/a",
        "https://www.reddit.com/r/news/b",
        "http://example.com/c",
        "http://ad.com",
    ],
}
ROWS = [
    ("7gr8ja", "http://example.com/a", 12, "reddit", "news", TIME, False, False),
    ("7gr8jb", "https://www.reddit.com/r/news/b", 7, "reddit", "news", TIME, True, False),
    ("7gr8jc", "http://example.com/c", None, "reddit", "pics", TIME, False, True),
]


def dump(**columns: Any) -> pa.Table:
    """DUMP with other columns; `...` leaves one out."""
    return pa.table({name: column for name, column in (DUMP | columns).items() if column is not ...})


def text(*names: str, kind: pa.DataType) -> dict[str, Any]:
    return {
        name: pa.array([None if v is None else str(v) for v in DUMP[name]], pa.string()).cast(kind)
        for name in names
    }


TEXTS = ("id", "url", "subreddit", "domain")
FLAGS = ("is_self", "over_18", "promoted")


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"is_self": ...},  # then the domain tells
        {"id": ..., "name": ["t3_" + id_ for id_ in DUMP["id"]]},
        {"id": ["t3_" + id_ for id_ in DUMP["id"]]},
        {"created_utc": pa.array([SECONDS] * 4, pa.timestamp("s"))},
        {"created_utc": pa.array([SECONDS * 1000] * 4, pa.timestamp("ms", tz="America/New_York"))},
        {"created_utc": pa.array([SECONDS * 10**9] * 4, pa.timestamp("ns", tz="UTC"))},
        {"created_utc": pa.array([float(SECONDS)] * 4)},
        {"created_utc": pa.array([Decimal(SECONDS)] * 4)},
        {"created_utc": pa.array(["2017-12-01T00:00:01+00:00"] * 4)},
        {"score": pa.array([12.0, 7.0, float("nan"), 50.0])},
        {"score": pa.array([12, 7, None, 50], pa.int16())},
        {"score": pa.array(["12", "7", "", "50"])},
        {"is_self": pa.array([0, 1, 0, None], pa.int8())},
        text(*TEXTS, "created_utc", "score", *FLAGS, kind=pa.string()),
        text(*TEXTS, "created_utc", "score", *FLAGS, kind=pa.large_string()),
        text(*TEXTS, "created_utc", "score", *FLAGS, kind=pa.binary()),
        text(*TEXTS, "score", *FLAGS, kind=pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_a_copy_of_a_dump_is_read_as_the_dump(tmp_path: Path, columns: dict[str, Any]) -> None:
    rows, counts = load(tmp_path / "RS_2017-12.parquet", dump(**columns))
    assert [tuple(row.values()) for row in rows] == ROWS
    assert counts == {"ok": 3, "promoted": 1}


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.dictionary(pa.int8(), pa.large_string()), pa.large_binary()]
)
def test_text_as_a_writer_may_store_it(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {name: pa.array(DUMP[name], pa.string()).cast(kind) for name in ("url", "subreddit")}
    assert [tuple(row.values()) for row in load(tmp_path / "dump", dump(**columns))[0]] == ROWS


def test_types_may_change_from_file_to_file_and_rows_between_row_groups(tmp_path: Path) -> None:
    table = pa.concat_tables([dump()] * 500)
    rows, counts = load(tmp_path / "dump", table, row_group_size=7)
    assert counts == {"ok": 1500, "promoted": 500}
    assert [tuple(row.values()) for row in rows] == ROWS * 500


def test_only_scores_that_are_there_pass_the_threshold(tmp_path: Path) -> None:
    """In a dump. On a list, what has no score was chosen by whoever made the list."""
    reasons = {}
    for name, table in (("dump", dump()), ("list", dump(created_utc=...))):
        load(tmp_path / name, table)
        rows = pa.Table.from_batches(read(str(tmp_path / name), rows=10, counts=Counter()))
        found, _ = candidates(rows, Links(over_18=True))
        merged, _ = links.merge(found, None, Links(over_18=True))
        reasons[name] = dict(zip(merged["url"].to_pylist(), merged["reason"].to_pylist(), strict=True))
    assert reasons["dump"] == {"http://example.com/a": "ok", "http://example.com/c": "no_score"}
    assert reasons["list"] == {"http://example.com/a": "ok", "http://example.com/c": "ok"}


@pytest.mark.parametrize(
    ("change", "origin"),
    [
        ({}, "reddit"),
        ({"domain": ..., "promoted": ..., "is_self": ..., "author": ...}, "reddit"),
        ({"id": ..., "name": DUMP["id"]}, "reddit"),
        ({"id": ...}, "list"),
        ({"subreddit": ...}, "list"),
        ({"score": ...}, "list"),
        ({"score": ..., "karma": DUMP["score"]}, "list"),
        ({"created_utc": ..., "created": DUMP["created_utc"]}, "list"),
    ],
)
def test_the_columns_tell_a_dump_from_a_list(tmp_path: Path, change: dict[str, Any], origin: str) -> None:
    rows, _ = load(tmp_path / "table", dump(**change))
    assert {row["origin"] for row in rows} == {origin}


def test_a_crosspost_leads_to_reddit(tmp_path: Path) -> None:
    urls = ["/r/news/comments/7gr8ja/a/", *DUMP["url"][1:]]
    assert load(tmp_path / "dump", dump(url=urls))[0][0]["url"] == "https://www.reddit.com" + urls[0]


@pytest.mark.parametrize(
    ("columns", "row", "reasons"),
    [
        (
            {"created_utc": pa.array([2**62] * 4, pa.timestamp("us"))},
            (*ROWS[0][:5], None, *ROWS[0][6:]),
            {"ok": 3, "promoted": 1},
        ),
        (
            {"created_utc": pa.array([date(2017, 12, 1)] * 4)},
            (*ROWS[0][:5], datetime(2017, 12, 1, tzinfo=UTC), *ROWS[0][6:]),
            {"ok": 3, "promoted": 1},
        ),
        (
            {"created_utc": pa.nulls(4)},
            (*ROWS[0][:5], None, *ROWS[0][6:]),
            {"ok": 3, "promoted": 1},
        ),
        (
            {"url": pa.array([b"http://example.com/\xff", None, b"", b"http://ad.com"])},
            (ROWS[0][0], "http://example.com/\ufffd", *ROWS[0][2:]),
            {"ok": 1, "no_url": 2, "promoted": 1},
        ),
        (
            {"score": pa.array(["12", "many", "1e400", "3"])},
            ROWS[0],
            {"ok": 1, "wrong_type": 2, "promoted": 1},
        ),
    ],
)
def test_what_cannot_be_used_is_null_or_counted(
    tmp_path: Path, columns: dict[str, Any], row: tuple[Any, ...], reasons: dict[str, int]
) -> None:
    rows, counts = load(tmp_path / "dump", dump(**columns))
    assert tuple(rows[0].values()) == row
    assert counts == reasons


def test_text_that_is_no_utf_8_costs_nothing_but_itself(tmp_path: Path) -> None:
    data = pa.py_buffer(b"http://e.org/\xffhttp://e.org/b")
    urls = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(_offsets(0, 14, 28)), data])
    rows, counts = load(tmp_path / "urls", pa.table({"url": urls}))
    assert pairs(rows) == [("http://e.org/\ufffd", None), ("http://e.org/b", None)]
    assert counts == {"ok": 2}


def _offsets(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)
