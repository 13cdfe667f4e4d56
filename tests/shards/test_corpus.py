"""Texts to shards in one call, and by the command."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shards
from shards import __main__ as command
from shards import corpus, placement, spill, verify
from shards.manifest import Manifest
from shards.reader import read_documents, read_texts
from shards.tokenizer import load
from tests.shards.test_writer import doc_id
from tests.shared import SAMPLE, SHARED, private

TEXTS = [f"Document {n}: naïve café, 中文, {'word ' * (n % 17)}" for n in range(200)]


def files(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def texts(directory: Path) -> list[str]:
    return sorted(text for _, _, text in read_texts(str(directory)))


def test_texts_come_back(tmp_path: Path) -> None:
    written = shards.write_corpus(TEXTS, tmp_path / "c", heldout=0.2, tokens_per_shard=1000, batch="b")
    assert texts(tmp_path / "c") == sorted(TEXTS)
    assert list(written.manifests) == ["train", "heldout"]
    assert written.documents == 200
    assert written.tokens == sum(len(load().encode(text)) + 1 for text in TEXTS)
    assert sorted(written.files) == sorted(str(p) for p in (tmp_path / "c").rglob("*.parquet"))
    assert len(written.manifests["train"].files) > 2
    for split, manifest in written.manifests.items():
        data = (tmp_path / "c" / split / "_manifest.json").read_bytes()
        assert Manifest.loads(data) == manifest
        assert (manifest.split, manifest.batch) == (split, "b")
    assert 20 < written.manifests["heldout"].documents < 60
    assert verify.main([str(tmp_path / "c"), "--all"]) == 0


def test_documents_lie_where_the_writer_places_them(tmp_path: Path) -> None:
    rows = [(doc_id(n), f"https://example.com/{n}", text) for n, text in enumerate(TEXTS)]
    written = shards.write_corpus(rows, tmp_path / "c", heldout=0.2, tokens_per_shard=500)
    assert sorted(read_texts(str(tmp_path / "c"))) == sorted(rows)
    for split, manifest in written.manifests.items():
        for number, file in enumerate(manifest.files):
            ids = pq.read_table(tmp_path / "c" / split / file.name)["doc_id"]
            assert (placement.shard_of(ids, len(manifest.files)) == number).all()
            assert (placement.is_heldout(ids, 0.2) == (split == "heldout")).all()


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from(["", "a", "b", "some words", "中文 <|endoftext|>"]), max_size=30),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 60),
    st.randoms(use_true_random=False),
)
def test_same_texts_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    some: list[str],
    chunk: int,
    workers: int,
    size: int,
    rng: random.Random,
) -> None:
    """Over orders, workers, and how the texts are cut into chunks; copies of a text are kept."""
    path = tmp_path_factory.mktemp("corpus")
    rows = [(None, str(rng.randrange(3)), text) for text in some]
    shuffled = rng.sample(rows, len(rows))
    shards.write_corpus(rows, path / "one", tokens_per_shard=size, heldout=0.3, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_CHUNK_DOCUMENTS", chunk)
        shards.write_corpus(shuffled, path / "two", tokens_per_shard=size, heldout=0.3, workers=workers)
    assert files(path / "one") == files(path / "two")
    assert sorted((u, t) for _, u, t in read_texts(str(path / "one"))) == sorted(row[1:] for row in rows)
    sides = [set(texts(path / "one" / split)) for split in spill.SPLITS]
    assert not sides[0] & sides[1]  # copies are on one side


def test_ids_of_any_form(tmp_path: Path) -> None:
    shards.write_corpus([("t3_x", "", "a"), (doc_id(1), "", "b"), (None, "", "c")], tmp_path / "c")
    by_text = {text: id for id, _, text in read_texts(str(tmp_path / "c"))}
    assert by_text["a"] == shards.document_id("t3_x") == "681c9b272bc815c08c024e9310c722d1"  # pinned
    assert by_text["b"] == shards.document_id(doc_id(1)) == doc_id(1)
    assert by_text["c"] == shards.document_id("c")


def test_an_id_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"doc_id {shards.document_id('x')} .* occurs more than once"):
        shards.write_corpus([("x", "", "a"), ("y", "", "b"), ("x", "", "c")], tmp_path / "c", heldout=0.5)
    assert files(tmp_path / "c") == {}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        shards.write_corpus(broken(), tmp_path / "c")
    with pytest.raises(ValueError, match="surrogates"):
        shards.write_corpus(["\ud800"], tmp_path / "c")
    assert files(tmp_path) == {}
    shards.write_corpus(["a"], tmp_path / "c")
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match="not an empty directory"):
        shards.write_corpus(["b"], tmp_path / "c")
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heldout": 1.0}, "held-out share of 1.0: expected"),
        ({"heldout": -0.1}, "held-out share"),
        ({"tokens_per_shard": 0}, "must be at least 1"),
        ({"workers": 0}, "must be at least 1"),
        ({"tokens_per_row_group": 0}, "tokens per row group"),
        ({"tokenizer": "gpt9"}, "unknown tokenizer"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        shards.write_corpus(["a"], tmp_path / "c", **options)  # type: ignore[arg-type]
    assert files(tmp_path) == {}


def test_no_texts(tmp_path: Path) -> None:
    written = shards.write_corpus([], tmp_path / "c", heldout=0.5)
    assert (written.documents, written.tokens, len(written.files)) == (0, 0, 2)
    assert list(read_documents(str(tmp_path / "c"))) == []


def test_any_fsspec_path() -> None:
    memory = fsspec.filesystem("memory")
    try:
        written = shards.write_corpus(TEXTS, "memory://corpus-test", tokens_per_shard=1000)
        assert sorted(text for _, _, text in read_texts("memory://corpus-test")) == sorted(TEXTS)
        assert all(path.startswith("memory://corpus-test/train/train-") for path in written.files)
        with pytest.raises(FileExistsError):
            shards.write_corpus(TEXTS, "memory://corpus-test")
    finally:
        memory.rm("/corpus-test", recursive=True)


def test_the_slices_of_a_spilled_file(tmp_path: Path) -> None:
    """Bisection finds the ranges that `shard_of` computes, at their borders too."""
    third = 2**64 // 3
    hashes = [0, 1, third, third + 1, 2**63 - 1, 2**63, 2 * third, 2 * third + 1, 2**64 - 1]
    ids = [f"{h:016x}{'0' * 16}" for h in hashes]
    chunk = spill.spill([(id, "", "x") for id in ids], tmp_path, 0, tokenizer=load(), heldout=0.0, batch="b")
    for n_shards in (1, 2, 3, 7):
        tables = [spill.read_shard([chunk.files["train"]], k, n_shards) for k in range(n_shards)]
        assert sorted(ids) == [id for table in tables for id in table["doc_id"].to_pylist()]
        for number, table in enumerate(tables):
            assert (placement.shard_of(table["doc_id"], n_shards) == number).all()


def test_importing_shards_is_cheap() -> None:
    code = (
        "import shards, sys; print(sorted({'numpy', 'pyarrow', 'tiktoken'} & set(sys.modules)), dir(shards))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[]")
    assert all(name in done.stdout for name in shards.__all__)
    assert all(getattr(shards, name) for name in shards.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        shards.nothing  # noqa: B018


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """The texts in three files of different formats."""
    directory = tmp_path / "in"
    directory.mkdir()
    rows = [{"id": n, "link": f"https://example.com/{n}", "body": text} for n, text in enumerate(TEXTS)]
    pq.write_table(pa.Table.from_pylist(rows[:80]), directory / "a.parquet")
    lines = [json.dumps(row) for row in rows]
    (directory / "b.jsonl").write_text("\n".join(lines[80:150]))
    with fsspec.open(str(directory / "c.ndjson.gz"), "wt", compression="gzip") as file:
        file.write("\n".join(lines[150:]) + "\n{\n")
    return directory


def run(*arguments: object) -> int:
    return command.main([str(argument) for argument in arguments])


def test_the_command(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    options = (
        "--text",
        "body",
        "--id",
        "id",
        "--url",
        "link",
        "--heldout",
        "0.1",
        "--tokens-per-shard",
        1000,
    )
    assert run(inputs, out, *options, "--workers", 2) == 0
    printed = capsys.readouterr()
    assert "skipped 1 records: not a JSON object" in printed.out
    assert "200 documents and " in printed.out
    assert printed.err == ""
    want = sorted((f"https://example.com/{n}", shards.document_id(str(n))) for n in range(200))
    assert sorted((url, id) for id, url, _ in read_texts(str(out))) == want
    assert texts(out) == sorted(TEXTS)
    globs = (inputs / "[bc].*", inputs / "a.parquet")
    assert run(*globs, tmp_path / "again", *options, "--workers", 1) == 0
    assert files(out) == files(tmp_path / "again")
    capsys.readouterr()
    assert verify.main([str(out), "--all"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in/a.parquet", "--text", "title"], "a.parquet: no column 'title', only id, link, body"),
        (
            ["in/b.jsonl", "--text", "title"],
            "b.jsonl: no record has 'title'; the first one has id, link",
        ),
        (["in/*.csv", "--text", "body"], "no Parquet or JSON Lines files here"),
        (["in/x.csv", "--text", "body"], "in/x.csv: unknown format, expected .parquet, .jsonl"),
        (["in/b.jsonl", "--text", "body", "--tokenizer", "gpt9"], "unknown tokenizer 'gpt9'"),
        (["in/b.jsonl", "--text", "body", "--heldout", "2"], "held-out share of 2.0"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    inputs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(inputs.parent)
    (inputs / "x.csv").write_text("body\n")
    assert command.main([arguments[0], "out", *arguments[1:]]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("shards: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not Path("out").exists() or not files(Path("out"))


@pytest.mark.parametrize("module", ["shards", "shards.verify", "shards.export"])
def test_help(module: str) -> None:
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.startswith(f"usage: python -m {module} ")
    paragraphs = done.stdout.split("\n\n")
    assert paragraphs[1].rstrip().endswith((".", "?"))


@pytest.mark.parametrize(
    ("source", "text", "count"),
    [
        (SAMPLE / "submissions/eras.ndjson", "title", 34),
        *private((SHARED / "text/selfposts.ndjson.zst", "selftext", 28_594)),
    ],
)
def test_whole_files(tmp_path: Path, source: Path, text: str, count: int) -> None:
    assert run(source, tmp_path / "out", "--text", text, "--id", "id", "--heldout", "0.05") == 0
    found = pa.concat_tables(pq.read_table(path) for path in (tmp_path / "out").rglob("*.parquet"))
    assert len(found) == count
    assert pc.count_distinct(found["doc_id"]).as_py() == count
    assert verify.main([str(tmp_path / "out")]) == 0


def test_interrupted(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(spill, "read_shard", interrupt)
    assert run(inputs, inputs / "out", "--text", "body") == 130
    assert capsys.readouterr().err == "shards: interrupted; no shards are left behind\n"
    assert files(inputs / "out") == {}
