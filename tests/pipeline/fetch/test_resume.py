"""A fetch that is killed at any moment: nothing is lost, and nothing finished is asked for again.

`FETCH_RUNS=20 pytest tests/pipeline/test_fetch_resume.py` kills twenty crawls, three times each.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetch import fetch
from pipeline.fetch.archives.journal import Entry, Journal
from tests.pipeline.fetching import body, links, settings, validate
from tests.web import Page, Server, page

CHILD = """
import sys
from pathlib import Path
from pipeline.fetch import fetch
from tests.pipeline.fetching import links, settings
urls = [f"http://h{n % 40}.test/{n}" for n in range(400)]
options = settings(connect_to={"*": sys.argv[1]}, spacing=0.02, threads=8)
fetch(links(*urls), options, Path(sys.argv[2]), batch="b")
"""
ROOT = Path(__file__).parents[3]
RUNS = int(os.environ.get("FETCH_RUNS", "2"))


@pytest.fixture(scope="module")
def server() -> Any:
    pages: dict[Any, Page] = {f"/{n}": page(f"<html>page {n}") for n in range(400)}
    with Server(pages) as running:
        yield running


@pytest.mark.parametrize("seed", range(RUNS))
def test_killed_and_continued(seed: int, server: Server, tmp_path: Path) -> None:
    warc = tmp_path / "part.warc.gz"
    chance = random.Random(seed)
    server.log.clear()
    committed: list[tuple[set[int], Counter[str]]] = []
    for _ in range(3):
        command = [sys.executable, "-c", CHILD, server.url, str(warc)]
        moment = len(server.log) + chance.randint(1, 120)
        with subprocess.Popen(command, cwd=ROOT) as child:
            while len(server.log) < moment:
                assert child.poll() is None
                time.sleep(0.001)
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.05)  # for what was on the wire
        committed.append(({entry.index for entry in entries(warc)}, Counter(server.paths())))
    urls = [f"http://h{n % 40}.test/{n}" for n in range(400)]
    pages, counts = fetch(links(*urls), settings(server), warc, batch="b")
    assert counts == {"ok": 400}
    asked = Counter(server.paths())
    for finished, before in committed:
        assert {n: asked[f"/{n}"] for n in finished} == {n: before[f"/{n}"] for n in finished}
    assert sum(asked.values()) - 400 <= 3 * 8  # what was in flight at each kill
    validate(warc)
    for n, row in enumerate(pages.to_pylist()):
        assert body(row, tmp_path) == f"<html>page {n}".encode()


def entries(warc: Path) -> list[Entry]:
    """What the journal holds, read on a copy."""
    copy = warc.with_name("copy")
    copy.write_bytes(warc.with_name(warc.name + ".journal").read_bytes())
    header = copy.read_bytes().partition(b"\n")[0]
    work = header.decode().split('"')[3]
    with Journal(copy) as journal:
        return journal.resume(work, warc.stat().st_size)


def test_another_work_starts_anew(server: Server, tmp_path: Path) -> None:
    warc = tmp_path / "part.warc.gz"
    fetch(links("http://a.test/1"), settings(server), warc, batch="b")
    server.log.clear()
    fetch(links("http://a.test/1"), settings(server), warc, batch="b")
    assert server.paths() == []
    fetch(links("http://a.test/1", "http://a.test/2"), settings(server), warc, batch="b")
    assert server.paths() == ["/1", "/2"]
    fetch(links("http://a.test/1", "http://a.test/2"), settings(server, max_bytes=999), warc, batch="b")
    assert server.paths() == ["/1", "/2"] * 2


def test_a_journal_belongs_to_one_process(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(BlockingIOError):
        Journal(tmp_path / "j")


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_that_was_cut_is_forgotten(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        assert journal.resume("w", 0) == []
        for n in range(3):
            journal.add(Entry(n, 100 * n, {"reason": "ok"}))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path) as journal:
        assert [entry.index for entry in journal.resume("w", 1000)] == [0, 1]
        journal.add(Entry(7, 300, {"reason": "ok"}))
    with Journal(path) as journal:
        assert [entry.index for entry in journal.resume("w", 1000)] == [0, 1, 7]
    with Journal(path) as journal:  # a WARC that is shorter than the journal says
        assert [entry.index for entry in journal.resume("w", 100)] == [0, 1]
        assert journal.resume("another", 1000) == []
