import bz2
import gzip
import json
import lzma
import tracemalloc
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline import demo
from pipeline.corpus.schemas import SUBMISSIONS
from pipeline.errors import UserError
from pipeline.submissions.dumps import rows as parse_lines
from pipeline.submissions.sources import read
from pipeline.submissions.stream import READ, lines
from tests.shared import SAMPLE, SHARED, private

ERAS = SAMPLE / "submissions/eras.ndjson"
REDDIT = SHARED / "reddit"
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": lambda data: bz2.compress(data, compresslevel=1),  # blocks of 100 kB
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
USUAL = {
    "id": "87",
    "url": "http://example.com/a",
    "score": 3,
    "subreddit": "reddit.com",
    "created_utc": 1119552233,
    "is_self": False,
    "over_18": False,
}


def dump(n: int) -> bytes:
    records = ({**USUAL, "id": str(i), "title": f"{i * 7919} é {i**5}"} for i in range(n))
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def load(path: Path, content: bytes | None = None, rows: int = 1000) -> tuple[pa.Table, Counter[str]]:
    if content is not None:
        path.write_bytes(content)
    counts: Counter[str] = Counter()
    batches = list(read(str(path), rows=rows, counts=counts))
    return pa.Table.from_batches(batches, schema=SUBMISSIONS), counts


