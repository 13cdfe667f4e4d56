"""Crawls as a user starts them, of two small webs, and what is compared of their corpora."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline import crawl, demo
from pipeline.corpus.files import Corpus
from pipeline.demo import web

ROOT = Path(__file__).parents[3]
ROWS = "links.rows=10"  # of some 85 links: enough partitions for every stage to shuffle


def options(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def of_demo(served: web.Web, corpus: Path | str, *more: str) -> list[str]:
    """The arguments for a crawl of the demo's web: slow and broken hosts, redirects, retries."""
    return [
        *("--submissions", str(demo.DUMP), "--corpus", str(corpus), "--batch", "demo"),
        *(*options(*demo.settings(served)), *more),
    ]


def of_pages(base: str, urls: Path, corpus: Path | str, *more: str, batch: str = "one") -> list[str]:
    """The arguments for a crawl of pages that are served at once by `tests.web.recorded`."""
    settings = (
        *(f"fetch.connect_to={json.dumps({'*': base})}", "fetch.spacing=0", "fetch.address_spacing=0"),
        *("fetch.contact=tests@example.org", "links.wikipedia=true", "shards.tokens_per_shard=10000"),
    )
    return [
        *("--submissions", str(urls), "--corpus", str(corpus), "--batch", batch),
        *(*options(*settings, ROWS, "cluster.workers=2"), *more),
    ]


def command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pipeline.crawl", *arguments]


def run(arguments: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Runs the command; returns what it said to the user."""
    result = subprocess.run(
        command(arguments),
        cwd=ROOT,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def run_here(arguments: list[str]) -> Corpus:
    """The same in this process, whose local workers need not import everything again."""
    crawl.main(arguments)
    return Corpus.open(arguments[arguments.index("--corpus") + 1])


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A directory that one of the processes of a test run makes, while the others wait for it."""
    base = factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "made").exists():
            make(directory)
            (directory / "made").touch()
    return directory


def shards(corpus: Corpus) -> dict[str, bytes]:
    """Every file below shards/, and the Bloom filters of the training set, by name."""
    found = [*corpus.fs.find(corpus.path("shards")), *corpus.fs.glob(corpus.path("filters/*/*.bloom"))]
    assert found
    return {path.removeprefix(corpus.root): corpus.fs.cat_file(path) for path in sorted(found)}
