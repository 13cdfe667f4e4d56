"""The Dask cluster of a run: one that is there, or processes on this machine.

On Linux the latter are forked from a process that has imported the pipeline (multiprocessing's `forkserver`,
Python's own choice there from 3.14 on): importing takes more than a second of CPU, once and not for every
worker, and it can begin before anything else (`prepare`). Elsewhere they are spawned.
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

METHOD = "forkserver" if sys.platform == "linux" else "spawn"


def prepare(options: settings.Cluster) -> None:
    """Begins to load what local workers need, in the process that they are forked from."""
    if options.scheduler is None and METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(["pipeline.stages.preload"])
        os.environ.update(_environment())  # some libraries look at it once, when they are imported
        forkserver.ensure_running()


def _environment() -> dict[str, str]:
    """What Dask sets for its local workers, threads of libraries above all, but for malloc's threshold.

    With its 64 kB malloc gives back all larger memory at once, to ask for it again: a quarter more CPU time
    in our stages.
    """
    wanted: dict[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ")
    return {name: str(value) for name, value in wanted.items() if name != "MALLOC_TRIM_THRESHOLD_"}


@contextmanager
def connect(options: settings.Cluster) -> Iterator[Client]:
    """A client of the scheduler at `options.scheduler`, or of a local cluster that is closed at the end.

    Workers have one thread: extraction and hashing are bound by the CPU, and fetching starts its own threads.
    Raises UserError if the scheduler does not answer.
    """
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)  # it warns of every shuffle's beginning
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