def one(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    record = {key: value for key, value in {**USUAL, **fields}.items() if value is not ...}
    table, counts = load(tmp_path / "one", json.dumps(record).encode())
    assert counts == {"ok": 1}
    row: dict[str, Any] = table.to_pylist()[0]
    return row


# Containers


def test_a_usual_record(tmp_path: Path) -> None:
    assert one(tmp_path) == {
        "submission_id": "87",
        "url": "http://example.com/a",
        "score": 3,
        "origin": "reddit",
        "subreddit": "reddit.com",
        "created": datetime(2005, 6, 23, 18, 43, 53, tzinfo=UTC),
        "is_self": False,
        "over_18": False,
    }


def test_batches_have_the_schema_and_at_most_so_many_rows(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(dump(25))
    batches = list(read(str(tmp_path / "dump"), rows=10, counts=Counter()))
    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    assert all(batch.schema == SUBMISSIONS for batch in batches)


@pytest.mark.parametrize("extension", COMPRESSORS)
@pytest.mark.parametrize("name", ["dump.{}", "named-like-nothing"])
def test_the_content_tells_the_compression(tmp_path: Path, extension: str, name: str) -> None:
    table, counts = load(tmp_path / name.format(extension), COMPRESSORS[extension](dump(3000)))
    assert counts == {"ok": 3000}
    assert table["submission_id"].to_pylist() == [str(i) for i in range(3000)]


@pytest.mark.parametrize("extension", COMPRESSORS)
def test_many_streams_in_one_file(tmp_path: Path, extension: str) -> None:
    data = dump(3000)
    parts = [data[start : start + 7001] for start in range(0, len(data), 7001)]
    _, counts = load(tmp_path / "dump", b"".join(map(COMPRESSORS[extension], parts)))
    assert counts == {"ok": 3000}


def test_zstd_metadata_frames_and_padding(tmp_path: Path) -> None:
    metadata = b"\x5e\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"
    frames = [COMPRESSORS["zst"](dump(10)) for _ in range(3)]
    _, counts = load(tmp_path / "dump", metadata + metadata.join(frames) + b"\0" * 9000)
    assert counts == {"ok": 30}


@pytest.mark.parametrize("window_log", [28, 31])
def test_zstd_windows_that_the_default_refuses(tmp_path: Path, window_log: int) -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    frame = bytearray(compressor.compress(dump(100)) + compressor.flush())
    frame[5] = (window_log - 10) << 3  # RFC 8878, section 3.1.1.1.2: as `zstd --long=31` on a large file
    with pytest.raises(zstandard.ZstdError, match="too much memory"):
        zstandard.ZstdDecompressor().decompressobj().decompress(bytes(frame))
    _, counts = load(tmp_path / "dump.zst", bytes(frame))
    assert counts == {"ok": 100}


def test_zstd_long_distance_matches(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True, threads=0)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = dump(30_000)
    _, counts = load(tmp_path / "dump.zst", compressor.compress(data + data) + compressor.flush())
    assert counts == {"ok": 60_000}


def test_any_fsspec_url() -> None:
    path = f"memory://{uuid.uuid4()}/RS_2017-12.zst"
    with fsspec.open(path, "wb") as file:
        file.write(COMPRESSORS["zst"](dump(10)))
    counts: Counter[str] = Counter()
    assert sum(batch.num_rows for batch in read(path, rows=3, counts=counts)) == 10
    assert counts == {"ok": 10}


# Damage


@pytest.mark.parametrize("extension", COMPRESSORS)
@pytest.mark.parametrize("part", [0.3, 0.7, 0.999])
def test_everything_before_a_cut_is_kept(tmp_path: Path, extension: str, part: float) -> None:
    compress = COMPRESSORS[extension]
    whole = compress(dump(5_000)) + compress(dump(5_000))
    table, counts = load(tmp_path / "dump", whole[: int(len(whole) * part)])
    kept = table["submission_id"].to_pylist()
    assert kept == [str(i % 5_000) for i in range(len(kept))]
    assert counts == {"ok": len(kept), "truncated": 1}
    assert len(kept) > 10_000 * part - 1_000  # the block that is cut: up to 128 kB


@given(cut=st.floats(0, 1), extension=st.sampled_from(sorted(COMPRESSORS)))
def test_a_cut_anywhere_loses_only_what_follows(
    tmp_path_factory: pytest.TempPathFactory, cut: float, extension: str
) -> None:
    whole = COMPRESSORS[extension](dump(200))
    end = int(len(whole) * cut)
    path = tmp_path_factory.getbasetemp() / "cut"
    try:
        table, counts = load(path, whole[:end])
    except UserError:  # nothing came before the cut
        assert end < len(whole)
    else:
        assert table["submission_id"].to_pylist() == [str(i) for i in range(table.num_rows)]
        assert counts == {"ok": table.num_rows} | ({"truncated": 1} if end < len(whole) else {})


@pytest.mark.parametrize("extension", COMPRESSORS)
def test_corruption_ends_the_file(tmp_path: Path, extension: str) -> None:
    compress = COMPRESSORS[extension]
    good, bad = compress(dump(5_000)), bytearray(compress(dump(5_000)))
    bad[len(bad) // 2 : len(bad) // 2 + 64] = b"\xff" * 64
    table, counts = load(tmp_path / "dump", good + bytes(bad) + good)
    assert counts["truncated"] == 1
    assert 4_900 < table.num_rows < 10_000
    assert table["submission_id"].to_pylist()[:4_900] == [str(i) for i in range(4_900)]


@pytest.mark.parametrize("extension", COMPRESSORS)
def test_garbage_after_the_end_is_reported(tmp_path: Path, extension: str) -> None:
    _, counts = load(tmp_path / "dump", COMPRESSORS[extension](dump(50)) + b"garbage " * 10)
    assert counts == {"ok": 50, "truncated": 1}


def test_a_last_line_without_an_end_counts(tmp_path: Path) -> None:
    assert load(tmp_path / "dump", dump(3).rstrip())[1] == {"ok": 3}
    assert load(tmp_path / "dump", dump(3)[:-9])[1] == {"ok": 2, "broken_line": 1}


def test_bom_crlf_nul_and_empty_lines(tmp_path: Path) -> None:
    a, b, c = dump(3).splitlines()
    content = b"\xef\xbb\xbf" + a + b"\r\n\r\n\n   \n" + b"\0" * 4096 + b + b"\n" + c + b"\0\0\r\n\0\0\n"
    table, counts = load(tmp_path / "dump", content)
    assert counts == {"ok": 3, "empty_line": 4}
    assert table["submission_id"].to_pylist() == ["0", "1", "2"]


@pytest.mark.parametrize(
    "line",
    [
        b"garbage \xff\xfe in the middle",
        b'{"id": "9", "url": "http://example.com", "sco',
        b"[1, 2]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_broken_line_costs_one_line(tmp_path: Path, line: bytes) -> None:
    a, b = dump(2).splitlines()
    assert load(tmp_path / "dump", b"\n".join([a, line, b]))[1] == {"ok": 2, "broken_line": 1}


@given(
    st.lists(
        st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" "))
        | st.dictionaries(
            st.sampled_from([*USUAL, "promoted", "name", "domain"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
        ).map(lambda record: json.dumps({**USUAL, **record}).encode())
    )
)
def test_every_line_has_one_outcome(content: list[bytes]) -> None:
    counts: Counter[str] = Counter()
    found = list(parse_lines(content, counts))
    assert counts.total() == len(content)
    assert counts["ok"] == len(found)
    pa.Table.from_pylist([row._asdict() for row in found], schema=SUBMISSIONS)


# Bounds


@given(
    st.lists(st.text("ab\r\n").map(str.encode)),
    st.integers(0, 5),
)
def test_lines_do_not_depend_on_the_chunks(chunks: list[bytes], longest: int) -> None:
    *whole, last = b"".join(chunks).split(b"\n")
    expected = [line.strip(b"\r") if len(line) <= longest else None for line in whole + [last] * bool(last)]
    assert list(lines(chunks, Counter(), longest)) == expected


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gigabyte_without_a_line_end_is_one_broken_line_and_not_in_memory() -> None:
    chunk = b"x" * 2**20

    def chunks() -> Iterator[bytes]:
        yield dump(1)
        yield from (chunk for _ in range(1024))
        yield b"\n" + dump(1)

    counts: Counter[str] = Counter()
    assert peak(lambda: list(parse_lines(lines(chunks(), counts), counts))) < 2**25
    assert counts == {"ok": 2, "broken_line": 1}


def test_a_decompression_bomb_is_not_in_memory(tmp_path: Path) -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    with (tmp_path / "bomb").open("wb") as file:
        file.write(compressor.compress(dump(1)))
        for _ in range(256):
            file.write(compressor.compress(b"\0" * 2**20))
        file.write(compressor.compress(b"\n" + dump(1)) + compressor.flush())
    assert (tmp_path / "bomb").stat().st_size < 2**16
    outcome: list[Counter[str]] = []
    assert peak(lambda: outcome.append(load(tmp_path / "bomb")[1])) < 2**27
    assert outcome == [{"ok": 2, "broken_line": 1}]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(COMPRESSORS["gz"](dump(2_000)))
    (tmp_path / "large").write_bytes(COMPRESSORS["gz"](dump(2_000)) * 20)

    def drain(name: str) -> Callable[[], object]:
        return lambda: [None for _ in read(str(tmp_path / name), rows=500, counts=Counter())]

    peak(drain("small"))  # imports
    assert (
        peak(drain("large")) < peak(drain("small")) + 2 * READ
    )  # which is little: 6 MB of JSON, 40,000 rows


# Years


@pytest.mark.parametrize("value", [1409529600, 1409529600.0, "1409529600", "1409529600.0"])
def test_created_in_all_its_forms(tmp_path: Path, value: object) -> None:
    assert one(tmp_path, created_utc=value)["created"] == datetime(2014, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [..., None, "", "yesterday", [], -1, 1e300, float("nan"), 10**30])
def test_a_submission_does_not_need_a_date(tmp_path: Path, value: object) -> None:
    assert one(tmp_path, created_utc=value)["created"] is None


@pytest.mark.parametrize(
    ("value", "score"), [(7, 7), (7.0, 7), ("7", 7), (-7, -7), (None, None), (..., None), ("", None)]
)
def test_scores(tmp_path: Path, value: object, score: int | None) -> None:
    assert one(tmp_path, score=value)["score"] == score


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"score": "many"}, "wrong_type"),
        ({"score": 2.5}, "wrong_type"),
        ({"score": 10**30}, "wrong_type"),
        ({"score": [3]}, "wrong_type"),
        ({"score": True}, "wrong_type"),
        ({"url": 5}, "wrong_type"),
        ({"url": ["http://example.com"]}, "wrong_type"),
        ({"url": None}, "no_url"),
        ({"url": ""}, "no_url"),
        ({"promoted": True}, "promoted"),
        ({"promoted": True, "url": None}, "promoted"),
    ],
)
def test_what_is_no_submission(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    record = json.dumps({**USUAL, **fields}).encode()
    assert load(tmp_path / "dump", dump(1) + record)[1] == {"ok": 1, reason: 1}


def test_fields_that_are_missing_or_null(tmp_path: Path) -> None:
    row = one(tmp_path, id=..., name="t3_abc", subreddit=None, is_self=..., over_18=None, promoted=None)
    assert (row["submission_id"], row["subreddit"], row["is_self"], row["over_18"]) == (
        "abc",
        "",
        False,
        False,
    )
    assert one(tmp_path, is_self=None, domain="self.test")["is_self"] is True
    assert one(tmp_path, over_18="true")["over_18"] is True


def test_a_crosspost_with_a_relative_link(tmp_path: Path) -> None:
    assert one(tmp_path, url="/r/a/comments/b/c/")["url"] == "https://www.reddit.com/r/a/comments/b/c/"


def test_half_a_surrogate_pair(tmp_path: Path) -> None:
    row = one(tmp_path, url="http://example.com/\ud83d", title="\ud83d")
    assert row["url"] == "http://example.com/?"


# What people get wrong


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not one record in it .the file is empty"),
        (b"\n\n", "not one record in it .empty_line: 2"),
        (b'{"broken\n{"broken', "not one record in it .broken_line: 2"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (gzip.compress(dump(1), mtime=0)[:12], "truncated: 1"),
        (b'[{"url": "http://example.com"}]', "a JSON array"),
        ("http://example.com\n".encode("utf-16"), "UTF-16"),
        (bytes(range(256)) * 10, "neither a dump"),
        (b"PAR1 but no more", "not a readable Parquet file"),
    ],
)
def test_an_unreadable_file_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / "dump", content)
    assert str(tmp_path / "dump") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere/RS_2017-12.zst", "no such file"),
        ("/", "is a directory"),
        ("nosuchprotocol://a/b", "cannot be opened"),
    ],
)
def test_a_path_that_cannot_be_opened(path: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read(path, rows=1, counts=Counter()))


