"""Arctic Shift's `.zst_blocks`."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.submissions import zst_blocks
from pipeline.submissions.sources import read


def number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def block(rows: Sequence[bytes], *, sized: bool = True, places: bytes | None = None) -> bytes:
    """A block as the format's own writer makes it."""
    table, offset = b"", 0
    for row in rows:
        table += number(offset) + number(len(row))
        offset += len(row)
    content = number(len(rows)) + (table if places is None else places) + b"".join(rows)
    data = zstandard.ZstdCompressor(write_content_size=sized).compress(content)
    return number(len(data)) + data


def submissions(start: int, end: int) -> list[bytes]:
    return [
        json.dumps({"id": str(n), "url": f"http://example.com/{n**3}", "score": n}).encode()
        for n in range(start, end)
    ]


def load(path: Path, content: bytes) -> tuple[list[str], Counter[str]]:
    path.write_bytes(content)
    counts: Counter[str] = Counter()
    found = [
        name
        for batch in read(str(path), rows=100, counts=counts)
        for name in batch["submission_id"].to_pylist()
    ]
    return found, counts


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("name", ["RS_2024-03.zst_blocks", "named-like-nothing"])
def test_every_row_of_every_block(tmp_path: Path, name: str, sized: bool) -> None:
    blocks = [block(submissions(n, n + 256), sized=sized) for n in range(0, 2560, 256)]
    found, counts = load(tmp_path / name, b"".join(blocks))
    assert found == [str(n) for n in range(2560)]
    assert counts == {"ok": 2560}


def test_rows_are_lines_of_a_dump(tmp_path: Path) -> None:
    a, b = submissions(0, 2)
    rows = [a + b"\r\n", b"", b"{broken", b"[1]", b + b"\n"]
    found, counts = load(tmp_path / "blocks", block(rows) + block([]))
    assert found == ["0", "1"]
    assert counts == {"ok": 2, "empty_line": 1, "broken_line": 2}


def test_rows_in_any_order_of_the_data(tmp_path: Path) -> None:
    a, b = submissions(0, 2)
    places = number(len(a)) + number(len(b)) + number(0) + number(len(a))
    assert load(tmp_path / "blocks", block([a, b], places=places))[0] == ["1", "0"]


@given(st.floats(0, 1))
def test_a_cut_anywhere_loses_its_block_and_what_follows(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    blocks = [block(submissions(n, n + 20)) for n in range(0, 100, 20)]
    whole = b"".join(blocks)
    end = int(len(whole) * cut)
    complete = sum(sum(map(len, blocks[: n + 1])) <= end for n in range(5))
    path = tmp_path_factory.getbasetemp() / "cut.zst_blocks"
    if complete == 0:
        with pytest.raises(UserError):
            load(path, whole[:end])
        return
    found, counts = load(path, whole[:end])
    assert found == [str(n) for n in range(20 * complete)]
    at_an_end = end == sum(map(len, blocks[:complete]))
    assert counts == {"ok": 20 * complete} | ({} if at_an_end else {"truncated": 1})


@pytest.mark.parametrize(
    "damaged",
    [
        number(2**32 - 1) + b"x" * 100,
        number(10) + b"not zstd..",
        block(submissions(0, 1), places=number(0) + number(10**6)),
        block([], places=b"")[:-1] + b"x",
        number(13) + zstandard.ZstdCompressor().compress(number(2**32 - 1)),
        number(12) + zstandard.ZstdCompressor().compress(b"abc"),
    ],
)
def test_damage_ends_the_file(tmp_path: Path, damaged: bytes) -> None:
    found, counts = load(
        tmp_path / "blocks", block(submissions(0, 10)) + damaged + block(submissions(10, 20))
    )
    assert found == [str(n) for n in range(10)]
    assert counts == {"ok": 10, "truncated": 1}


@pytest.mark.parametrize("sized", [True, False])
def test_a_block_that_expands_beyond_the_bound(
    tmp_path: Path, sized: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zst_blocks, "MAX_BLOCK", 1 << 16)
    good = block(submissions(0, 10), sized=sized)
    found, counts = load(tmp_path / "bomb", good + block([b"x" * (1 << 17)], sized=sized) + good)
    assert found == [str(n) for n in range(10)]
    assert counts == {"ok": 10, "truncated": 1}


def test_a_row_that_is_too_long_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zst_blocks, "MAX_LINE", 1000)
    a, b = submissions(0, 2)
    long = json.dumps({"id": "x", "url": "http://example.com", "title": "x" * 1000}).encode()
    assert load(tmp_path / "blocks", block([a, long, b])) == (["0", "1"], {"ok": 2, "broken_line": 1})
