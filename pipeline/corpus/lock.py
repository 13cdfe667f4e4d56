"""One run at a time in a corpus: two would number their batches alike, and miss each other's duplicates.

On a local disk the lock is flock(2) on corpus.json, which the system releases when the process ends. On an
object store it is a file `running.json` that names the process that runs. That process renews it every
RENEWAL seconds; it is void when it is older than LEASE seconds, by clocks that are expected to agree within a
minute.
"""

import fcntl
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pipeline.corpus.files import Corpus
from pipeline.errors import UserError

__all__ = ["exclusive"]

LEASE = 180.0  # seconds
RENEWAL = 30.0
SETTLE = 1.0  # seconds within which another run that found no lock either has written its own

FILE = "running.json"


@contextmanager
def exclusive(corpus: Corpus) -> Iterator[None]:
    """Keeps other runs out of a corpus while the block runs. Raises UserError if one is in it.

    A process that loses its lease, as one that was stopped for minutes, is ended by SIGTERM.
    """
    with _locked(Path(corpus.path("corpus.json"))) if corpus.is_local else _leased(corpus):
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{path.parent}: another run is at work on this corpus; wait for it to end"
            ) from None
        yield


@contextmanager
def _leased(corpus: Corpus) -> Iterator[None]:
    mine = {"id": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}

    def renew() -> None:
        corpus.write_json(FILE, {**mine, "renewed": time.time()})

    _check(corpus)
    renew()
    time.sleep(SETTLE)
    if not _is_mine(corpus, mine["id"]):
        _check(corpus)
    done = threading.Event()

    def keep() -> None:
        while not done.wait(RENEWAL):
            with suppress(Exception):  # the store may be out of reach for a renewal or two
                if not _is_mine(corpus, mine["id"]):
                    print(
                        f"error: {corpus.url}: another run has taken the corpus over",
                        file=sys.stderr,
                        flush=True,
                    )
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                renew()

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        if _is_mine(corpus, mine["id"]):
            corpus.remove(FILE)


def _check(corpus: Corpus) -> None:
    """Raises UserError if another process has the lease."""
    other = corpus.read_json(FILE)
    if other is None or (other["host"] == socket.gethostname() and not psutil.pid_exists(other["pid"])):
        return
    void = other["renewed"] + LEASE
    if time.time() < void:
        until = datetime.fromtimestamp(void, UTC).strftime("%H:%M:%S UTC")
        raise UserError(
            f"{corpus.url}: another run is at work on this corpus (process {other['pid']} "
            f"on {other['host']}); wait for it to end or, if it is dead, until {until}"
        )


def _is_mine(corpus: Corpus, name: object) -> bool:
    found = corpus.read_json(FILE)
    return found is not None and found["id"] == name
