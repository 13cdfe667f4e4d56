"""Test sets in files: benchmarks, their own training splits, and texts that a model has made."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import fsspec.core

from dedup.files import READERS, uncompressed
from dedup.ngrams import benchmarks
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from pipeline.errors import UserError, as_user_error
from pipeline.settings import Overlap

__all__ = ["expand", "read", "samples", "train_splits"]

SUFFIXES = {*READERS, ".parquet", ".txt", ".text", ".tokens", ".raw"}


def expand(path: str) -> list[tuple[str, str | None]]:
    """A file, or every test set below a directory: pairs of an fsspec path and a name for the test set.

    The name of a file in a directory is its path below it, without compression suffix; that of a single file
    is None. Raises UserError if there is nothing.
    """
    with as_user_error(path, Exception):
        fs, inner = fsspec.core.url_to_fs(path)
        if fs.isfile(inner):
            return [(path, None)]
        files = fs.find(inner) if fs.isdir(inner) else None
    if files is None:
        raise UserError(f"{path}: no such file")
    root = PurePosixPath(inner)
    found = sorted(f for f in files if PurePosixPath(uncompressed(f)).suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"{path}: no test sets in this directory; they end in {', '.join(sorted(SUFFIXES))}")
    return [(fs.unstrip_protocol(f), str(PurePosixPath(uncompressed(f)).relative_to(root))) for f in found]


def read(settings: Overlap, others: Sequence[Benchmark] = ()) -> list[Benchmark]:
    """The configured benchmarks, each with a name of its own, and `others` after them.

    Benchmarks of the same name (two files of one that is in the registry) get the names of their files added,
    or, where these are the same, their paths. Raises OSError for a missing file, `dedup.files.FileError`, a
    ValueError, for one that cannot be read.
    """
    sets = [
        benchmarks.read(b.path, name=b.name, fields=b.fields, stream=b.stream) for b in settings.benchmarks
    ]
    return [*benchmarks.with_unique_names(sets, others), *others]


def train_splits(index: BenchmarkIndex, settings: Overlap) -> list[Benchmark | None]:
    """For each benchmark its own training split, read as the benchmark itself is; None where none is named.

    Raises UserError if one cannot be read.
    """
    with as_user_error("overlap.benchmarks: train"):
        return [
            benchmarks.read(b.train, fields=entry.fields, stream=entry.stream) if b.train else None
            for b, entry in zip(settings.benchmarks, index.entries, strict=True)
        ]


def samples(paths: Sequence[str]) -> list[Benchmark]:
    """The texts that a model has made: a test set for each file. Raises UserError."""
    with as_user_error("--samples"):
        return [benchmarks.read(path, stream=False) for path in paths]
