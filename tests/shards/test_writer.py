import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import placement, writer
from shards.reader import read_documents, read_texts
from shards.tokenizer import load

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=12)
END = 50256


def doc_id(n: int) -> str:
    return hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest()


def documents(texts: list[str]) -> pa.Table:
    return pa.table(
        {
            "doc_id": [doc_id(n) for n in range(len(texts))],
            "url": [f"https://example.com/{n}" for n in range(len(texts))],
            "batch": ["2017-12"] * len(texts),
            "tokens": writer.tokenize(pa.array(texts, pa.large_string()), load()),
        },
        schema=writer.INPUT,
    )


def written(table: pa.Table, size: int = 100, split: str = "train") -> bytes:
    file = io.BytesIO()
    writer.write_shard(table, file, tokenizer=load(), split=split, tokens_per_row_group=size)
    return file.getvalue()


def with_tokens(*ids: list[int], dtype: Any = "<u2") -> pa.Table:
    data = [np.array(document, dtype).tobytes() for document in ids]
    return documents(["x"] * len(ids)).set_column(3, "tokens", pa.array(data, pa.large_binary()))


@given(TEXTS, st.integers(1, 200), st.randoms(use_true_random=False))
def test_round_trip(tmp_path_factory: Any, texts: list[str], size: int, rng: random.Random) -> None:
    path = tmp_path_factory.mktemp("shard") / "train-00000-of-00001.parquet"
    order = rng.sample(range(len(texts)), len(texts))
    table = documents(texts).take(pa.array(order, pa.int64()))
    info = writer.write_shard(table, path, tokenizer=load(), split="train", tokens_per_row_group=size)

    want = sorted((doc_id(n), f"https://example.com/{n}", text) for n, text in enumerate(texts))
    assert list(read_texts(str(path))) == want
    got = list(read_documents(str(path)))
    assert [ids.tolist() for _, _, ids in got] == [[*load().encode(text), END] for _, _, text in want]
    assert all(ids.dtype == np.uint16 for _, _, ids in got)
    assert info == (len(texts), sum(len(ids) for _, _, ids in got))


@given(TEXTS, st.randoms(use_true_random=False))
def test_same_documents_same_bytes(texts: list[str], rng: random.Random) -> None:
    table = documents(texts)
    order = rng.sample(range(len(texts)), len(texts))
    shuffled = pa.concat_tables([table.take(pa.array([i], pa.int64())) for i in order] or [table])
    assert written(shuffled) == written(table)


def test_arrow_types_that_a_shuffle_may_leave_behind_give_the_same_bytes() -> None:
    table = documents(["one", "two", "three"])
    other = pa.schema(
        [
            ("doc_id", pa.large_string()),
            ("url", pa.large_string()),
            ("batch", pa.large_string()),
            ("tokens", pa.binary()),
        ]
    )
    extra = table.cast(other).append_column("split", pa.array(["train"] * 3))
    assert written(extra.select(["tokens", "split", "batch", "url", "doc_id"])) == written(table)
    assert written(documents(["zero", "one", "two"]).slice(1)) == written(
        pa.Table.from_pylist(documents(["zero", "one", "two"]).slice(1).to_pylist(), writer.INPUT)
    )


def test_the_file_as_others_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(written(documents(["Hello world", ""])))
    table = pq.read_table(path)
    assert [f"{field.name}: {field.type}" for field in table.schema] == [
        "doc_id: string",
        "url: string",
        "batch: string",
        "tokens: list<element: uint16 not null>",
        "n_tokens: int32",
    ]
    rows = {row["url"]: row for row in table.to_pylist()}
    assert rows["https://example.com/0"]["tokens"] == [15496, 995, END]
    assert rows["https://example.com/0"]["n_tokens"] == 3
    assert rows["https://example.com/0"]["batch"] == "2017-12"
    assert rows["https://example.com/1"]["tokens"] == [END]

    frame = pd.read_parquet(path)
    assert frame["doc_id"].is_monotonic_increasing
    assert {tuple(ids) for ids in frame["tokens"]} == {(15496, 995, END), (END,)}
    assert frame["n_tokens"].tolist() == frame["tokens"].map(len).tolist()


def test_the_metadata() -> None:
    metadata = pq.ParquetFile(io.BytesIO(written(documents(["Hello world", ""]), split="heldout"))).metadata
    assert json.loads(metadata.metadata[b"shards"]) == {
        "format": 1,
        "tokenizer": "gpt2",
        "vocabulary": load().checksum,
        "dtype": "uint16",
        "end_of_text": END,
        "split": "heldout",
        "documents": 2,
        "tokens": 4,
    }
    group = metadata.row_group(0)
    assert group.sorting_columns == (pq.SortingColumn(0),)
    by_name = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {column.compression for column in by_name.values()} == {"ZSTD"}
    assert by_name["doc_id"].statistics.min == min(doc_id(0), doc_id(1))
    assert by_name["doc_id"].has_column_index
    assert by_name["tokens.list.element"].statistics is None


