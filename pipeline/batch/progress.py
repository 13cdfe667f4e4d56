"""Progress of a running batch: a bar with rate, time left and outcomes; without a terminal, a line a stage.

Workers report single rows through Dask's event log (`Ticker`), so that the bar also moves during long
partitions.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, get_worker
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from pipeline.corpus.partitions import Counts
from pipeline.corpus.schemas import OK

__all__ = ["Progress", "StageProgress", "Ticker"]

TOPIC = "pipeline"
INTERVAL = 0.5  # seconds between two events of a worker process


class Ticker:
    """Reports single rows of a partition from a worker, every INTERVAL seconds at most, from any thread.

    To be made in the thread that Dask runs the task in: other threads do not know their worker.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.worker = get_worker()
        self.pending: Counter[str] = Counter()
        self.sent = 0.0
        self.lock = threading.Lock()

    def __call__(self, reason: str) -> None:
        """Counts one more row with this outcome."""
        with self.lock:
            self.pending[reason] += 1
            if time.monotonic() - self.sent < INTERVAL:
                return
            self.sent = time.monotonic()
            counts = dict(self.pending)
            self.pending.clear()
        self.worker.log_event(TOPIC, {"stage": self.stage, "counts": counts})


class StageProgress:
    """The progress of one stage: partitions done, and rows by outcome."""

    def __init__(self, name: str, bars: Bars, total: int, done: int) -> None:
        self.name = name
        self.bars = bars
        self.started = time.monotonic()
        self.live: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()
        self.task = bars.add_task(name, total=total, completed=done, outcomes="")

    def advance(self, counts: Counts) -> None:
        """Counts one more committed partition; of its `ok` rows, only those of the last stage in `counts`."""
        for stage, reasons in counts.items():
            last = stage == next(reversed(counts))
            self.settled.update({reason: n for reason, n in reasons.items() if last or reason != OK})
        self.bars.update(self.task, advance=1, outcomes=self._outcomes())

    def show(self, counts: dict[str, int]) -> None:
        """Counts rows that a worker has reported before their partition is committed."""
        self.live.update(counts)
        self.bars.update(self.task, outcomes=self._outcomes())

    def closing(self, done: str) -> str:
        """The line that is printed when the stage ends."""
        seconds = time.monotonic() - self.started
        return f"{self.name}: {done} in {seconds:.1f} s  {self._outcomes()}"

    def _outcomes(self) -> str:
        counts = max(self.settled, self.live, key=Counter.total)
        rate = counts.total() / max(time.monotonic() - self.started, 1e-3)
        shown = "  ".join(f"{reason} {count:,}" for reason, count in counts.most_common(5))
        return f"{rate:,.0f}/s  {shown}" if counts else ""


class Progress:
    """Shows the progress of a run, one stage at a time, on standard error."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.console = Console(stderr=True)
        self.current: StageProgress | None = None
        if self.console.is_terminal:
            client.subscribe_topic(TOPIC, self._event)

    @contextmanager
    def stage(
        self, name: str, *, total: int, done: int = 0, step: str | None = None, unit: str = "partitions"
    ) -> Iterator[StageProgress]:
        """Shows a stage of `total` partitions (or other units) during the block, `done` of them done before.

        step: names a part of a stage, which gets a bar of its own, but no line where there is no terminal.
        """
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[outcomes]}"),
        )
        with Bars(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            self.current = StageProgress(f"{name}: {step}" if step else name, bars, total, done)
            try:
                yield self.current
            finally:
                stage, self.current = self.current, None
        if not self.console.is_terminal and step is None:
            print(stage.closing(f"{total - done} {unit}"), file=sys.stderr)

    def _event(self, event: tuple[float, dict[str, Any]]) -> None:
        stage = self.current
        if stage is not None and event[1]["stage"] == stage.name:
            stage.show(event[1]["counts"])
