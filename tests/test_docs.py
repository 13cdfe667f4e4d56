"""The examples of these pages run: Python and console blocks in order, in an empty directory per page."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("docs/dedup.md", "docs/shards.md")
EXTRAS = {"torch"}  # packages that an example may need and that need not be installed
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_command(command: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.fixture
def dask_defaults() -> Iterator[None]:
    """The configuration of a reader, whatever a test before has loaded."""
    with dask.config.set({"dataframe.shuffle.method": None, "dataframe.convert-string": None}):
        yield


@pytest.mark.parametrize("page", PAGES)
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dask_defaults: None) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    namespace = {"__name__": "__main__"}
    blocks = list(BLOCK.finditer(text))
    assert blocks
    missing = set()
    for block in blocks:
        language, content = block.groups()
        if language == "python":
            lines_before = text.count("\n", 0, block.start(2))
            try:
                exec(compile("\n" * lines_before + content, str(ROOT / page), "exec"), namespace)
            except ModuleNotFoundError as error:
                if error.name not in EXTRAS:
                    raise
                missing.add(error.name)
        else:
            for line in content.splitlines():
                if line.startswith("$ "):
                    run_command(line.removeprefix("$ "))
    if missing:
        pytest.skip(f"the examples that need {', '.join(missing)} did not run, all others did")
