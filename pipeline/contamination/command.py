"""The command `python -m pipeline.contamination`: which share of a test set is in a training set."""

import argparse
from collections.abc import Sequence

import fsspec
from rich.console import Console

from pipeline import command, configuration
from pipeline.contamination import render, test_sets
from pipeline.contamination.examine import examine
from pipeline.corpus.files import Corpus
from pipeline.errors import UserError, as_user_error
from pipeline.settings import Benchmark

__all__ = ["main"]

DESCRIPTION = """\
Measures which share of the n-grams of each test set (8 GPT-2 tokens unless set otherwise) is in a training
set. Without further options that is looked up in the Bloom filters of a corpus's committed batches, which
takes seconds and reads no document; --evidence scans the documents, and quotes the passages and their URLs;
--train compares with other files.
"""
EPILOG = """\
Test sets are JSON lines, JSON, Parquet, CSV, TSV or text files, plain or as .gz, .bz2, .xz or .zst.

examples:
  webtext contamination corpus/ --benchmark lambada_test.jsonl --output report/
  webtext contamination corpus/ --benchmark quiz.jsonl --fields question,answer --evidence
  webtext contamination --train wiki.train.tokens --benchmark wiki.test.tokens
  webtext contamination corpus/ --samples generated.jsonl
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, prints the table, writes the report. Raises UserError."""
    arguments = _parser().parse_args(argv)
    if not arguments.corpus and not arguments.train:
        raise UserError("what is the training set? Name a CORPUS, or files with --train; see --help")
    if not arguments.benchmark and not arguments.samples:
        raise UserError("compared with what? Name test sets with --benchmark, or texts with --samples")
    corpus = Corpus.open(arguments.corpus) if arguments.corpus else None
    tests, train, samples = (
        [file for path in paths for file in test_sets.expand(path)]
        for paths in (arguments.benchmark, arguments.train, arguments.samples)
    )
    batches = corpus.committed() if corpus else []
    if corpus and not batches:
        raise UserError(f"{corpus.url}: no batch of this corpus is committed yet")
    settings = configuration.load(arguments.config, command.overrides(arguments))
    fields = arguments.fields.split(",") if arguments.fields else None
    sets = [Benchmark(path=path, name=name, fields=fields, stream=arguments.stream) for path, name in tests]
    asked = settings.overlap.model_copy(update={"benchmarks": sets})
    settings = settings.model_copy(update={"overlap": asked})
    paths = [path for path, _ in train], [path for path, _ in samples]
    report = examine(corpus, batches, settings, *paths, arguments.evidence)
    Console().print(render.to_terminal(report))
    for ending, text in render.files(report).items():
        _write(f"{arguments.output.rstrip('/')}/report.{ending}", text)


def _write(url: str, text: str) -> None:
    with (
        as_user_error(f"--output: cannot write {url}"),
        fsspec.open(url, "w", encoding="utf-8", auto_mkdir=True) as file,
    ):
        file.write(text)
    Console(stderr=True).print(url, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("contamination", DESCRIPTION, EPILOG)
    parser.add_argument("corpus", metavar="CORPUS", nargs="?", help="where the corpus lies; any fsspec URL")
    parser.add_argument(
        "--benchmark", metavar="FILE|DIR", nargs="+", default=[], help="test sets, or directories of them"
    )
    parser.add_argument(
        "--samples",
        metavar="FILE",
        nargs="+",
        default=[],
        help="texts that a model has made; their overlap with the training set is shown beside that of the "
        "held-out split",
    )
    parser.add_argument(
        "--fields",
        metavar="NAME,NAME",
        help="the fields of a row that are its text, dotted where nested (choices.text); by default those "
        "known of well-known benchmarks, or guessed from their names",
    )
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="read a test set as one text, or else example by example (a text file line by line); by default "
        "only text files are one text",
    )
    parser.add_argument(
        "--train", metavar="FILE|DIR", nargs="+", default=[], help="files of a training set that is no corpus"
    )
    parser.add_argument(
        "--evidence", action="store_true", help="scan the documents, and quote passages with their URLs"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="contamination-report",
        help="where to write report.json, report.html and report.md (default: %(default)s)",
    )
    command.add_settings(parser)
    return parser
