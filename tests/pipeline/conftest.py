from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from distributed import Client, LocalCluster

from pipeline import configuration
from pipeline.corpus.files import Corpus
from pipeline.fetch.politeness import pace, schedule
from tests import s3
from tests.pipeline.fetching import RecordedTurns


@pytest.fixture(autouse=True)
def turn_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedTurns:
    """Turns of hosts that know nothing of other tests."""
    turn_table = RecordedTurns(tmp_path / "table")
    for module in (pace, schedule):
        monkeypatch.setattr(module, "TURNS", turn_table)
    return turn_table


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    configuration.load()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.server(tmp_path_factory.mktemp("s3")):
        fsspec.filesystem("s3").mkdir("corpora")
        yield "s3://corpora"


@pytest.fixture(params=["local", "s3"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Corpus:
    if request.param == "local":
        return Corpus.create(str(tmp_path / "corpus"))
    return Corpus.create(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")
