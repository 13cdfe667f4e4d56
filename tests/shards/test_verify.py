from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import manifest, placement, verify, writer
from shards.manifest import Header, Manifest, describe
from shards.tokenizer import load
from tests.shards.test_writer import doc_id

TEXTS = [f"Document {n}: naïve café, 中文, {'word ' * n}" for n in range(30)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two shards with their manifest, and the texts of their documents."""
    table = pa.table(
        {
            "doc_id": [doc_id(n) for n in range(30)],
            "url": ["http://example.com/"] * 30,
            "batch": ["b"] * 30,
            "tokens": writer.tokenize(pa.array(TEXTS), load()),
        }
    )
    directory = tmp_path / "shards" / "train" / "b"
    directory.mkdir(parents=True)
    numbers = placement.shard_of(table["doc_id"], 2)
    for shard in range(2):
        path = directory / placement.file_name("train", shard, 2)
        rows = table.filter(pa.array(numbers == shard))
        writer.write_shard(rows, path, tokenizer=load(), split="train", tokens_per_row_group=100)
    write_manifest(directory)
    (tmp_path / "documents").mkdir()
    texts = {"doc_id": [*table["doc_id"].to_pylist(), doc_id(99)], "text": [*TEXTS, None]}
    pq.write_table(pa.table(texts), tmp_path / "documents" / "part-00000.parquet")
    return tmp_path


def write_manifest(directory: Path) -> None:
    described = [describe(str(path)) for path in sorted(directory.glob("*.parquet"))]
    made = Manifest.of(described[0][0], split="train", batch="b", files=[file for _, file in described])
    (directory / manifest.NAME).write_text(made.dumps())


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = verify.main(list(arguments))
    return code, capsys.readouterr().out.splitlines()


def test_all_as_it_should_be(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(capsys, str(corpus / "shards"), "--texts", str(corpus / "documents"), "--all")
    tokens = sum(len(load().encode(text)) + 1 for text in TEXTS)
    assert lines == [f"2 shards, 30 documents, {tokens:,} tokens, 30 documents decoded: all as it should be"]
    assert code == 0
    code, lines = run(capsys, str(corpus / "shards"), "--sample", "6")
    assert "6 documents decoded: all as it should be" in lines[0]


def test_no_shards(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(corpus / "nowhere")]) == 2
    assert "no shards" in capsys.readouterr().err


def shard_of(corpus: Path) -> Path:
    return corpus / "shards" / "train" / "b" / "train-00000-of-00002.parquet"


def test_every_problem_is_named(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sorted(shard_of(corpus).parent.glob("*.parquet"))
    second.unlink()
    data = bytearray(first.read_bytes())
    data[len(data) // 3] ^= 1
    first.write_bytes(data)
    documents = pq.read_table(corpus / "documents")
    pq.write_table(documents.slice(0, 0), corpus / "documents" / "part-00000.parquet")
    code, lines = run(capsys, str(corpus / "shards"), "--texts", str(corpus / "documents"))
    assert code == 1
    assert f"{second}: in the manifest, but not there" in lines
    assert f"{first}: not the file of the manifest (sha256 differ)" in lines
    assert lines[-1].startswith("1 shards, 0 documents, 0 tokens, 0 documents decoded: 2 wrong")


def test_texts(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = pa.table({"doc_id": [doc_id(0), doc_id(1), doc_id(1)], "text": ["?", "?", TEXTS[1]]})
    pq.write_table(changed, corpus / "documents" / "part-00000.parquet")
    code, lines = run(capsys, str(corpus / "shards"), "--texts", str(corpus / "documents"), "--all")
    assert code == 1
    assert f"document {doc_id(0)}: the text is another one in {corpus / 'documents'}" in lines
    assert f"document {doc_id(2)}: no text to compare with in {corpus / 'documents'}" in lines
    assert not any(doc_id(1) in line for line in lines)
    pq.write_table(pa.table({"text": ["?"]}), corpus / "documents" / "part-00000.parquet")
    _, lines = run(capsys, str(corpus / "shards"), "--texts", str(corpus / "documents"))
    assert any("no columns doc_id and text to compare with" in line for line in lines)


def test_no_manifest(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shard_of(corpus).parent / manifest.NAME).write_text("{")
    code, lines = run(capsys, str(corpus / "shards"))
    assert code == 1
    assert "not the manifest of shards" in lines[0]
    (shard_of(corpus).parent / manifest.NAME).unlink()
    code, lines = run(capsys, str(corpus / "shards"))
    assert code == 1
    assert "missing, so counts and checksums have nothing to be compared with" in lines[0]


def ids(*documents: list[int]) -> pa.Array:
    return pa.array(documents, pa.list_(pa.field("element", pa.uint16(), nullable=False)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": ids([1, 2, 50256], [3, 4])}, f"document {'f' * 32} does not end with the end token"),
        ({"tokens": ids([1, 50256, 50256], [3, 50256])}, f"document {'e' * 32} has an end token inside"),
        (
            {"tokens": ids([1, 2, 50256], [60000, 50256])},
            f"document {'f' * 32} has an id beyond the vocabulary",
        ),
        ({"tokens": ids([1, 2, 50256], [])}, f"document {'f' * 32} has no tokens"),
        ({"n_tokens": pa.array([3, 3], pa.int32())}, "n_tokens differs from the tokens there are"),
        ({"doc_id": pa.array(["f" * 32, "e" * 32])}, "not in the order of doc_id"),
        (
            {"tokens": ids([39, 68, 50256], [3, 50256])},
            f"document {'e' * 32}: its text has other ids than these",
        ),
    ],
)
def test_what_a_writer_would_refuse(
    changes: dict[str, pa.Array], message: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of other programs, with a header and a manifest that fit them."""
    columns = {
        "doc_id": pa.array(["e" * 32, "f" * 32]),
        "url": pa.array(["u", "u"]),
        "batch": pa.array(["b", "b"]),
        "tokens": ids([1, 2, 50256], [3, 50256]),
        "n_tokens": pa.array([3, 2], pa.int32()),
    }
    path = shard_of(corpus)
    header = Header.of(pq.ParquetFile(path).metadata, "")
    header = msgspec.structs.replace(header, documents=2, tokens=5)
    pq.write_table(pa.table(columns | changes).replace_schema_metadata(header.encode()), path)
    write_manifest(path.parent)
    code, lines = run(capsys, str(path), "--all")
    assert code == 1
    assert f"{path}: {message}" in lines[0] or message in lines[0]
    pq.write_table(pa.table(columns).replace_schema_metadata(header.encode()), path)
    write_manifest(path.parent)
    assert run(capsys, str(path), "--all")[0] == 0


def test_another_vocabulary(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shard_of(corpus)
    header = Header.of(pq.ParquetFile(path).metadata, "")
    other = msgspec.structs.replace(header, vocabulary="f00").encode()
    pq.write_table(pq.read_table(path).replace_schema_metadata(other), path)
    _, lines = run(capsys, str(path))
    assert "sha256" in lines[0]
    write_manifest(path.parent)
    _, lines = run(capsys, str(corpus / "shards"))
    assert any("ids of a vocabulary f00, gpt2 here has" in line for line in lines)
    assert any("the manifest says train, gpt2 (f00)" in line for line in lines)
    (path.parent / manifest.NAME).unlink()
    _, lines = run(capsys, str(corpus / "shards"))
    assert any("ids of another vocabulary than in" in line for line in lines)


def test_the_fault_of_documents() -> None:
    offsets = np.array([0, 2, 4])
    assert writer.find_fault(np.array([1, 50256, 2, 50256], np.uint16), offsets, load()) is None
    assert writer.find_fault(np.zeros(0, np.uint16), np.zeros(1, np.int64), load()) is None