def test_row_groups_end_with_documents() -> None:
    lengths = [4, 4, 4, 50, 1, 1, 1, 9, 1]
    table = with_tokens(*([7] * (n - 1) + [END] for n in lengths))
    by_id = dict(zip(table["doc_id"].to_pylist(), lengths, strict=True))
    file = pq.ParquetFile(io.BytesIO(written(table, size=10)))
    groups = [file.read_row_group(g).column("doc_id").to_pylist() for g in range(file.num_row_groups)]
    start = 0
    sections = []
    for group in groups:
        for position, document in enumerate(group):
            sections.append((start // 10, position == 0))
            start += by_id[document]
    firsts = [section for section, first in sections if first]
    assert firsts == sorted({section for section, _ in sections})
    assert start == sum(lengths)
    assert file.num_row_groups > 2


def test_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    info = writer.write_shard(documents([]), path, tokenizer=load(), split="train", tokens_per_row_group=10)
    assert info == (0, 0)
    assert list(read_documents(str(path))) == []
    assert pd.read_parquet(path).columns.tolist() == ["doc_id", "url", "batch", "tokens", "n_tokens"]
    assert pq.read_table(path).schema.field("tokens").type.value_type == pa.uint16()


def test_the_largest_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(written(with_tokens([0, 50255, END])))
    [(_, _, ids)] = read_documents(str(path))
    assert ids.tolist() == [0, 50255, END]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (with_tokens([1, 2, END], [1, 2]), r"document [0-9a-f]{32} does not end with the end token"),
        (with_tokens([1, END, 2, END]), "has an end token inside"),
        (with_tokens([]), "has no tokens"),
        (with_tokens([50257, END]), "has an id beyond the vocabulary"),
        (with_tokens([65535, END]), "has an id beyond the vocabulary"),
        (with_tokens([1, 2, 3], dtype="u1"), "is not whole uint16 ids"),
        (pa.concat_tables([documents(["a"])] * 2), "more than once"),
        (documents(["a"]).drop_columns(["url", "batch"]), "no column url, batch"),
        (documents(["a"]).set_column(1, "url", pa.nulls(1, pa.string())), "nulls in column url"),
        (documents(["a"]).set_column(3, "tokens", pa.array([[1, 2]])), "wrong types"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses_what_is_not_documents(table: pa.Table, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(ValueError, match=message):
        writer.write_shard(table, path, tokenizer=load(), split="train", tokens_per_row_group=10)
    assert not path.exists()


@pytest.mark.parametrize("size", [0, 2**31])
def test_refuses_row_groups_that_a_list_column_cannot_hold(size: int) -> None:
    with pytest.raises(ValueError, match="tokens per row group"):
        written(documents(["a"]), size=size)


def test_tokenize_takes_chunks_and_slices_but_no_nulls() -> None:
    chunks = pa.chunked_array([["a", "b"], [], ["c"]], pa.string())
    want = writer.tokenize(pa.array(["a", "b", "c"]), load())
    assert writer.tokenize(chunks, load()) == want
    assert writer.tokenize(pa.array(["x", "a", "b", "c"])[1:], load()) == want
    assert want[0].as_py() == np.array([*load().encode("a"), END], "<u2").tobytes()
    assert writer.tokenize(pa.array([], pa.string()), load()).to_pylist() == []
    with pytest.raises(ValueError, match="1 of 2 texts to tokenize are null"):
        writer.tokenize(pa.array(["a", None]), load())


def test_plan_and_name() -> None:
    assert [placement.shard_count(total, 10) for total in (0, 1, 10, 11, 95)] == [1, 1, 1, 2, 10]
    assert placement.file_name("train", 0, 42) == "train-00000-of-00042.parquet"


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=20), st.integers(1, 2**32 - 1))
def test_shards_are_ranges_of_the_hash_space(ids: list[bytes], n: int) -> None:
    hexes = [i.hex() for i in ids]
    want = [int(h[:16], 16) * n >> 64 for h in hexes]
    assert placement.shard_of(hexes, n).tolist() == want
    assert placement.shard_of(pa.chunked_array([pa.array(hexes, pa.string())]), n).tolist() == want


def test_shards_have_about_equal_sizes() -> None:
    sizes = np.bincount(placement.shard_of([doc_id(n) for n in range(20_000)], 10))
    assert len(sizes) == 10
    assert sizes.min() > 1800
    assert sizes.max() < 2200


@pytest.mark.parametrize("wrong", ["", "0" * 31, "0" * 33, "A" * 32, " " * 32, "0" * 31 + "\n"])
def test_document_ids_of_another_form(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected 32 lower-case hexadecimal digits"):
        placement.shard_of([doc_id(1), wrong], 4)


def test_the_held_out_split() -> None:
    ids = [doc_id(n) for n in range(20_000)]
    heldout = placement.is_heldout(ids, 0.05)
    assert 900 < heldout.sum() < 1100
    assert (placement.is_heldout(pa.array(ids), 0.05) == heldout).all()
    assert not (heldout & ~placement.is_heldout(ids, 0.1)).any()  # a larger share only adds
    assert not placement.is_heldout(ids, 0.0).any()
    assert placement.is_heldout(ids, 1.0).all()
    # independent of the shard: every shard's range has its share
    shares = np.bincount(placement.shard_of(ids, 4)[heldout]) / np.bincount(placement.shard_of(ids, 4))
    assert (abs(shares - 0.05) < 0.015).all()
    # pinned: a corpus that grows must keep its split
    assert heldout[:100].nonzero()[0].tolist() == [9, 74]
