"""Removes or marks the near-duplicates among any texts. `webtext dedup` is the same command.

Reads Parquet and JSON Lines (.jsonl, .ndjson, .json, also with .gz, .bz2, .xz, .zst) from fsspec paths, globs
or directories. Writes Parquet: the documents that are kept, or with --annotate all of them, with the columns
`keeper` and `similarity`. The rows do not depend on the number of workers or the size of a partition.

    python -m dedup 'texts/*.jsonl.zst' unique/ --text body --id id --priority score
    python -m dedup overlap --help
"""

import argparse
import sys
from collections.abc import Sequence

from distributed import KilledWorker

from dedup.commands.cluster import Bars, connect
from dedup.minhash.dataset import ROWS, Summary, deduplicate

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code: 0, 2 for an error that the user can mend, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    try:
        with connect(options.scheduler, options.workers) as client, Bars() as bars:
            summary = deduplicate(
                options.inputs,
                options.output,
                text=options.text,
                id=options.id,
                priority=options.priority,
                threshold=options.threshold,
                annotate=options.annotate,
                rows=options.rows,
                client=client,
                progress=bars.follow,
            )
    except (ValueError, OSError, ImportError) as error:
        print(f"dedup: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KilledWorker as error:
        print(f"dedup: workers died, perhaps out of memory; use fewer --workers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dedup: interrupted; nothing was written", file=sys.stderr)
        return 130
    print(_report(summary, options.output))
    return 0


def _report(summary: Summary, output: str) -> str:
    rate = summary.documents / summary.seconds
    rows = [
        ("documents", summary.documents),
        ("kept", summary.kept),
        ("exact duplicates", summary.exact_duplicates),
        ("near-duplicates", summary.near_duplicates),
    ]
    lines = [f"{name:<17}{count:>12,}{count / summary.documents:>8.1%}" for name, count in rows]
    return "\n".join([*lines, f"{summary.seconds:.1f} s, {rate:,.0f} documents/s, in {output}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dedup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files, globs or directories of documents")
    parser.add_argument("output", metavar="OUTPUT", help="a directory that is empty or does not exist yet")
    parser.add_argument("--text", required=True, metavar="FIELD", help="the field with the text")
    parser.add_argument(
        "--id", metavar="FIELD", help="a field that is unique (default: the place in the input)"
    )
    parser.add_argument(
        "--priority",
        metavar="FIELD",
        help="a number: of near-duplicates the one with the highest is kept, then the one with the lowest id",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.7,
        metavar="SIMILARITY",
        help="Jaccard similarity of two documents' word 5-grams from which on they count as near-duplicates "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--annotate",
        action="store_true",
        help="write all documents, with the id of the one that is kept and the similarity to it",
    )
    parser.add_argument(
        "--rows",
        type=_positive,
        default=ROWS,
        metavar="N",
        help="documents of a partition, so of an output file before removal (default: %(default)s)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a running Dask scheduler, as in tcp://10.0.0.1:8786, whose workers see INPUT and OUTPUT "
        "(default: a local cluster)",
    )
    where.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="processes of the local cluster (default: one per core)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number
