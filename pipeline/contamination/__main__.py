"""`python -m pipeline.contamination`: which share of a test set is in a training set, at any time."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import fsspec
import numpy as np
from rich.console import Console

from dedup.ngrams.shares import Overlap
from pipeline import command, configuration
from pipeline.batch.cluster import connect
from pipeline.contamination import bloom_filter, findings, scan, test_sets, views
from pipeline.contamination.results import Report
from pipeline.corpus.files import Corpus
from pipeline.errors import UserError, blaming
from pipeline.settings import Benchmark, Settings

DESCRIPTION = """\
Says which share of the n-grams (8 GPT-2 tokens, if not set otherwise) of each test set is in a training set:
in the Bloom filters of a corpus's committed batches, which takes seconds and opens no document; with
--evidence in the documents themselves, which also tells in which; with --train in other files.
"""
EPILOG = """\
Test sets are JSON lines, JSON, Parquet, CSV, TSV or text files, plain or as .gz, .bz2, .xz or .zst.

examples:
  python -m pipeline.contamination corpus/ --benchmark lambada_test.jsonl --output report/
  python -m pipeline.contamination corpus/ --benchmark quiz.jsonl --fields question,answer --evidence
  python -m pipeline.contamination --train wiki.train.tokens --benchmark wiki.test.tokens
  python -m pipeline.contamination corpus/ --samples generated.jsonl
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
    result = examine(corpus, batches, settings, *paths, arguments.evidence)
    Console().print(views.to_terminal(result))
    for ending, text in views.files(result).items():
        _write(f"{arguments.output.rstrip('/')}/report.{ending}", text)


def examine(
    corpus: Corpus | None,
    batches: Sequence[str],
    settings: Settings,
    train: Sequence[str],
    samples: Sequence[str],
    evidence: bool,
) -> Report:
    """The report on the benchmarks of `settings.overlap`.

    corpus and batches: the training set, or None. train: files of a training set, reported as `own_train`.
    samples: files of texts that a model has made.
    evidence: look into the documents of the corpus, on Dask, rather than into its filters.
    """
    others = test_sets.samples(samples)
    if corpus and others and (heldout := test_sets.heldout(corpus, batches)):
        others.append(heldout)
    index = test_sets.index(settings.overlap, others, "--benchmark, --samples" if others else "--benchmark")
    own: Sequence[Overlap | None] = [None] * len(index.entries)
    seen = np.zeros(len(index.hashes), np.bool_)
    if train:
        seen = test_sets.in_files(index, train)
        own = index.shares(seen)
    if corpus is None:
        result = findings.assemble(
            index,
            subject=f"training set {command.named(train)}",
            training_set=f"own training split: {', '.join(train)}",
            own_train=own,
            seen=seen,
            samples=len(others),
        )
        without = [[replace(b, corpus=None) for b in sets] for sets in (result.benchmarks, result.samples)]
        return replace(result, benchmarks=without[0], samples=without[1])
    quotes, documents, records = None, None, []
    if evidence:
        with connect(settings.cluster) as client:
            seen, quotes, documents = scan.look_through(client, corpus, batches, index)
    else:
        seen = np.zeros(len(index.hashes), np.bool_)
        for batch in batches:
            found, record = bloom_filter.load(corpus, batch, index.ngrams)
            seen |= found.contains(index.hashes)
            records.append((bloom_filter.name(batch), record))
    named = f"{'batches' if len(batches) > 1 else 'batch'} {', '.join(batches)}"
    return findings.assemble(
        index,
        subject=f"corpus {corpus.id}, {named}",
        training_set=f"the documents of {named} that are not held out"
        + (f"; own training split: {', '.join(train)}" if train else ""),
        own_train=own,
        seen=seen,
        evidence=quotes,
        documents=documents,
        filters=records,
        samples=len(others),
    )


def _write(url: str, text: str) -> None:
    with (
        blaming(f"--output: cannot write {url}"),
        fsspec.open(url, "w", encoding="utf-8", auto_mkdir=True) as file,
    ):
        file.write(text)
    Console(stderr=True).print(url, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("contamination", DESCRIPTION, EPILOG)
    parser.add_argument("corpus", metavar="CORPUS", nargs="?", help="where the corpus lies; any fsspec URL")
    parser.add_argument(
        "--benchmark", metavar="FILE|DIR", nargs="+", default=[], help="test sets, or directories of such"
    )
    parser.add_argument(
        "--samples",
        metavar="FILE",
        nargs="+",
        default=[],
        help="texts that a model has made: the distribution of their overlap, beside the held-out split's",
    )
    parser.add_argument(
        "--fields",
        metavar="NAME,NAME",
        help="which fields of a row are its text, dotted where nested (choices.text); without it they are "
        "known for well-known benchmarks, or guessed from their names",
    )
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="read a test set as one text, or example by example (a text file: line by line); by default "
        "text files are one text",
    )
    parser.add_argument(
        "--train", metavar="FILE|DIR", nargs="+", default=[], help="a training set in files of its own"
    )
    parser.add_argument(
        "--evidence", action="store_true", help="scan the documents, and quote the passages and their URLs"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="contamination-report",
        help="where report.json, report.html and report.md go (default: %(default)s)",
    )
    command.add_settings(parser)
    return parser


if __name__ == "__main__":
    command.execute(main)