# Whole dumps


def score_3(month: str) -> list[bytes]:
    return gzip.decompress((REDDIT / f"oracle-score3/RS_v2_{month}.urk.json-00.gz").read_bytes()).splitlines()


@pytest.mark.parametrize(
    ("path", "oracle", "lines", "kept"),
    [
        (ERAS, lambda: (ERAS.parent / "score3.jsonl").read_bytes().splitlines(), 32, 26),
        *private(
            (REDDIT / "RS_v2_2005-06.xz", partial(score_3, "2005-06"), 103, 83),
            (REDDIT / "RS_v2_2005-07.xz", partial(score_3, "2005-07"), 1079, 757),
        ),
    ],
)
def test_dumps_equal_the_oracle(path: Path, oracle: Callable[[], list[bytes]], lines: int, kept: int) -> None:
    """What another program (jq; an independent project) selects with a score of 3 or more."""
    table, counts = load(path)
    assert counts["ok"] == lines
    selected = table.filter(pc.greater_equal(table["score"], 3)).select(["url", "subreddit", "score"])
    expected = [json.loads(line) for line in oracle()]
    assert len(expected) == kept
    assert Counter(tuple(row.values()) for row in selected.to_pylist()) == Counter(
        (row["u"], row["r"], row["k"]) for row in expected
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (ERAS, {"ok": 32, "promoted": 1, "no_url": 1}),
        (demo.DUMP, {"ok": 131, "promoted": 1, "no_url": 1, "broken_line": 1}),
        *private(
            (REDDIT / "submissions_6_eras.ndjson", {"ok": 31}),
            (REDDIT / "praw_api_submissions.ndjson.zst", {"ok": 8296, "promoted": 5}),
            (REDDIT / "umbrae_links_sample.ndjson.zst", {"ok": 101_902}),
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_row_is_accounted_for(path: Path, expected: dict[str, int]) -> None:
    table, counts = load(path, rows=50_000)
    assert counts == expected
    assert table.num_rows == expected["ok"]
    assert all(table[column].null_count == 0 for column in ("url", "created", "submission_id"))
    assert table["score"].null_count <= 1
    assert min(table["created"].to_pylist()) > datetime(2005, 6, 1, tzinfo=UTC)
