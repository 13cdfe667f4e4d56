"""The command `webtext`: its subcommands, what it imports, and what a folder may hold where it is typed."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from pipeline import command, configuration, show_settings
from pipeline.__main__ import COMMANDS, main
from pipeline.errors import UserError
from pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
# As the installed script does: import by name, without the folder of the user.
SCRIPT = f"""
import sys
sys.path[:] = [{str(ROOT)!r}, *filter(None, sys.path)]
from pipeline.__main__ import script
script()
"""
LIGHT = """
import sys
from pipeline.__main__ import main
main(["--version"])
heavy = {"dask", "distributed", "numba", "numpy", "pandas", "pyarrow", "pydantic", "rich", "trafilatura"}
print(sorted(heavy & set(sys.modules)))
"""


def webtext(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder with modules that have the names of ours, and end whatever imports them."""
    for name in ("pipeline", "dedup"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")
    (tmp_path / "shards.py").write_text("raise SystemExit('not ours')")
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_exists_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_spec(COMMANDS[name][0]), f"webtext {name}: no such module"
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_without_a_subcommand_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    with pytest.raises(UserError, match="crwl: no such command"):
        main(["crwl"])


def test_the_version_takes_no_library_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{command.version()}\n[]\n"
    with pytest.raises(SystemExit):
        main(["crawl", "--version"])
    assert capsys.readouterr().out == f"{command.version()}\n"


def test_modules_where_the_user_stands_are_not_taken_for_ours(crowded: Path) -> None:
    """Nor by the workers: the run that is begun here ends with the stage `submissions`."""
    (crowded / "list.txt").write_text("https://a.example/\n")
    request = ("--submissions", "list.txt", "--corpus", "corpus", "--until", "submissions")
    settings = ("--set", "fetch.contact=tests@example.org", "--set", "cluster.workers=1")
    found = webtext("crawl", *request, *settings, folder=crowded)
    assert "not ours" not in found.stderr
    assert found.returncode == 0, found.stderr
    assert (crowded / "corpus/submissions/list/part-00000.parquet").is_file()


def test_a_user_error_is_one_line_and_code_2(tmp_path: Path) -> None:
    found = webtext("status", "nothing-here", folder=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("error: nothing-here")
    assert found.stderr.count("\n") == 1


def test_settings_say_where_they_were_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("pipeline:\n  links: {min_karma: 10, karma_rule: sum, rows: 7}\n  fetch:\n")
    monkeypatch.setenv("DASK_PIPELINE__LINKS__KARMA_RULE", "any")
    monkeypatch.setenv("DASK_PIPELINE__LINKS__ROWS", "8")
    arguments = ["--config", str(file), "--set", "links.rows=9"]
    show_settings.main([*arguments, "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["links.min_karma"] == {"value": 10, "origin": str(file)}
    assert shown["links.karma_rule"] == {
        "value": "any",
        "origin": "environment: DASK_PIPELINE__LINKS__KARMA_RULE",
    }
    assert shown["links.rows"] == {"value": 9, "origin": "--set"}
    assert shown["links.over_18"] == {"value": False, "origin": "default"}
    assert len(shown) == sum(len(type(group).model_fields) for _, group in Settings())
    show_settings.main([*arguments, "links"])
    table = capsys.readouterr().out
    assert "links.min_karma" in table
    assert "fetch.threads" not in table


def test_settings_as_yaml_are_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_settings.main(["--yaml", "--set", "links.min_karma=5"])
    file = tmp_path / "mine.yaml"
    file.write_text(capsys.readouterr().out)
    assert configuration.load(file) == configuration.load(None, ["links.min_karma=5"])
    assert "client_secret" not in yaml.safe_load(file.read_text())["pipeline"]["reddit"]


@pytest.mark.parametrize("form", ["--json", "--yaml", None])
def test_credentials_are_not_shown(form: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "reddit.client_secret='3f9c0'"
    show_settings.main(["--set", secret, *([form] if form else [])])
    assert "3f9c0" not in capsys.readouterr().out


def test_the_user_agent_has_the_version() -> None:
    declared = (ROOT / "pyproject.toml").read_text().partition('\nversion = "')[2].partition('"')[0]
    assert f"webtext-pipeline/{declared.rpartition('.')[0]} " in Settings().fetch.user_agent
