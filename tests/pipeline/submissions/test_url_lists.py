import csv
import gzip
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.corpus.schemas import SUBMISSIONS
from pipeline.errors import UserError
from pipeline.submissions.sources import read


def load(path: Path, content: str | bytes | None = None) -> tuple[list[dict[str, Any]], Counter[str]]:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    counts: Counter[str] = Counter()
    batches = list(read(str(path), rows=1000, counts=counts))
    return pa.Table.from_batches(batches, schema=SUBMISSIONS).to_pylist(), counts


def pairs(rows: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    assert all(row["origin"] == "list" for row in rows)
    return [(row["url"], row["score"]) for row in rows]


# Lists of URLs


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_plain_list(tmp_path: Path, compress: Any) -> None:
    text = "\ufeffhttp://example.com/a\r\n\r\n  https://example.org/b?c=d,e \nexample.net/without-scheme"
    rows, counts = load(tmp_path / "urls", compress(text.encode()))
    assert pairs(rows) == [
        ("http://example.com/a", None),
        ("https://example.org/b?c=d,e", None),
        ("example.net/without-scheme", None),
    ]
    assert counts == {"ok": 3, "empty_line": 1}


@pytest.mark.parametrize("separator", ["\t", " ", "   ", ",", ", "])
def test_a_list_with_scores(tmp_path: Path, separator: str) -> None:
    rows, _ = load(
        tmp_path / "urls", f"http://example.com/a{separator}12\nhttp://example.com/b,3{separator}-4\n"
    )
    assert pairs(rows) == [("http://example.com/a", 12), ("http://example.com/b,3", -4)]


def test_the_score_is_optional_in_every_line(tmp_path: Path) -> None:
    rows, _ = load(tmp_path / "urls", "http://example.com/a\t12\nhttp://example.com/b\n")
    assert pairs(rows) == [("http://example.com/a", 12), ("http://example.com/b", None)]


def test_a_comma_is_a_separator_only_if_every_line_has_a_score(tmp_path: Path) -> None:
    rows, _ = load(tmp_path / "urls", "http://example.com/story/0,12\nhttp://example.com/b\n")
    assert pairs(rows) == [("http://example.com/story/0,12", None), ("http://example.com/b", None)]


def test_a_broken_score_costs_its_line(tmp_path: Path) -> None:
    rows, counts = load(
        tmp_path / "urls", "http://example.com/a 99999999999999999999\nhttp://example.com/b 1\n"
    )
    assert pairs(rows) == [("http://example.com/b", 1)]
    assert counts == {"ok": 1, "wrong_type": 1}


def test_a_truncated_list_loses_the_url_that_was_cut(tmp_path: Path) -> None:
    urls = [f"http://example.com/{i**3}" for i in range(2000)]
    whole = gzip.compress("\n".join(urls).encode())
    rows, counts = load(tmp_path / "urls.gz", whole[: len(whole) // 2])
    assert [row["url"] for row in rows] == urls[: len(rows)]
    assert counts == {"ok": len(rows), "truncated": 1}
    assert rows


# Tables


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_a_table_with_a_header(tmp_path: Path, delimiter: str) -> None:
    lines = [
        ("title", "URL", "Score", "subreddit", "id", "created_utc", "over_18"),
        ('"a ""quoted"" title"', "http://example.com/a", "12", "news", "t3_abc", "1409529600", "False"),
        ("b", "http://example.com/b", "", "", "", "2014-09-01T00:00:00Z", "true"),
    ]
    rows, counts = load(tmp_path / "table", "\n".join(map(delimiter.join, lines)))
    created = datetime(2014, 9, 1, tzinfo=UTC)
    common = {"origin": "list", "created": created, "is_self": False}
    assert rows == [
        {
            "submission_id": "abc",
            "url": "http://example.com/a",
            "score": 12,
            "subreddit": "news",
            "over_18": False,
            **common,
        },
        {
            "submission_id": "",
            "url": "http://example.com/b",
            "score": None,
            "subreddit": "",
            "over_18": True,
            **common,
        },
    ]
    assert counts == {"ok": 2}


def test_a_table_of_one_column(tmp_path: Path) -> None:
    assert pairs(load(tmp_path / "table", "url\nhttp://example.com/a,b;c\n")[0]) == [
        ("http://example.com/a,b;c", None)
    ]


def test_fields_that_span_lines(tmp_path: Path) -> None:
    rows, counts = load(
        tmp_path / "table", 'title,url\n"two\nlines",http://example.com/a\nb,http://example.com/b\n'
    )
    assert [row["url"] for row in rows] == ["http://example.com/a", "http://example.com/b"]
    assert counts == {"ok": 2}


def test_broken_rows_of_a_table(tmp_path: Path) -> None:
    content = "id,score,url\na,1,http://example.com/a\nb,2\n\nc,many,http://example.com/c\nd,4,\n\0e,5,http://example.com/e"
    rows, counts = load(tmp_path / "table", content)
    assert [row["score"] for row in rows] == [1, 5]
    assert counts == {"ok": 2, "no_url": 2, "empty_line": 1, "wrong_type": 1}


@pytest.mark.parametrize("limit", [1 << 17, sys.maxsize])  # the process's own: other libraries lift it
def test_an_open_quote_costs_the_lines_that_it_swallows_and_no_more(tmp_path: Path, limit: int) -> None:
    before = csv.field_size_limit(limit)
    swallowed = [f"title {i},http://example.com/{i}" for i in range(10_000)]
    content = "\n".join(["title,url", "a,http://example.com/a", '"open,http://example.com/b', *swallowed])
    try:
        rows, counts = load(tmp_path / "table", content)
    finally:
        csv.field_size_limit(before)
    assert counts.total() == 10_002
    assert counts["ok"] == len(rows) > 1000


def test_a_header_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not one record"):
        load(tmp_path / "table", "url,score\n")
