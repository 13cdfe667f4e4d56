import io
from collections.abc import Callable
from pathlib import Path

import fsspec
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import manifest, placement, reader
from shards.manifest import Header, Manifest, describe
from shards.reader import read_documents, read_texts
from shards.tokenizer import load
from tests.shards.test_writer import doc_id, documents, written


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two batches of a split, two shards each, and what else lies about."""
    train = tmp_path / "train"
    for batch, texts in (("2017-11", ["a", "b", "c", "d"]), ("2017-12", ["e", "f", "g", "h"])):
        (train / batch).mkdir(parents=True)
        table = documents(texts)
        shards = placement.shard_of(table["doc_id"], 2)
        for k in range(2):
            part = table.filter(pa.array(shards == k))
            (train / batch / placement.file_name("train", k, 2)).write_bytes(written(part, size=3))
        (train / batch / "manifest.json").write_text("{}")
        (train / batch / ".train-00000-of-00002.parquet").write_bytes(b"half")
    (train / "_unfinished").mkdir()
    (train / "_unfinished" / "train-00000-of-00001.parquet").write_bytes(b"half")
    return train


def test_reads_all_batches_in_order_of_their_names(corpus: Path) -> None:
    texts = [text for _, _, text in read_texts(str(corpus))]
    order = sorted(range(4), key=doc_id)
    assert texts == ["abcd"[n] for n in order] + ["efgh"[n] for n in order]
    assert [text for _, _, text in read_texts(str(corpus / "2017-12"))] == texts[4:]


def test_reads_any_fsspec_path(corpus: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(corpus), "/shards-test", recursive=True)
    try:
        want = [(d, u, ids.tolist()) for d, u, ids in read_documents(str(corpus))]
        assert [(d, u, ids.tolist()) for d, u, ids in read_documents("memory://shards-test")] == want
        assert len(want) == 8
    finally:
        memory.rm("/shards-test", recursive=True)


def test_ids_are_views_of_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(written(documents(["one two", "three four"]), size=1000))
    (_, _, first), (_, _, second) = read_documents(str(path))
    assert np.shares_memory(first.base, second.base) or first.base is second.base
    assert not first.flags.writeable


@pytest.mark.parametrize("read", [read_documents, read_texts])
def test_nothing_there(read: Callable[[str], object], tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match="no shards"):
            list(read(str(path)))  # type: ignore[call-overload]


def foreign(metadata: dict[bytes, bytes]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}).replace_schema_metadata(metadata), file)
    return file.getvalue()


def header(**changes: object) -> dict[bytes, bytes]:
    good = Header(
        tokenizer="gpt2",
        vocabulary="0",
        dtype="uint16",
        end_of_text=50256,
        split="train",
        documents=1,
        tokens=2,
    )
    return msgspec.structs.replace(good, **changes).encode()


SHARD = written(documents(["one two three " * 50, "four"]), size=1000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable Parquet file"),
        (b"hello" * 100, "not a readable Parquet file"),
        (SHARD[:-1], "not a readable Parquet file"),
        (SHARD[: len(SHARD) // 2], "not a readable Parquet file"),
        (foreign({}), "a Parquet file, but not a shard"),
        (foreign({b"shards": b"{}"}), "not the header of shards: .*missing required field"),
        (foreign({b"shards": b"\xff"}), "not the header of shards"),
        (foreign(header(format=2)), "shards of format 2, this version reads format 1"),
        (foreign(header(documents=7)), "the header counts 7 documents, the file has 1"),
        (foreign(header()), "no column tokens.list.element in the shard, but text"),
    ],
)
def test_what_is_not_a_shard(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"train-00000-of-00001.parquet: {message}"):
        list(read_documents(str(path)))


def test_damaged_pages_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rng = np.random.default_rng(0)
    ids = [*rng.integers(0, 50256, 5000).tolist(), 50256]
    table = documents(["x"]).set_column(
        3, "tokens", pa.array([np.array(ids, "<u2").tobytes()], pa.large_binary())
    )
    data = bytearray(written(table))
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="row group 0 cannot be read"):
        list(read_documents(str(path)))


def test_shards_of_another_vocabulary(corpus: Path) -> None:
    path = corpus / "2017-12" / "train-00001-of-00002.parquet"
    table = pq.read_table(path)
    other = msgspec.structs.replace(Header.of(pq.ParquetFile(path).metadata, ""), vocabulary="f00")
    pq.write_table(table.replace_schema_metadata(other.encode()), path)
    with pytest.raises(ValueError, match=r"train-00001-of-00002.parquet: ids of gpt2 \(f00\), in .* of gpt2"):
        list(read_documents(str(corpus)))
    assert list(read_documents(str(path)))
    with pytest.raises(ValueError, match="ids of a vocabulary f00, gpt2 here has"):
        list(read_texts(str(path)))


def test_ids_of_another_width_than_the_header_says(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(written(documents(["a"])))
    table = pq.read_table(path)
    wide = table.set_column(3, "tokens", table["tokens"].cast(pa.list_(pa.uint32())))
    pq.write_table(wide, path)
    with pytest.raises(ValueError, match="ids are uint32, the header says uint16"):
        list(read_documents(str(path)))


def made_manifest(directory: Path) -> Manifest:
    described = [describe(name) for name in reader.find_shards(str(directory))[1]]
    return Manifest.of(
        described[0][0], split="train", batch="2017-12", files=[entry for _, entry in reversed(described)]
    )


def test_manifest(corpus: Path) -> None:
    made = made_manifest(corpus / "2017-12")
    assert (made.documents, made.tokens) == (4, 8)
    assert [file.name for file in made.files] == [placement.file_name("train", k, 2) for k in range(2)]
    assert made.vocabulary == load().checksum
    path = corpus / "2017-12" / manifest.NAME
    path.write_text(made.dumps())
    assert Manifest.loads(path.read_bytes(), str(path)) == made
    made.check(str(corpus / "2017-12"))
    assert made.dumps() == made_manifest(corpus / "2017-12").dumps()


def test_manifest_that_does_not_fit_its_files(corpus: Path) -> None:
    directory = corpus / "2017-12"
    made = made_manifest(directory)
    first, second = (directory / file.name for file in made.files)
    data = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(
        ValueError, match=r"train-00001-of-00002.parquet: not the file of the manifest \(.*sha256"
    ):
        made.check(str(directory))
    second.write_bytes(data[:100])
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        made.check(str(directory))
    second.unlink()
    with pytest.raises(FileNotFoundError):
        made.check(str(directory))
    second.write_bytes(data)
    with pytest.raises(ValueError, match=r"train, ids of gpt2 .*, the manifest says heldout, gpt2"):
        msgspec.structs.replace(made, split="heldout").check(str(directory))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"tokens": 8', '"tokens": 9'), "'tokens' is not the sum"),
        (('"format": 1', '"format": 2'), "shards of format 2"),
        (('"split": "train"', '"split": 3'), "not the manifest of shards: Expected `str`"),
        (("{", "["), "not the manifest of shards"),
    ],
)
def test_damaged_manifest(corpus: Path, change: tuple[str, str], message: str) -> None:
    text = made_manifest(corpus / "2017-12").dumps()
    assert change[0] in text
    with pytest.raises(ValueError, match=f"m.json: {message}"):
        Manifest.loads(text.replace(*change, 1), "m.json")
