"""What the commands share: errors for people, and the options that several of them have."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError, one_line


def execute(main: Callable[[], None]) -> None:
    """Runs a command. Exit codes: 0 done, 2 an error that is the user's to mend, 130 interrupted."""
    try:
        main()
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it stopped", file=sys.stderr)
        sys.exit(130)


def named(paths: Sequence[str]) -> str:
    """The names of files, for a line: three of them, and how many more there are."""
    names = [PurePosixPath(path).name for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """The parser of `python -m pipeline.<name>`; description and epilog keep their lines."""
    return argparse.ArgumentParser(
        prog=f"python -m pipeline.{name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds --scheduler, --config and --set."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a running Dask scheduler, as in tcp://10.0.0.1:8786; without it a cluster of processes is "
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
        help="one setting, as in --set links.min_karma=5; goes over the environment (DASK_PIPELINE__…), "
        "which goes over the file",
    )


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The settings given on the command line, in the form of `configuration.load`."""
    scheduler = [f"cluster.scheduler={arguments.scheduler}"] if arguments.scheduler else []
    return [*arguments.set, *scheduler]
