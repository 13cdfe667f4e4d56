"""python -m dedup: near-duplicates; python -m dedup overlap: n-gram overlap with benchmarks."""

import importlib
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the subcommand that the first argument names, or `near_duplicates`; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["overlap"]:
        command, arguments = "overlap", arguments[1:]
    else:
        command = "near_duplicates"
    code: int = importlib.import_module(f"dedup.commands.{command}").main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
