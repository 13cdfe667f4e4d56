from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster

from pipeline.settings import Settings


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    Settings.load()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client
