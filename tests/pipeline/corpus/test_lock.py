"""One run at a time in a corpus, on a disk and in a bucket; the dead keep nobody out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import crawl
from pipeline.corpus import lock
from pipeline.corpus.files import Corpus
from pipeline.corpus.lock import exclusive
from pipeline.errors import UserError

RUN = """
import sys, time
from pipeline.corpus.files import Corpus
from pipeline.corpus.lock import exclusive
with exclusive(Corpus.open(sys.argv[1])):
    print("in", flush=True)
    time.sleep(600)
"""


def test_a_second_run_is_refused_until_the_first_ends(corpus: Corpus) -> None:
    with exclusive(corpus), pytest.raises(UserError, match="another run is at work"), exclusive(corpus):
        pass
    with exclusive(corpus):
        pass
    assert corpus.names("") == ["corpus.json"]


def test_the_command_says_so(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("https://a.example/\n")
    corpus = Corpus.create(str(tmp_path / "corpus"))
    arguments = ["--submissions", str(listed), "--corpus", corpus.url, "--set", "fetch.contact=a@example.org"]
    with exclusive(corpus), pytest.raises(UserError, match="another run is at work"):
        crawl.main([*arguments, "--set", "cluster.workers=1"])
    assert not corpus.batches()


def test_what_a_killed_run_held_is_free_at_once(corpus: Corpus) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, corpus.url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(UserError, match="another run is at work"), exclusive(corpus):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with exclusive(corpus):
        pass


@pytest.mark.parametrize("corpus", ["s3"], indirect=True)
def test_a_lease_of_another_machine_lapses(corpus: Corpus) -> None:
    other = {"id": "x", "host": "elsewhere.example", "pid": 7}
    corpus.write_json(lock.FILE, {**other, "renewed": time.time() - 30})
    with (
        pytest.raises(UserError, match=r"process 7 on elsewhere\.example.*until \d\d:\d\d:\d\d UTC"),
        exclusive(corpus),
    ):
        pass
    corpus.write_json(lock.FILE, {**other, "renewed": time.time() - lock.LEASE - 1})
    with exclusive(corpus):
        pass


@pytest.mark.parametrize("corpus", ["s3"], indirect=True)
def test_a_lease_is_renewed_and_whoever_loses_it_stops(corpus: Corpus) -> None:
    code = "from pipeline.corpus import lock; lock.RENEWAL = 0.1\n" + RUN
    with subprocess.Popen(
        [sys.executable, "-c", code, corpus.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        first = corpus.read_json(lock.FILE)
        assert first is not None
        while not (second := corpus.read_json(lock.FILE)) or second["renewed"] == first["renewed"]:
            assert process.poll() is None
            time.sleep(0.05)
        assert second["renewed"] > first["renewed"]
        while process.poll() is None:  # it may just be writing its own
            corpus.write_json(lock.FILE, {**second, "id": "of another"})
            time.sleep(0.2)
        assert process.stderr is not None
        assert b"another run has taken the corpus over" in process.stderr.read()
        assert process.returncode == -signal.SIGTERM
    assert corpus.exists(lock.FILE)
