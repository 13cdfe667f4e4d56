"""Measures the n-gram overlap of texts with benchmarks. `webtext dedup overlap` is the same command.

Tells which share of a benchmark's n-grams is in the texts: of all its n-grams (occurrences), or of the
distinct ones; and how many of its examples share at least one n-gram with them.

TRAIN and FILE are fsspec paths, globs or directories of Parquet, JSON Lines, JSON, CSV, TSV (also with .gz,
.bz2, .xz, .zst) or text. The fields of well-known benchmarks are known; see also --fields. The numbers do not
depend on the number of workers.

    python -m dedup overlap 'texts/*.jsonl.zst' --text body --benchmark gsm8k/test.jsonl wiki.test.tokens

N-grams are 8 words by default. The GPT-2 paper counts 8 tokens of its vocabulary, which are shorter and are
found more often: --unit tokens does the same with tiktoken's encoding "gpt2".
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import fsspec
from distributed import KilledWorker

from dedup.commands.cluster import Bars, connect
from dedup.files import FileError, find_files
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import read, with_unique_names
from dedup.ngrams.dataset import TrainingOverlap, measure
from dedup.ngrams.encoders import gpt2_encoder
from dedup.ngrams.hashing import NGramHasher
from dedup.ngrams.results import Share
from dedup.ngrams.training_files import SUFFIXES

__all__ = ["main"]

SCHEMA = 1  # of the JSON report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code: 0, 2 for an error that the user can mend, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    try:
        index = _index(options)
        with connect(options.scheduler, options.workers) as client, Bars() as bars:
            result = measure(
                options.train,
                index,
                text=options.text,
                annotate=options.annotate,
                client=client,
                progress=bars.follow,
            )
        if options.output:
            with fsspec.open(options.output, "w", encoding="utf-8") as file:
                json.dump(_json(index, result), file, indent=1)
                file.write("\n")
    except (ValueError, OSError, ImportError) as error:
        return _failed(str(error), 2)
    except KilledWorker as error:
        return _failed(f"workers died, perhaps out of memory; use fewer --workers: {error}", 2)
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    print(_table(index, result))
    return 0


def _failed(message: str, code: int) -> int:
    print(f"dedup overlap: {' '.join(message.split())}", file=sys.stderr)
    return code


def _index(options: argparse.Namespace) -> BenchmarkIndex:
    files = [file for url in options.benchmark for file in find_files(url, SUFFIXES)]
    benchmarks = with_unique_names([read(file, fields=options.fields) for file in files])
    return BenchmarkIndex.build(benchmarks, _ngrams(options.unit, options.n))


def _ngrams(unit: str, n: int) -> NGramHasher:
    if unit == "words":
        return NGramHasher("words", n)
    try:
        encoder = gpt2_encoder()
    except (OSError, ImportError, ValueError) as error:
        raise FileError(
            "--unit tokens: tiktoken cannot get GPT-2's vocabulary; where there is no network, put its files "
            f"into TIKTOKEN_CACHE_DIR, or use --unit words: {error}"
        ) from error
    return NGramHasher("tokens", n, encoder, encoder.checksum)


def _table(index: BenchmarkIndex, result: TrainingOverlap) -> str:
    unit = index.ngrams.unit
    head = ("benchmark", f"{index.ngrams.n}-grams of {unit}", "occurrences", "distinct", "examples hit")
    rows = [
        (
            overlap.name,
            f"{overlap.occurrences.total:,}",
            f"{overlap.occurrences.hits:,} ({overlap.occurrences.share:.3%})",
            f"{overlap.distinct.hits:,} ({overlap.distinct.share:.3%})",
            f"{overlap.examples.hits:,} of {overlap.examples.total:,}",
        )
        for overlap in result.benchmarks
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in (head, *rows)
    ]
    lines.append(
        f"{result.documents.total:,} documents, {result.documents.hits:,} with n-grams of a benchmark "
        f"({result.documents.share:.3%}); {result.n_grams.total:,} n-grams, {result.n_grams.hits:,} of them "
        "in a benchmark"
    )
    return "\n".join(lines)


def _json(index: BenchmarkIndex, result: TrainingOverlap) -> dict[str, Any]:
    entries = [
        {**asdict(entry), **_shares(asdict(overlap))}
        for entry, overlap in zip(index.entries, result.benchmarks, strict=True)
    ]
    training = _shares({"documents": asdict(result.documents), "n_grams": asdict(result.n_grams)})
    return {"schema": SCHEMA, "ngrams": index.ngrams.identity, "training": training, "benchmarks": entries}


def _shares(values: dict[str, Any]) -> dict[str, Any]:
    """The values, with `share` beside `hits` and `total`."""
    return {
        name: {**value, "share": Share(**value).share} if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dedup overlap",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("train", nargs="+", metavar="TRAIN", help="the texts: files, globs or directories")
    parser.add_argument(
        "--benchmark",
        nargs="+",
        action="extend",
        required=True,
        metavar="FILE",
        help="test sets; a text file of a language-modelling split is one stream, other files are examples",
    )
    parser.add_argument(
        "--text", default="text", metavar="FIELD", help="the field of TRAIN with the text (default: text)"
    )
    parser.add_argument(
        "--fields",
        nargs="+",
        metavar="FIELD",
        help="the fields of FILE that are compared (default: known or guessed), as in question choices.text",
    )
    parser.add_argument(
        "--unit", choices=("words", "tokens"), default="words", help="what n-grams are of (default: words)"
    )
    parser.add_argument("--n", type=int, default=8, help="units of an n-gram (default: %(default)s)")
    parser.add_argument("--output", metavar="JSON", help="write the report to this file, too")
    parser.add_argument(
        "--annotate",
        metavar="DIR",
        help="write the rows of TRAIN to this empty directory, each with overlap_n_grams, overlap_hits, "
        "overlap_longest_run and overlap_benchmarks",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a running Dask scheduler, as in tcp://10.0.0.1:8786, whose workers see TRAIN and DIR "
        "(default: a local cluster)",
    )
    where.add_argument(
        "--workers", type=int, metavar="N", help="processes of the local cluster (default: one per core)"
    )
    return parser
