"""The Dask cluster of a run: the one at an address, or processes on this machine.

On Linux these processes are forked from one that has imported the pipeline (multiprocessing's `forkserver`,
Python's default there from 3.14 on): the imports take more than a second of CPU time, once instead of for
every worker, and can begin before anything else (`prepare`). On other systems they are spawned.
"""

import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any

import dask
from distributed import Client, LocalCluster

from pipeline import settings
from pipeline.errors import UserError

__all__ = ["connect", "prepare"]

METHOD = "forkserver" if sys.platform == "linux" else "spawn"


def prepare(options: settings.Cluster) -> None:
    """Starts the process that local workers are forked from, which then loads what they need."""
    if options.scheduler is None and METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(["pipeline.stages.preload"])
        os.environ.update(_environment())  # some libraries read it only when they are imported
        forkserver.ensure_running()


def _environment() -> dict[str, str]:
    """The variables that Dask sets for its local workers, except malloc's threshold.

    With Dask's 64 kB, malloc returns larger blocks to the system at once and asks for them again: a quarter
    more CPU time in our stages.
    """
    wanted: dict[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ")
    return {name: str(value) for name, value in wanted.items() if name != "MALLOC_TRIM_THRESHOLD_"}


@contextmanager
def connect(options: settings.Cluster) -> Iterator[Client]:
    """A client of the scheduler at `options.scheduler`, or of a local cluster that is closed at the end.

    Local workers have one thread: extraction and hashing are bound by the CPU, and fetching starts its own
    threads. Raises UserError if the scheduler does not answer.
    """
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)  # it warns at the start of every shuffle
    if options.scheduler is None:
        with (
            dask.config.set(
                {
                    "distributed.worker.multiprocessing-method": METHOD,
                    "distributed.nanny.pre-spawn-environ": _environment(),
                }
            ),
            LocalCluster(
                n_workers=options.workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=options.memory_limit,
                dashboard_address="127.0.0.1:0",
                env=dict(os.environ),
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
    else:
        try:
            client = Client(options.scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{options.scheduler}: no Dask scheduler answers there; start one with `dask scheduler`, or "
                "leave --scheduler out"
            ) from error
        with client:
            yield client
