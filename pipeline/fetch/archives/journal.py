"""What a fetch has finished, beside its WARC file: a process that is killed loses only the pages in flight.

A line of JSON for each finished link, written with one system call after its records: the first names the
work, the others hold the link's number, its row, and how long the WARC was then. A line that was cut off ends
the reading; so does one that tells of more than the WARC holds.
"""

import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Entry", "Journal"]


class Entry(msgspec.Struct):
    """A finished link. index: in the table of links; end: of the WARC in bytes."""

    index: int
    end: int
    row: dict[str, Any]


class Journal:
    """An append-only file that belongs to one process at a time; a context manager.

    Raises BlockingIOError if another process has it, and OSError as files do.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def resume(self, work: str, length: int) -> list[Entry]:
        """The entries of the same work, as far as a WARC of `length` bytes has their records.

        What follows them is forgotten; all of it, if the work is another.
        """
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            first = file.readline()
            keep = len(first) if first == self._header(work) else 0
            entries = []
            for line in file if keep else ():
                try:
                    entry = msgspec.json.decode(line, type=Entry) if line.endswith(b"\n") else None
                except msgspec.DecodeError:
                    entry = None
                if entry is None or entry.end > length:
                    break
                keep += len(line)
                entries.append(entry)
        os.ftruncate(self._file, keep)
        if not keep:
            os.write(self._file, self._header(work))
        for entry in entries:
            if fetched := entry.row.get("fetched"):
                entry.row["fetched"] = datetime.fromisoformat(fetched)
        return entries

    def add(self, entry: Entry) -> None:
        """Appends an entry."""
        os.write(self._file, self._encode(entry) + b"\n")

    def _header(self, work: str) -> bytes:
        return self._encode({"work": work}) + b"\n"
