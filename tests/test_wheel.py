"""The wheel holds all that lies in the packages, and what the metadata promises."""

import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
PACKAGES = ("dedup", "pipeline", "shards")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    directory = str(tmp_path_factory.mktemp("wheel"))
    path = next(WheelBuilder(str(ROOT)).build(directory=directory, versions=["standard"]))
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return message_from_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))))


def test_every_file_of_the_packages_is_in_it(wheel: zipfile.ZipFile) -> None:
    in_tree = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert in_wheel == in_tree
    assert {
        "pipeline/dask_config.yaml",
        "pipeline/extraction/notices.yaml",
        "pipeline/contamination/templates/contamination.js",
        "pipeline/demo/submissions.ndjson.zst",
        "dedup/ngrams/registry.json",
        "shards/py.typed",
    } <= in_wheel


def test_the_configuration_is_the_file_itself(wheel: zipfile.ZipFile) -> None:
    """In the tree it is a link to dask_config.yaml."""
    assert wheel.read("pipeline/dask_config.yaml") == (ROOT / "dask_config.yaml").read_bytes()


def test_its_metadata_name_licence_and_command(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    entries = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "webtext = pipeline.__main__:script" in wheel.read(entries).decode()


def test_the_changelog_knows_the_version(metadata: Message) -> None:
    assert f"\n## [{metadata['Version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_paths_in_contributing_exist() -> None:
    words = (ROOT / "CONTRIBUTING.md").read_text().split("`")[1::2]
    paths = [word for quoted in words for word in quoted.split() if "/" in word]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
