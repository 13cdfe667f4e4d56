"""What is compared with a training set: benchmarks, their own training splits, samples, held-out texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import fsspec.core
import numpy as np
from numpy.typing import NDArray

from dedup.files import READERS, uncompressed
from dedup.ngrams import benchmarks
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import NGrams
from dedup.ngrams.overlap import BenchmarkIndex
from pipeline.batch.kept import kept
from pipeline.contamination import scan
from pipeline.corpus.files import Corpus
from pipeline.errors import UserError, blaming
from pipeline.settings import Overlap
from shards import tokenizer, writer

SUFFIXES = {*READERS, ".parquet", ".txt", ".text", ".tokens", ".raw"}
HELDOUT_TEXTS = 10_000  # of the held-out split that stand beside a model's samples


def expand(path: str) -> list[tuple[str, str | None]]:
    """A file, or all test sets below a directory, with the names that tell them apart.

    Raises UserError if there is nothing.
    """
    try:
        fs, inner = fsspec.core.url_to_fs(path)
        if fs.isfile(inner):
            return [(path, None)]
        files = fs.find(inner) if fs.isdir(inner) else None
    except Exception as error:  # each filesystem raises errors of its own library
        raise UserError(f"{path}: {error}") from error
    if files is None:
        raise UserError(f"{path}: no such file")
    root = PurePosixPath(inner)
    found = sorted(f for f in files if PurePosixPath(uncompressed(f)).suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"{path}: no test sets in this directory; they end in {', '.join(sorted(SUFFIXES))}")
    return [(fs.unstrip_protocol(f), str(PurePosixPath(uncompressed(f)).relative_to(root))) for f in found]


def ngrams(settings: Overlap) -> NGrams:
    """The n-grams of the settings. Raises UserError if the tokenizer cannot be had."""
    if settings.unit == "words":
        return NGrams("words", settings.n)
    with blaming("overlap.unit"):
        encoder = tokenizer.load()
    return NGrams("tokens", settings.n, encoder.encode_batch, encoder.checksum)


def index(
    settings: Overlap, others: Sequence[Benchmark] = (), given: str = "overlap.benchmarks"
) -> BenchmarkIndex:
    """The index of the configured benchmarks, and of others after them. given: where they were named.

    Benchmarks of the same name (two files of one that is in the registry) are told apart by their files.
    Raises UserError for what is wrong with them.
    """
    with blaming(given):
        sets = [
            benchmarks.read(b.path, name=b.name, fields=b.fields, stream=b.stream)
            for b in settings.benchmarks
        ]
        return BenchmarkIndex.build([*_told_apart(sets, others), *others], ngrams(settings))


def _told_apart(sets: Sequence[Benchmark], others: Sequence[Benchmark]) -> Sequence[Benchmark]:
    """Those of the same name with the names of their files, or where these are the same, with their paths."""
    renamed = sets
    for where in (lambda b: PurePosixPath(b.source).name, lambda b: b.source):
        names = Counter(b.name for b in (*renamed, *others))
        renamed = [
            replace(b, name=f"{b.name} ({where(b)})") if names[now.name] > 1 else now
            for b, now in zip(sets, renamed, strict=True)
        ]
    return renamed


def train_splits(index: BenchmarkIndex, settings: Overlap) -> list[Benchmark | None]:
    """The benchmarks' own training splits where they are named, read as the benchmarks themselves are.

    Raises UserError if one cannot be read.
    """
    with blaming("overlap.benchmarks: train"):
        return [
            benchmarks.read(b.train, fields=entry.fields, stream=entry.stream) if b.train else None
            for b, entry in zip(settings.benchmarks, index.entries, strict=True)
        ]


def samples(paths: Sequence[str]) -> list[Benchmark]:
    """The texts that a model has made, one file after the other. Raises UserError."""
    with blaming("--samples"):
        return [benchmarks.read(path, stream=False) for path in paths]


def in_files(index: BenchmarkIndex, paths: Sequence[str]) -> NDArray[np.bool_]:
    """The n-grams of the index that are in the files of a training set, read a few megabytes at a time."""
    seen = np.zeros(len(index.hashes), np.bool_)
    with blaming("--train"):
        for path in paths:
            for texts in benchmarks.batches(path, index.ngrams.n):
                seen |= index.scan(index.ngrams.grams(texts)).seen
    return seen


def heldout(corpus: Corpus, batches: Sequence[str]) -> Benchmark | None:
    """The first HELDOUT_TEXTS texts of the held-out split, if there are any."""
    texts: list[str] = []
    for partition, share in scan.partitions(corpus, batches):
        rows = kept(partition, ["doc_id", "text"])
        texts += rows["text"].filter(writer.is_heldout(rows["doc_id"], share)).to_pylist()
        if len(texts) >= HELDOUT_TEXTS:
            break
    texts = texts[:HELDOUT_TEXTS]
    ids = [str(number) for number in range(len(texts))]
    return Benchmark("held-out split", "the corpus", ids, texts) if texts else None
