import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.shared import SHARED

# No test is timed: the first example may compile a kernel, and the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_report_header() -> str:
    return f"measured on: tests/data{' and the private data' if SHARED.is_dir() else ''}"


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A directory for these tests and their workers alone: crawls of a user know of each other through it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield
