"""A child process that runs a function on one item after another, and may hang, crash or exhaust memory.

The limits are the kernel's, so that they hold for native code and while the parent is busy: an interval timer
(monotonic clock) ends the child at the deadline, and its address space is capped at twice the memory limit.
While it waits, the parent looks at the child's resident memory, which is what the memory limit means. The
child ends when its parent does: at once when it is idle, at the deadline at the latest.

A fresh interpreter is started rather than a fork of the parent (which has threads) or multiprocessing's spawn
(which imports the parent's main module again). Items and results travel as MessagePack of the function's own
types: nothing that comes out of the child is ever unpickled.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

import msgspec
import psutil

from pipeline.extraction.sandbox_child import NO_MEMORY, RESULT, types

__all__ = ["CRASH", "EMPTY", "ERROR", "OK", "OUT_OF_MEMORY", "REASONS", "TIMEOUT", "Outcome", "Sandbox"]

T = TypeVar("T")
R = TypeVar("R")

OK, EMPTY, TIMEOUT, CRASH, OUT_OF_MEMORY, ERROR = "ok", "empty", "timeout", "crash", "out_of_memory", "error"
REASONS = (OK, EMPTY, TIMEOUT, CRASH, OUT_OF_MEMORY, ERROR)

CHILD = "pipeline.extraction.sandbox_child"
START = 120.0  # seconds that a child may take to import what it needs
GRACE = 5.0  # seconds after which a child that ignores its own deadline is killed
LOOK = 0.1  # seconds between looks at the child's memory


class Outcome(NamedTuple, Generic[R]):
    """What became of an item. reason: one of REASONS. value: set if that is `ok`. detail: for people."""

    reason: str
    value: R | None = None
    detail: str | None = None


class Sandbox(Generic[T, R]):
    """Runs a function in a child process, which is replaced when it fails, gets old, or grows.

    function: importable by its name, with an annotated argument and result of types that msgspec can encode.
        A result of None is the outcome `empty`.
    deadline: seconds per item. memory_limit: bytes of resident memory. recycle_after: items per child; a
    child
        that has grown beyond half of its memory limit is replaced before that.

    Raises ValueError if a child process cannot import the function.
    """

    def __init__(
        self, function: Callable[[T], R | None], *, deadline: float, memory_limit: int, recycle_after: int
    ) -> None:
        if function.__module__ == "__main__" or "<" in function.__qualname__:
            raise ValueError(f"{function.__qualname__} cannot be imported by a child process")
        self._function = function
        self._limits = (deadline, memory_limit)
        self._recycle_after = recycle_after
        self._decoder: msgspec.msgpack.Decoder[R | None] = msgspec.msgpack.Decoder(types(function)[1])
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child. The sandbox can be used again."""
        if self._child:
            self._child.kill()
            self._child = None

    def run(self, item: T) -> Outcome[R]:
        """The outcome of one item. Raises RuntimeError if no child can be started."""
        return next(self.map([item]))

    def map(self, items: Iterable[T]) -> Iterator[Outcome[R]]:
        """The outcome of each item, in order. Lazy: while the caller has one, the child works on the next.

        Raises RuntimeError if no child can be started.
        """
        pending = False
        try:
            for item in items:
                outcome = self._receive() if pending else None
                pending = False
                self._send(msgspec.msgpack.encode(item))
                pending = True
                if outcome:
                    yield outcome
            if pending:
                outcome = self._receive()
                pending = False
                yield outcome
        finally:
            if pending:
                self.close()

    def _send(self, item: bytes) -> None:
        if self._child is None or self._child.items >= self._recycle_after or self._has_grown(self._child):
            self.close()
        for _ in range(2):  # a child that died idle is nobody's fault: the item goes to the next one
            self._child = self._child or _Child(self._function, *self._limits)
            try:
                return self._child.send(item)
            except OSError:
                self.close()
        raise RuntimeError("the sandbox's child processes die before they are given anything")

    def _has_grown(self, child: "_Child") -> bool:
        return child.resident() > self._limits[1] / 2

    def _receive(self) -> Outcome[R]:
        assert self._child
        outcome = self._child.receive()
        if isinstance(outcome, Outcome):
            self.close()
            return outcome
        kind, payload = outcome[:1], outcome[1:]
        if kind == RESULT:
            try:
                value = self._decoder.decode(payload)
            except msgspec.MsgspecError as error:  # whatever made it, it is not what the function returns
                self.close()
                return Outcome(CRASH, detail=f"unreadable result: {error}")
            return Outcome(EMPTY) if value is None else Outcome(OK, value)
        if kind == NO_MEMORY:
            self.close()
            return Outcome(OUT_OF_MEMORY, detail="MemoryError")
        return Outcome(ERROR, detail=payload.decode("utf-8", "replace"))


class _Child:
    """The parent's end of one child process."""

    def __init__(self, function: Callable[..., Any], deadline: float, memory_limit: int) -> None:
        self.items = 0
        self._deadline, self._memory_limit = deadline, memory_limit
        self._connection, theirs = Pipe()
        with theirs:
            arguments = (theirs.fileno(), function.__module__, function.__qualname__, deadline, memory_limit)
            boot = f"import sys; sys.path[:] = {sys.path!r}; from {CHILD} import serve; serve{arguments!r}"
            self._process = subprocess.Popen(
                [sys.executable, "-c", boot],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        self._memory = psutil.Process(self._process.pid)
        started = self._connection.poll(START)
        complaint = self._read() if started else f"it was not ready after {START:.0f} s"
        if complaint:
            self.kill()
            code = self._process.returncode
            reason = complaint if isinstance(complaint, str) else complaint.decode()
            raise RuntimeError(f"a sandbox child could not start (exit code {code}): {reason}")

    def send(self, item: bytes) -> None:
        """Raises OSError if the child is gone."""
        self.items += 1
        self._connection.send_bytes(item)

    def receive(self) -> "bytes | Outcome[Any]":
        """The reply, or how the child ended."""
        give_up = time.monotonic() + self._deadline + GRACE
        while not self._connection.poll(LOOK):
            if self.resident() > self._memory_limit:
                return Outcome(OUT_OF_MEMORY, detail=f"more than {self._memory_limit} bytes resident")
            if time.monotonic() > give_up:
                return Outcome(TIMEOUT, detail=f"did not end {GRACE:.0f} s after {self._deadline:g} s")
        reply = self._read()
        return reply if isinstance(reply, bytes) else self._end()

    def _read(self) -> bytes | str:
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            return "it died"

    def _end(self) -> Outcome[Any]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        code = self._process.poll()
        if code == -signal.SIGALRM:
            return Outcome(TIMEOUT, detail=f"more than {self._deadline:g} s")
        if code is not None and code < 0:
            return Outcome(CRASH, detail=signal.Signals(-code).name)
        return Outcome(CRASH, detail=f"exit code {code}")

    def resident(self) -> int:
        """Resident memory of the child in bytes, 0 if it has gone."""
        try:
            return int(self._memory.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def kill(self) -> None:
        """Ends the child and waits for it."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    """The environment of this process without what Dask's nannies set for their workers.

    With a `MALLOC_TRIM_THRESHOLD_` of 64 kB malloc returns the memory of every larger string at once, only to
    ask for it again, and a page with much text takes ten times as long.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "MALLOC_TRIM_THRESHOLD_"}
    return {**inherited, "PYTHONHASHSEED": "0"}  # the same pages give the same text
