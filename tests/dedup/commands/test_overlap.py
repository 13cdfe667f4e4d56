"""python -m dedup overlap: the numbers of the index, whatever the files and workers; errors in one line."""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from distributed import LocalCluster

from dedup.commands.overlap import main
from dedup.ngrams import streams, training_files
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import NGramHasher

RANDOM = np.random.default_rng(5)
WORDS = [f"w{i}" for i in range(400)]
N = 3


def prose(length: int) -> str:
    return " ".join(RANDOM.choice(WORDS, length))


EXAMPLES = [prose(30) for _ in range(20)]
TEXTS = [prose(50) if i % 3 else f"{prose(20)}, {EXAMPLES[i % 17][:60]} – {prose(9)}" for i in range(60)]
TEXTS[7], TEXTS[8] = "", "!"
ROWS = [{"id": i, "body": text} for i, text in enumerate(TEXTS)]
NGRAMS = NGramHasher("words", N)


def expected(texts: Sequence[str]) -> dict[str, Any]:
    """By sets of Python tuples."""

    def grams(text: str) -> list[tuple[str, ...]]:
        words = [word for word in text.replace(",", " ").replace("–", " ").split() if word != "!"]
        return [tuple(words[i : i + N]) for i in range(len(words) - N + 1)]

    seen = {gram for text in texts for gram in grams(text)}
    of_benchmark = [gram for text in EXAMPLES for gram in grams(text)]
    known = set(of_benchmark)
    return {
        "occurrences": (sum(gram in seen for gram in of_benchmark), len(of_benchmark)),
        "distinct": (len(known & seen), len(known)),
        "examples": (sum(any(gram in seen for gram in grams(text)) for text in EXAMPLES), len(EXAMPLES)),
        "documents": (sum(any(gram in known for gram in grams(text)) for text in texts), len(texts)),
        "n_grams": (
            sum(gram in known for text in texts for gram in grams(text)),
            sum(len(grams(text)) for text in texts),
        ),
    }


def found(report: Path) -> dict[str, Any]:
    value = json.loads(report.read_text())
    (benchmark,) = value["benchmarks"]
    shares = {**benchmark, **value["training"]}
    return {name: (shares[name]["hits"], shares[name]["total"]) for name in expected([])}


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("benchmark") / "mine.jsonl"
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in EXAMPLES))
    return str(path)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler that is there already, with two workers."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address


