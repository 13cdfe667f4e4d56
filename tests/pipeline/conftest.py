from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from pipeline.fetch import politeness
from pipeline.fetch.clock import Clock
from pipeline.settings import Settings


@pytest.fixture(autouse=True)
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Turns of hosts that know nothing of other tests."""
    clock = Clock(tmp_path / "clock")
    monkeypatch.setattr(politeness, "CLOCK", clock)
    return clock


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    Settings.load()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client
