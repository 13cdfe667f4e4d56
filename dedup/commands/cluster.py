"""The Dask cluster of a command, and its progress on the terminal."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from distributed import Client, LocalCluster, as_completed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dedup.files import FileError

__all__ = ["Bars", "connect"]


class Bars:
    """A progress bar per step on standard error, if that is a terminal."""

    def __enter__(self) -> "Bars":
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def follow(self, name: str, futures: Sequence[Any]) -> None:
        """Waits for futures; raises the error of the first that fails."""
        task = self._bars.add_task(name, total=len(futures))
        for future in as_completed(futures):
            if future.status == "error":
                future.result()
            self._bars.advance(task)


@contextmanager
def connect(scheduler: str | None, workers: int | None) -> Iterator[Client]:
    """A client of the scheduler, or of a local cluster of processes. Raises FileError if none answers."""
    shuffle_log = logging.getLogger("distributed.shuffle")
    shuffle_log.setLevel(logging.ERROR)  # warns at the beginning of every shuffle
    if scheduler is None:
        with (
            LocalCluster(
                n_workers=workers or os.cpu_count() or 1,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise FileError(f"{scheduler}: no Dask scheduler answers there") from error
    with client:
        yield client