def write(directory: Path) -> None:
    """The texts in files of every kind, in this order."""
    lines = [json.dumps(row) + "\n" for row in ROWS[:20]]
    (directory / "a.jsonl.zst").write_bytes(zstandard.compress("".join(lines[:12]).encode()))
    (directory / "b.ndjson").write_text("".join(lines[12:]))
    pq.write_table(pa.Table.from_pylist(ROWS[20:50]), directory / "c.parquet", row_group_size=7)
    with gzip.open(directory / "d.csv.gz", "wt", newline="") as file:
        table = csv.DictWriter(file, ["id", "body"])
        table.writeheader()
        table.writerows(ROWS[50:])


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("workers", [1, 3, None])
def test_numbers_do_not_depend_on_files_and_workers(
    tmp_path: Path, benchmark: str, scheduler: str, workers: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    report, annotated = tmp_path / "report.json", tmp_path / "annotated"
    options = ("--benchmark", benchmark, "--text", "body", "--n", N)
    where = ("--scheduler", scheduler) if workers is None else ("--workers", workers)
    assert run(tmp_path / "[a-d].*", *options, *where, "--output", report, "--annotate", annotated) == 0
    assert found(report) == expected(TEXTS)
    rows: list[dict[str, Any]] = []
    for path in sorted(annotated.iterdir()):
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        else:
            rows += map(json.loads, zstandard.decompress(path.read_bytes(), 1 << 24).splitlines())
    index = BenchmarkIndex.build([Benchmark("mine", "", [""] * 20, EXAMPLES)], NGRAMS)
    scan = index.scan(NGRAMS.hash(TEXTS))
    assert [(int(row["id"]), row["body"]) for row in rows] == list(enumerate(TEXTS))
    assert [row["overlap_n_grams"] for row in rows] == scan.n_grams.tolist()
    assert [row["overlap_hits"] for row in rows] == scan.hits.tolist()
    assert [row["overlap_longest_run"] for row in rows] == scan.longest_run.tolist()
    assert [row["overlap_benchmarks"] for row in rows] == scan.benchmarks
    shown = capsys.readouterr()
    hits, total = expected(TEXTS)["occurrences"]
    assert f"{hits:,} ({hits / total:.3%})" in shown.out
    assert "3-grams of words" in shown.out
    assert "60 documents" in shown.out


def test_a_text_file_is_one_document(
    tmp_path: Path, benchmark: str, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in pieces, each n-gram counts once."""
    text = "\n".join(TEXTS)
    (tmp_path / "train.txt").write_text(text)
    options = (
        "--benchmark",
        benchmark,
        "--n",
        N,
        "--scheduler",
        scheduler,
        "--output",
        tmp_path / "report.json",
    )
    assert run(tmp_path / "train.txt", *options) == 0
    assert found(tmp_path / "report.json") == expected([text])
    (part,) = training_files.cut(str(tmp_path / "train.txt"))
    whole = NGRAMS.hash([text]).hashes
    monkeypatch.setattr(streams, "CHUNK_CHARACTERS", 500)
    batches = list(part.batches("text", N))
    assert len(batches) > 5
    counts = [len(NGRAMS.hash(b.texts).hashes) - len(NGRAMS.hash([b.repeated]).hashes) for b in batches]
    assert sum(counts) == len(whole)


def test_parquet_is_cut_into_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setattr(training_files, "_PART_BYTES", 1000)
    parts = training_files.cut(str(tmp_path / "c.parquet"))
    assert len(parts) > 1
    texts = [text for part in parts for b in part.batches("body", N) for text in b.texts.to_pylist()]
    assert texts == TEXTS[20:50]


def test_two_files_of_one_benchmark(
    tmp_path: Path, scheduler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("gsm8k-a.jsonl", "gsm8k-b.jsonl"):
        (tmp_path / name).write_text(json.dumps({"question": EXAMPLES[0], "answer": "7"}) + "\n")
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": EXAMPLES[0]}) + "\n")
    assert run(tmp_path / "train.jsonl", "--benchmark", tmp_path / "gsm8k*", "--scheduler", scheduler) == 0
    shown = capsys.readouterr().out
    assert "GSM8K (gsm8k-a.jsonl)" in shown
    assert "GSM8K (gsm8k-b.jsonl)" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n', "no field 'body'; the fields are text"),
        ('{"body": 3}\n', "row 1: field 'body' holds int, expected text"),
        ('{"body": "a"\n', "line 1: not JSON"),
        ('{"body": "a", "overlap_hits": 1}\n', "field 'overlap_hits' already"),
    ],
)
def test_errors_of_the_texts_are_one_line(
    tmp_path: Path,
    benchmark: str,
    scheduler: str,
    content: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    options = ("--benchmark", benchmark, "--text", "body", "--scheduler", scheduler)
    assert run(tmp_path / "a.jsonl", *options, "--annotate", tmp_path / "out") == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n", "0"], "at least one unit"),
        (["--fields", "nope"], "no field 'nope'"),
        (["--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers"),
        (["--n", "1000"], "every text is shorter than 1000 words"),
    ],
)
def test_errors_of_the_options_are_one_line(
    benchmark: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train.jsonl", "--benchmark", benchmark, *options) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_missing_files_and_a_full_directory(
    tmp_path: Path, benchmark: str, scheduler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none.jsonl", "--benchmark", benchmark, "--scheduler", scheduler) == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err
    write(tmp_path)
    options = ("--benchmark", benchmark, "--text", "body", "--scheduler", scheduler)
    assert run(tmp_path / "b.ndjson", *options, "--annotate", tmp_path) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "b.ndjson").exists()
    (tmp_path / "a.txt").write_text("a text")
    assert run(tmp_path / "a.txt", *options, "--annotate", tmp_path / "out") == 2
    assert "no rows to annotate" in capsys.readouterr().err
