"""A preload of Dask's scheduler that kills a worker in the middle of a shuffle.

It does so in the first shuffle after each stage of tasks: when a first partition has been sent, the worker
that sent it dies, and with it the rows that it has received. Each time $KILLED gets a line.
"""

import os
from pathlib import Path
from typing import Any

import psutil
from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin


class Killer(SchedulerPlugin):
    def __init__(self, log: Path) -> None:
        self.log = log
        self.executed = False  # a task of a stage, since the last death

    def transition(self, key: Any, start: str, finish: str, *args: Any, **more: Any) -> None:
        name = str(key[0] if isinstance(key, tuple) else key)
        if finish != "memory" or start != "processing":
            return
        if name.startswith("_execute"):
            self.executed = True
        elif name.startswith("shuffle-transfer") and self.executed:
            self.executed = False
            kill(more["worker"])
            with self.log.open("a") as log:
                log.write(f"{name}\n")


def kill(address: str) -> None:
    """Kills the process that listens at an address of this machine."""
    port = int(address.rpartition(":")[2])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            psutil.Process(connection.pid).kill()
            return
    raise ProcessLookupError(address)


def dask_setup(scheduler: Scheduler) -> None:
    scheduler.add_plugin(Killer(Path(os.environ["KILLED"])))
