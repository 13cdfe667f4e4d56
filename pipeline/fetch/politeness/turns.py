"""When each host and each address may be asked next, agreed upon by all processes of a user on a machine.

A partition has all links of its hosts, but a redirect leads anywhere, and many hosts share an address; so
workers, and crawls that run side by side, take their turns from one table: a file mapped into memory, a few
entries for each hash of a name, each with the time of the next turn and the spacing that is kept. POSIX
locks of byte ranges guard its entries, and are also the requests on their way: what a killed process held is
free at once.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.errors import as_user_error

__all__ = ["Limits", "TurnTable", "Turns"]

GRACE = 10.0  # seconds by which a turn may be late before others may come with a smaller spacing
RESTART = 60.0  # seconds that two reckonings of when the machine was started may differ
_ENTRY = struct.Struct("=8sddd")  # hash of the name, next turn, largest spacing, until when that is kept
_BUCKET = 16 * _ENTRY.size
_BUCKETS = 1 << 14
_HEAD = struct.Struct("=d")  # when the machine was started, in Unix time
_TABLE = 4096  # where the buckets begin
_SIZE = _TABLE + _BUCKETS * _BUCKET
_LOCKS = 1 << 62  # beyond the file: the bytes that are locked while a request is on its way


class Limits(NamedTuple):
    """How often a name may be asked."""

    spacing: float  # seconds between two requests
    connections: int  # requests on their way at a time


class Turns(Protocol):
    """Who may be asked when. Names are those of hosts and addresses; times, in seconds, are of one clock."""

    def due(self, name: str) -> float:
        """The next time for a name; in the past if it may be asked now."""

    def claim(self, now: float, wanted: Mapping[str, Limits]) -> str | None:
        """Takes a turn of each name, or none: returns the first one that has to wait, if any."""

    def release(self, spacings: Mapping[str, float], last_sent: float) -> None:
        """Gives the turns back; the next is a spacing after `last_sent`."""

    def delay(self, name: str, until: float) -> None:
        """Not before `until`; never earlier than said before."""


class _Slot(NamedTuple):
    """Where a name is in the table, and the bytes that are locked for its requests."""

    key: bytes
    bucket: int  # offset in the table
    locks: int  # offset of the first of a million bytes


class TurnTable:
    """Turns of hosts and addresses, in seconds of `time.monotonic()`, which all processes of a machine share.

    Two that ask a name with different spacings both keep the larger one, as long as both ask. Thread-safe.
    path: of the table, 8 MiB; None: in the directory of temporary files, one for each user. Whatever touches
    it first raises UserError if it cannot be made, or belongs to somebody else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._in_flight: defaultdict[str, set[int]] = defaultdict(set)  # locks that this process has, by name

    def due(self, name: str) -> float:
        """The next time for a host or address; in the past if it may be asked now. Takes no lock."""
        return self._read(name)[1]

    def claim(self, now: float, wanted: Mapping[str, Limits]) -> str | None:
        """Takes turns of some names, all or none: returns the first one that has to wait, if any.

        `release` them when the request is over.
        """
        with self._locked(wanted):
            for name in wanted:
                place, due, _, _ = self._read(name)
                if due > now or place < 0:
                    return name
            taken: list[str] = []
            for name, limits in wanted.items():
                if not self._lock_one(name, limits.connections):
                    self._free(taken)
                    return name
                taken.append(name)
            for name, (own, _) in wanted.items():
                place, _, spacing, until = self._read(name)  # once more: two new names may share a bucket
                if own >= spacing or until < now:
                    spacing, until = own, now + own + GRACE
                self._write(name, place, now + spacing, spacing, until)
        return None

    def release(self, spacings: Mapping[str, float], last_sent: float) -> None:
        """Gives turns back. last_sent: when we last sent something; the next turn is a spacing later."""
        with self._locked(spacings):
            for name, spacing in spacings.items():
                place, due, known, until = self._read(name)
                if spacing > known:
                    known, until = spacing, last_sent + spacing + GRACE
                self._write(name, place, max(due, last_sent + known), known, until)
            self._free(spacings)

    def delay(self, name: str, until: float) -> None:
        """Not before `until`; never earlier than said before."""
        with self._locked([name]):
            place, due, spacing, kept = self._read(name)
            self._write(name, place, max(due, until), spacing, kept)

    def _read(self, name: str) -> tuple[int, float, float, float]:
        """Where a name's entry is, or may be put, its next turn, its spacing, and until when that is kept.

        A bucket whose names all have a turn to come gives the negative of the place of the first of them.
        """
        key, bucket, _ = _slot(name)
        place = self._table.find(key, bucket, bucket + _BUCKET)
        if place >= 0 and (place - bucket) % _ENTRY.size == 0:
            return place, *_ENTRY.unpack_from(self._table, place)[1:]
        entries = _ENTRY.iter_unpack(self._table[bucket : bucket + _BUCKET])
        due, number = min((entry[1], number) for number, entry in enumerate(entries))
        place = bucket + number * _ENTRY.size
        return (-place if due > time.monotonic() else place), 0.0, 0.0, 0.0

    def _write(self, name: str, place: int, *times: float) -> None:
        _ENTRY.pack_into(self._table, abs(place), _slot(name).key, *times)

    def _lock_one(self, name: str, limit: int) -> bool:
        """Takes one of the `limit` bytes that stand for requests on their way to a name."""
        taken, first = self._in_flight[name], _slot(name).locks
        for number in range(limit):
            if number not in taken:
                with contextlib.suppress(BlockingIOError, PermissionError):  # another process has it
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, first + number)
                    taken.add(number)
                    return True
        return False

    def _free(self, names: Iterable[str]) -> None:
        for name in names:
            number = self._in_flight[name].pop()
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _slot(name).locks + number)
            if not self._in_flight[name]:
                del self._in_flight[name]

    @contextlib.contextmanager
    def _locked(self, names: Iterable[str]) -> Iterator[None]:
        """Keeps others from the buckets of some names. The order of the locks is the same everywhere."""
        buckets = sorted({_slot(name).bucket for name in names})
        with self._lock:
            for bucket in buckets:
                fcntl.lockf(self._file, fcntl.LOCK_EX, _BUCKET, bucket)
            try:
                yield
            finally:
                for bucket in buckets:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, _BUCKET, bucket)

    @cached_property
    def _file(self) -> int:
        """The open file, which must stay open: to close it would give up every lock of this process."""
        path = self._path or Path(tempfile.gettempdir()) / f"webtext-politeness-1-{os.getuid()}"
        with as_user_error(f"the table of hosts, which may lie elsewhere by TMPDIR: {path}"):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if os.fstat(file).st_uid != os.getuid():
                raise PermissionError("it belongs to another user")
            fcntl.lockf(file, fcntl.LOCK_EX, _TABLE, 0)
            started = time.time() - time.monotonic()
            head = os.pread(file, _HEAD.size, 0)
            if os.fstat(file).st_size < _SIZE or abs(_HEAD.unpack(head)[0] - started) > RESTART:
                os.pwrite(file, _HEAD.pack(started).ljust(_SIZE, b"\0"), 0)  # new, or of before a restart
            fcntl.lockf(file, fcntl.LOCK_UN, _TABLE, 0)
        return file

    @cached_property
    def _table(self) -> mmap.mmap:
        return mmap.mmap(self._file, _SIZE)


@lru_cache(1 << 14)
def _slot(name: str) -> _Slot:
    key = hashlib.blake2b(name.encode(), digest_size=8).digest()
    bucket = _TABLE + int.from_bytes(key[:2]) % _BUCKETS * _BUCKET
    return _Slot(key, bucket, _LOCKS + (int.from_bytes(key[:5]) << 20))
