"""A corpus on a local disk and on a real S3 server: whole files or none, clear words about wrong places."""

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table, add_counts
from pipeline.errors import UserError


def test_a_corpus_is_found_again(corpus: Corpus) -> None:
    assert Corpus.open(corpus.url).id == Corpus.create(corpus.url).id == pickle.loads(pickle.dumps(corpus)).id
    assert corpus.batches() == {}


def test_a_file_is_whole_or_not_there(corpus: Corpus) -> None:
    def interrupted() -> None:
        with corpus.writing("a/b.txt") as path:
            path.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        interrupted()
    assert corpus.names("a") == []
    corpus.write_text("a/b.txt", "first")
    with pytest.raises(RuntimeError, match="killed"):
        interrupted()
    assert corpus.fs.cat_file(corpus.path("a/b.txt")) == b"first"
    corpus.remove("a")
    assert not corpus.exists("a/b.txt")
    corpus.remove("a")


def test_what_is_removed_leaves_no_empty_directory(tmp_path: Path) -> None:
    corpus = Corpus.create(str(tmp_path / "corpus"))
    for name in ("a/b/c/1", "a/b/d/1", "a/e"):
        corpus.write_text(name, "x")
    corpus.remove("a/b/c")
    assert sorted(corpus.names("a/b")) == ["d"]
    corpus.remove("a/b/d/1")
    assert corpus.names("a") == ["e"]
    corpus.remove("a/e")
    assert not corpus.exists("a")
    assert corpus.exists("corpus.json")


def test_partitions_are_committed_and_sealed(corpus: Corpus, tmp_path: Path) -> None:
    table = Table(corpus, "t", "b")
    extra = tmp_path / "x.bin"
    extra.write_bytes(b"12345")
    rows = pa.table({"n": [1, 2, 3]})
    manifest = table.commit(0, rows, key="k", counts={"s": {"ok": 3}}, files={"t/b/more/x.bin": extra})
    assert manifest.files["t/b/more/x.bin"] == 5
    assert table.committed(["k", "k"]) == {0: manifest}
    assert table.committed(["other"]) == {}
    assert table.sealed() is None
    seal = table.seal("key", [manifest])
    assert table.sealed("key") == seal
    assert table.sealed("other key") is None
    assert table.read(0).equals(rows)
    assert table.read(0, ["n"], row_group=0).equals(rows)
    assert corpus.fetch("t/b/more/x.bin", tmp_path).read_bytes() == b"12345"
    corpus.remove("t/b/more/x.bin")
    assert table.committed(["k"]) == {}


def test_batches_come_in_the_order_of_their_commits(corpus: Corpus) -> None:
    corpus.write_json("batches/c.json", {"state": "committed", "sequence": 1})
    corpus.write_json("batches/a.json", {"state": "running"})
    corpus.write_json("batches/b.json", {"state": "committed", "sequence": 2})
    assert list(corpus.batches()) == ["c", "b", "a"]
    assert corpus.committed() == ["c", "b"]


def test_wrong_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus here"):
        Corpus.open(str(tmp_path / "absent"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file/corpus.*cannot write"):
        Corpus.create(str(tmp_path / "file/corpus"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a corpus and not empty"):
        Corpus.create(str(tmp_path / "other"))
    record = tmp_path / "other/corpus.json"
    record.write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Corpus.open(str(tmp_path / "other"))
    record.write_text('{"format"')
    with pytest.raises(UserError, match=r"corpus\.json is damaged"):
        Corpus.open(str(tmp_path / "other"))
    with pytest.raises(UserError, match="nothing"):
        Corpus.open("nothing://bucket/corpus")


def test_counts_add_up_by_stage_and_reason() -> None:
    assert add_counts([{"a": {"ok": 1, "x": 2}}, {"a": {"ok": 3}, "b": {"y": 1}}]) == {
        "a": {"ok": 4, "x": 2},
        "b": {"y": 1},
    }
