"""`webtext` (`python -m pipeline`): one entry point, with a subcommand for each command of the project.

A subcommand is imported when it is asked for: `webtext --version` imports none of the libraries.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from pipeline import command
from pipeline.errors import UserError

__all__ = ["COMMANDS", "main", "script"]

COMMANDS = {  # subcommand -> its module, and what it does
    "crawl": ("pipeline.crawl", "build one batch of a corpus, from submissions to shards"),
    "status": ("pipeline.status", "what a corpus holds, and what became of a URL"),
    "contamination": ("pipeline.contamination.__main__", "which share of a test set is in a training set"),
    "settings": ("pipeline.show_settings", "every setting, its value, and where it was set"),
    "dedup": ("dedup.__main__", "near-duplicates and n-gram overlap of any texts"),
    "shards": ("shards.__main__", "any texts to token shards"),
    "verify": ("shards.verify", "check shards against their manifests and their texts"),
    "export": ("shards.export", "shards in the formats of other trainers"),
}
HELP = (
    "usage: webtext COMMAND ...\n\nFrom Reddit submissions to GPT-2-tokenized Parquet shards.\n\ncommands:\n"
    + "".join(f"  {name:<14} {what}\n" for name, (_, what) in COMMANDS.items())
    + "\n`webtext COMMAND --help` explains a command; `webtext --version` prints the version.\n"
)


def main(argv: Sequence[str] | None = None) -> int | None:
    """Runs the subcommand that the first argument names, with those that follow it.

    Returns its exit code; None is 0. Raises UserError, also if there is no such subcommand.
    """
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if name == "--version":
        print(command.version())
        return 0
    if name not in COMMANDS:
        raise UserError(f"{name}: no such command; there are {', '.join(COMMANDS)}")
    run: Callable[[Sequence[str]], int | None] = import_module(COMMANDS[name][0]).main
    return run(rest)


def script() -> None:
    """The console script `webtext`: `main`, whatever lies in the folder where the user stands.

    The interpreter that local workers are forked from is started by `python -c`, which puts that folder
    before the installed packages: a `pipeline/` in it would be taken for ours, and run. PYTHONSAFEPATH keeps
    it out (https://docs.python.org/3/using/cmdline.html#envvar-PYTHONSAFEPATH).
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    command.execute(main)


if __name__ == "__main__":
    command.execute(main)
