"""What the commands share: exit codes, errors for people, and the options that several of them have."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from pipeline.errors import UserError, one_line

__all__ = ["add_settings", "execute", "named", "overrides", "parser", "version"]


def execute(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and exits with its code.

    2 for an error that the user can mend, 3 if the same command is to be run again later, 130 if interrupted.

    Other errors are defects of this project, and end in a traceback.
    """
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it stopped", file=sys.stderr)
        sys.exit(130)


def named(paths: Sequence[str]) -> str:
    """The names of the first three files, and how many more there are, for one line of text."""
    names = [PurePosixPath(path).name for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def version() -> str:
    """The version of the installed package, as in `webtext-pipeline 0.2.0`."""
    from importlib import metadata  # takes longer than all else that `webtext --version` does

    try:
        return f"webtext-pipeline {metadata.version('webtext-pipeline')}"
    except metadata.PackageNotFoundError:
        return "webtext-pipeline, not installed: run from its source"


class _Version(argparse.Action):
    """Prints the version; looks it up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(version())
        parser.exit()


def parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """The parser of `webtext <name>`, with --version; description and epilog keep their line breaks."""
    made = argparse.ArgumentParser(
        prog=f"webtext {name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    return made


def add_settings(parser: argparse.ArgumentParser, *, scheduler: bool = True) -> None:
    """Adds --config and --set, and --scheduler for commands that run on Dask."""
    group = parser.add_argument_group("settings")
    if scheduler:
        group.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="a running Dask scheduler, as in tcp://10.0.0.1:8786; without it, a cluster of processes is "
            "started on this machine and closed at the end",
        )
    group.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="a Dask configuration file with a section `pipeline`; dask_config.yaml explains every key",
    )
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, as in --set links.min_karma=5; takes precedence over the environment "
        "(DASK_PIPELINE__…), which takes precedence over the file",
    )


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The settings given on the command line, in the form that `configuration.load` takes."""
    scheduler = getattr(arguments, "scheduler", None)
    return [*arguments.set, *([f"cluster.scheduler={scheduler}"] if scheduler else [])]
