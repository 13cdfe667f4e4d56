"""What README.md and docs/*.md name is there: files, modules, settings, links, options of commands."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DEFAULTS = Settings().model_dump(mode="json")
OTHERS = {  # options of other people's commands
    *("--bind", "--directory"),  # http.server
    "--connect-to",  # curl
    "--gil",  # py-spy
    *("--host", "--nthreads", "--nworkers"),  # dask
}
PACKAGES = "pipeline|dedup|shards|benchmarks"
FILE = re.compile(r"(?<![\w./-])((?:pipeline|dedup|tests|benchmarks|examples)/[\w./-]*|shards/[\w-]+\.py)")
DOTTED = r"(?<![\w./-])((?:{})(?:\.[A-Za-z_]\w*)+)(?![\w/])"
IN_PACKAGE = re.compile(DOTTED.format(PACKAGES))
SETTING = re.compile(DOTTED.format("|".join(DEFAULTS)))
PYTHON = re.compile(r"```python.*?```", re.DOTALL)  # where `overlap.x` may be anything
NAMES_OF_FILES = (".bloom", ".html", ".json", ".md", ".parquet", ".py")
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)")
COMMAND = re.compile(rf"(webtext [a-z]+|python -m (?:dedup overlap|(?:{PACKAGES})[\w.]*))([^\n|`]*)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text(page: Path) -> str:
    """A page with its continued command lines joined."""
    return page.read_text("utf-8").replace("\\\n", " ")


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a setting, a module, or a name in one."""
    section, *keys = dotted.split(".")
    if section in DEFAULTS and len(keys) == 1 and keys[0] in DEFAULTS[section]:
        return True
    module, names = ROOT, dotted.split(".")
    while names and (module / names[0]).is_dir():
        module /= names.pop(0)
    if names and (module / f"{names[0]}.py").is_file():
        module /= names.pop(0)
    if not names:
        return True  # not imported: it may need an extra
    found: object = import_module(".".join(module.relative_to(ROOT).parts)) if module != ROOT else None
    for name in names:
        found = getattr(found, name, None)
    return found is not None


@cache
def options(command: str) -> frozenset[str]:
    """The options of a command: those of its help or, of a benchmark, those in its source."""
    program = command.removeprefix("python -m ").split()
    if command.startswith("python -m benchmarks."):
        source = (ROOT / program[0].replace(".", "/")).with_suffix(".py").read_text("utf-8")
        return frozenset(re.findall(r'"(--[a-z-]+)"', source))
    started = ["-m", *program]
    if command.startswith("webtext "):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        module, function = project["scripts"]["webtext"].split(":")
        started = ["-c", f"from {module} import {function}; {function}()", *program[1:]]
    run = [sys.executable, *started, "--help"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"{command} --help: {done.stderr}"
    return frozenset(OPTION.findall(done.stdout))


def commands(page: Path) -> Iterator[tuple[str, set[str]]]:
    """The commands of a page, each with the options that stand behind it."""
    for command, rest in COMMAND.findall(text(page)):
        yield command, set(OPTION.findall(rest))


@pages
def test_files_are_there(page: Path) -> None:
    assert {name for name in FILE.findall(text(page)) if not (ROOT / name).exists()} == set()


@pages
def test_modules_and_settings_are_there(page: Path) -> None:
    content = text(page)
    named = {*IN_PACKAGE.findall(content), *SETTING.findall(PYTHON.sub("", content))}
    assert {name for name in named if not name.endswith(NAMES_OF_FILES) and not is_there(name)} == set()


@pages
def test_links_lead_somewhere(page: Path) -> None:
    assert {link for link in LINK.findall(text(page)) if not (page.parent / link).exists()} == set()


@pages
def test_commands_have_the_options_behind_them(page: Path) -> None:
    wrong = {f"{command} {option}" for command, used in commands(page) for option in used - options(command)}
    assert wrong == set()


def test_every_option_belongs_to_a_command() -> None:
    ours = {command for page in PAGES for command, _ in commands(page)}
    ours |= {f"python -m benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    known = OTHERS.union(*map(options, ours))
    assert {option for page in PAGES for option in OPTION.findall(text(page))} - known == set()
