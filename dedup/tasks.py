"""The tasks of one step on a Dask cluster: progress while they run, and none left running after an error."""

from collections.abc import Callable, Sequence
from typing import Any

from distributed import Client, wait

__all__ = ["Progress", "results", "wait_for"]

Progress = Callable[[str, Sequence[Any]], None]  # waits for the futures of a step, given its name


def wait_for(name: str, futures: Sequence[Any]) -> None:
    """The progress that shows nothing."""
    wait(futures)


def results(client: Client, progress: Progress, name: str, futures: Sequence[Any]) -> list[Any]:
    """The results of a step's futures, in their order.

    Whatever is raised meanwhile, by a task or by an interrupt: those that have not begun are cancelled, and
    the others are waited for, as they may be writing.
    """
    try:
        progress(name, futures)
        found: list[Any] = client.gather(futures)
    except BaseException:
        begun = {key for keys in client.processing().values() for key in keys}
        client.cancel([future for future in futures if future.key not in begun])
        wait([future for future in futures if future.key in begun])
        raise
    return found
