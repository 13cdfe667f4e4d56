"""The demo's web crawled as a user does: outcomes as planned, and the same bytes however it is run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import psutil
import pyarrow.dataset as ds
import pytest

from pipeline import demo, status
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.demo import plan, web
from shards.reader import read_documents
from shards.tokenizer import load
from tests import s3

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served() -> Iterator[web.Web]:
    with web.serve() as running:
        yield running


def command(served: web.Web, corpus: str, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pipeline.crawl", "--submissions", str(demo.DUMP)),
        *("--corpus", corpus, "--batch", "demo"),
        *(part for override in demo.settings(served) for part in ("--set", override)),
        *options,
    ]


def crawl(served: web.Web, corpus: Path | str, *options: str) -> Corpus:
    result = subprocess.run(
        command(served, str(corpus), *options), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return Corpus.open(str(corpus))


@pytest.fixture(scope="module")
def corpus(served: web.Web, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return crawl(served, tmp_path_factory.mktemp("demo") / "corpus", "--set", "cluster.workers=2")


def shards(corpus: Corpus) -> dict[str, bytes]:
    """Every file below shards/, by name."""
    root = corpus.path("shards")
    return {path.removeprefix(root): corpus.fs.cat_file(path) for path in sorted(corpus.fs.find(root))}


def test_every_url_ends_as_planned(corpus: Corpus) -> None:
    wrong = {}
    for url, planned in plan.links().items():
        became = status.trace(corpus, url)["history"][-1]
        if (became["stage"], became["reason"]) != planned:
            wrong[url] = (became, planned)
    assert wrong == {}


def test_the_funnel_is_conserved_and_as_planned(corpus: Corpus) -> None:
    counts = funnel.funnel(corpus, "demo")
    funnel.check(counts)
    assert counts == {stage: dict(reasons) for stage, reasons in plan.funnel().items()}


def test_the_report_says_which_languages_there_were(corpus: Corpus) -> None:
    found = corpus.read_json("reports/demo/languages.json")
    counts = funnel.funnel(corpus, "demo")
    assert sum(fates.get("ok", 0) for fates in found["documents"].values()) == counts["quality"]["ok"]
    assert found["documents"]["fr"] == {"extract": 1}
    assert {"de", "es", "fi", "ja", "ru"} <= found["documents"].keys()
    page = corpus.fs.cat_file(corpus.path("reports/demo/report.html")).decode()
    assert "<td>fr</td>" in page
    assert 0 < found["judged"] < found["bytes"]


def test_shards_hold_the_text_of_the_documents(corpus: Corpus) -> None:
    gpt2 = load("gpt2")
    table = ds.dataset(corpus.path("documents/demo"), format="parquet").to_table(["doc_id", "text"])
    texts = dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    for doc_id, _, tokens in read_documents(corpus.path("shards")):
        assert tokens[-1] == gpt2.end_of_text
        assert gpt2.decode(tokens[:-1]) == texts[doc_id]


def test_status_says_it_to_programs(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    status.main([corpus.url, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["batches"] == [{"name": "demo", "state": "committed"}]
    assert {"batch": "demo", "stage": "submissions", "reason": "broken_line", "count": 1} in said["funnel"]
    duplicate = next(url for url, fate in plan.links().items() if fate.reason == "near_duplicate")
    status.main([corpus.url, "--url", duplicate, "--json"])
    history = json.loads(capsys.readouterr().out)["history"]
    assert [step["stage"] for step in history] == ["links", "fetch", "quality", "near_duplicates"]
    assert plan.links()[history[-1]["keeper_url"]].stage == "shards"
    status.main([corpus.url])
    status.main([corpus.url, "--url", duplicate])
    assert "near_duplicate" in capsys.readouterr().out


def test_the_web_was_treated_politely(corpus: Corpus, served: web.Web) -> None:
    agents = {request.user_agent for request in served.log}
    assert all("+" in agent and "webtext-pipeline" in agent for agent in agents)


def test_again_does_nothing(corpus: Corpus, served: web.Web) -> None:
    asked = len(served.log)
    before = {path: Path(path).stat().st_mtime_ns for path in corpus.fs.find(corpus.root)}
    crawl(served, corpus.url)
    assert {path: Path(path).stat().st_mtime_ns for path in corpus.fs.find(corpus.root)} == before
    assert len(served.log) == asked


@pytest.mark.parametrize(("workers", "rows"), [(1, 100_000), (4, 20)])
def test_same_bytes_with_other_workers_and_partitions(
    corpus: Corpus, served: web.Web, tmp_path: Path, workers: int, rows: int
) -> None:
    options = ("--set", f"cluster.workers={workers}", "--set", f"links.rows={rows}")
    other = crawl(served, tmp_path / "corpus", *options)
    assert shards(other) == shards(corpus)
    assert bloom_filter(other) == bloom_filter(corpus)


def bloom_filter(corpus: Corpus) -> bytes:
    return Path(corpus.path("filters/demo/train.bloom")).read_bytes()


def test_same_bytes_after_the_run_was_killed_again_and_again(
    corpus: Corpus, served: web.Web, tmp_path: Path
) -> None:
    """kill -9 of the run and its workers when each of these tables has begun, then the same command."""
    other = tmp_path / "corpus"
    for table in ("pages", "documents", "duplicates"):
        process = subprocess.Popen(
            command(served, str(other), "--set", "links.rows=20"),
            cwd=ROOT,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_for(process, other, table)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert shards(crawl(served, other, "--set", "links.rows=20")) == shards(corpus)


def test_same_bytes_after_a_worker_was_killed(corpus: Corpus, served: web.Web, tmp_path: Path) -> None:
    other = tmp_path / "corpus"
    process = subprocess.Popen(
        command(served, str(other), "--set", "links.rows=20", "--set", "cluster.workers=2"),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    for table in ("pages", "documents"):
        wait_for(process, other, table)
        below = psutil.Process(process.pid).children(recursive=True)
        forked = [
            child for child in below if child.ppid() != process.pid and "forkserver" in str(child.cmdline())
        ]
        workers = forked or [child for child in below if "spawn_main" in str(child.cmdline())]
        assert workers
        workers[-1].kill()
    assert process.wait(timeout=200) == 0
    assert shards(Corpus.open(str(other))) == shards(corpus)


def wait_for(process: "subprocess.Popen[bytes]", corpus: Path, table: str) -> None:
    """Returns when the table has a committed partition."""
    until = time.monotonic() + 120
    while not list(corpus.glob(f"{table}/**/_manifests/0*.json")):
        assert process.poll() is None, f"ended before {table}"
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_corpus_in_a_bucket(corpus: Corpus, served: web.Web, tmp_path: Path) -> None:
    with s3.server(tmp_path):
        fsspec.filesystem("s3").mkdir("bucket")
        remote = crawl(served, "s3://bucket/corpus", "--set", "links.rows=40")
        assert shards(remote) == shards(corpus)
        assert status.trace(remote, next(iter(plan.links())))["history"]


def test_until_a_stage_and_then_the_rest(corpus: Corpus, served: web.Web, tmp_path: Path) -> None:
    other = crawl(served, tmp_path / "corpus", "--until", "links")
    assert list(funnel.funnel(other, "demo")) == ["submissions", "links"]
    assert not other.exists("pages")
    assert shards(crawl(served, tmp_path / "corpus")) == shards(corpus)


def test_a_dry_run_writes_nothing(served: web.Web, tmp_path: Path) -> None:
    result = subprocess.run(
        command(served, str(tmp_path / "corpus"), "--dry-run"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stage    near_duplicates (to do)" in result.stdout
    assert not (tmp_path / "corpus").exists()
