"""A crawl on a Dask cluster that was started apart, with the configuration that the project ships."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from pipeline.corpus.files import Corpus
from tests.pipeline.end_to_end import crawling, kill_in_shuffle
from tests.pipeline.end_to_end.conftest import Served


@contextmanager
def cluster(directory: Path, *preload: str) -> Iterator[str]:
    """`dask scheduler` and two `dask worker`s as processes; yields the address."""
    environment = os.environ | {
        "DASK_CONFIG": str(crawling.ROOT / "dask_config.yaml"),
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s",
        "DASK_DISTRIBUTED__COMM__RETRY__COUNT": "0",
        "KILLED": str(directory / "killed"),
        "PYTHONPATH": str(crawling.ROOT),
    }
    file = directory / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [
        *("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"),
        *("--scheduler-file", str(file), *preload),
    ]
    worker = [
        *("worker", "--scheduler-file", str(file), "--nthreads", "1", "--nworkers", "2", "--no-dashboard"),
        *("--host", "127.0.0.1", "--memory-limit", "auto", "--local-directory", str(directory)),
    ]
    with (directory / "cluster.log").open("wb") as log:
        processes = [
            subprocess.Popen(
                [*dask, *arguments],
                env=environment,
                cwd=directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for arguments in (scheduler, worker)
        ]
    try:
        while not (file.exists() and (said := file.read_text())):
            assert processes[0].poll() is None, (directory / "cluster.log").read_text()
            time.sleep(0.05)
        yield str(json.loads(said)["address"])
    finally:
        for process in reversed(processes):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def crawl(address: str, served: Served, corpus: Path) -> Corpus:
    return crawling.run_here(crawling.of_pages(served.base, served.urls, corpus, "--scheduler", address))


def test_same_bytes_on_a_cluster_that_goes_on(
    sample_corpus: Corpus, sample_web: Served, tmp_path: Path
) -> None:
    with cluster(tmp_path) as address:
        corpus = crawl(address, sample_web, tmp_path / "corpus")
        with Client(address) as client:
            assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2, "and the cluster goes on"
    assert crawling.shards(corpus) == crawling.shards(sample_corpus)


def test_same_bytes_after_workers_were_lost_inside_shuffles(
    sample_corpus: Corpus, sample_web: Served, tmp_path: Path
) -> None:
    """One while links are placed, one while near-duplicates are gathered."""
    with cluster(tmp_path, "--preload", kill_in_shuffle.__file__) as address:
        corpus = crawl(address, sample_web, tmp_path / "corpus")
    shuffles = (tmp_path / "killed").read_text().splitlines()
    assert len(shuffles) == len(set(shuffles)) >= 2
    assert crawling.shards(corpus) == crawling.shards(sample_corpus)
