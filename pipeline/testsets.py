"""What the command `pipeline.contamination` compares: files and directories, samples, the held-out split."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import fsspec.core
import numpy as np
from numpy.typing import NDArray

from dedup import benchmarks
from dedup.files import READERS, uncompressed
from dedup.overlap import BenchmarkIndex
from pipeline import overlap
from pipeline.corpus import Corpus
from pipeline.documents import kept
from pipeline.errors import UserError
from pipeline.partitions import Table
from pipeline.settings import Overlap
from pipeline.stage import Partition
from shards import writer

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
        if not fs.isdir(inner):
            raise UserError(f"{path}: no such file")
        root = PurePosixPath(inner)
        found = sorted(f for f in fs.find(inner) if PurePosixPath(uncompressed(f)).suffix.lower() in SUFFIXES)
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"{path}: {error}") from error
    if not found:
        raise UserError(f"{path}: no test sets in this directory; they end in {', '.join(sorted(SUFFIXES))}")
    return [(fs.unstrip_protocol(f), str(PurePosixPath(uncompressed(f)).relative_to(root))) for f in found]


def index(
    settings: Overlap, samples: Sequence[str], heldout: Sequence[str] = ()
) -> tuple[BenchmarkIndex, int]:
    """The index of benchmarks, samples and held-out texts, and how many of its entries are no benchmarks.

    Raises UserError.
    """
    sets = overlap.read(settings)
    try:
        others = [benchmarks.read(path, stream=False) for path in samples]
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"--samples: {error}") from error
    if heldout:
        ids = [str(number) for number in range(len(heldout))]
        others.append(benchmarks.Benchmark("held-out split", "the corpus", ids, list(heldout)))
    try:
        return BenchmarkIndex.build([*sets, *others], overlap.ngrams(settings)), len(others)
    except ValueError as error:
        raise UserError(f"overlap.benchmarks: {error}") from error


def in_files(index: BenchmarkIndex, paths: Sequence[str]) -> NDArray[np.bool_]:
    """The n-grams of the index that are in the files of a training set, read a few megabytes at a time."""
    seen = np.zeros(len(index.hashes), np.bool_)
    for path in paths:
        try:
            for texts in benchmarks.batches(path, index.ngrams.n):
                seen |= index.scan(index.ngrams.grams(texts)).seen
        except (ValueError, OSError, ImportError) as error:
            raise UserError(f"--train: {error}") from error
    return seen


def heldout_texts(corpus: Corpus, batches: Sequence[str]) -> list[str]:
    """The first HELDOUT_TEXTS texts of the held-out split."""
    texts: list[str] = []
    for partition, share in _partitions(corpus, batches):
        rows = kept(partition, ["doc_id", "text"])
        texts += rows["text"].filter(writer.is_heldout(rows["doc_id"], share)).to_pylist()
        if len(texts) >= HELDOUT_TEXTS:
            break
    return texts[:HELDOUT_TEXTS]


def _partitions(corpus: Corpus, batches: Sequence[str]) -> Iterator[tuple[Partition, float]]:
    records = corpus.batches()
    for batch in batches:
        seal = Table(corpus, "overlap", batch).sealed()
        if seal is None:
            raise UserError(f"{corpus.url}: table 'overlap' of batch '{batch}' is not complete")
        for number in range(len(seal.parts)):
            share = float(records[batch]["settings"]["shards"]["heldout"])
            yield Partition(corpus, batch, number, Path(), lambda reason: None), share
