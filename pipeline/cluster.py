"""The Dask cluster of a run: one that is there, or processes on this machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster

from pipeline import settings
from pipeline.errors import UserError


@contextmanager
def connect(options: settings.Cluster) -> Iterator[Client]:
    """A client of the scheduler at `options.scheduler`, or of a local cluster that is closed at the end.

    Workers have one thread: extraction and hashing are bound by the CPU, and fetching starts its own threads.
    Raises UserError if the scheduler does not answer.
    """
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)  # it warns of every shuffle's beginning
    if options.scheduler is None:
        with (
            LocalCluster(
                n_workers=options.workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=options.memory_limit,
                dashboard_address="127.0.0.1:0",
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
