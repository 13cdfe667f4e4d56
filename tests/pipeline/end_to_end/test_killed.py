"""The same bytes after kill -9 of the whole run, or of a worker."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from pipeline.corpus.files import Corpus
from pipeline.demo import web
from tests.pipeline.end_to_end import crawling


def start(arguments: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        crawling.command(arguments),
        cwd=crawling.ROOT,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def wait_for(process: "subprocess.Popen[bytes]", corpus: Path, table: str) -> None:
    """Returns when the table has a committed partition."""
    while not list(corpus.glob(f"{table}/**/_manifests/0*.json")):
        assert process.poll() is None, f"ended before {table}"
        time.sleep(0.02)


def test_same_bytes_after_the_run_was_killed_again_and_again(
    demo_corpus: Corpus, demo_web: web.Web, tmp_path: Path
) -> None:
    """kill -9 of the run and its workers when each of these tables has begun, then the same command."""
    arguments = crawling.of_demo(demo_web, tmp_path / "corpus", "--set", "links.rows=20")
    for table in ("pages", "final_urls", "documents", "duplicates"):
        process = start(arguments)
        wait_for(process, tmp_path / "corpus", table)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert crawling.shards(crawling.run_here(arguments)) == crawling.shards(demo_corpus)


def test_same_bytes_after_a_worker_was_killed(
    demo_corpus: Corpus, demo_web: web.Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of fetching, and of extraction."""
    # Whoever asks the dead worker for a result that it had made tries to connect, four times for 30 s.
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "3s")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__RETRY__COUNT", "0")
    options = crawling.options("links.rows=20", "cluster.workers=2")
    process = start(crawling.of_demo(demo_web, tmp_path / "corpus", *options))
    for table in ("pages", "documents"):
        wait_for(process, tmp_path / "corpus", table)
        below = psutil.Process(process.pid).children(recursive=True)
        forked = [
            child for child in below if child.ppid() != process.pid and "forkserver" in str(child.cmdline())
        ]
        workers = forked or [child for child in below if "spawn_main" in str(child.cmdline())]
        assert workers
        workers[-1].kill()
    assert process.wait() == 0
    assert crawling.shards(Corpus.open(str(tmp_path / "corpus"))) == crawling.shards(demo_corpus)
