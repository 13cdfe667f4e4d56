"""The index of all test sets: which n-grams they have, and where."""

from collections.abc import Sequence

from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import NGramHasher
from pipeline.contamination import test_sets
from pipeline.errors import as_user_error
from pipeline.settings import Overlap
from shards import tokenizer

__all__ = ["build", "ngrams"]


def ngrams(settings: Overlap) -> NGramHasher:
    """The kind of n-grams that the settings ask for. Raises UserError if the tokenizer cannot be loaded."""
    if settings.unit == "words":
        return NGramHasher("words", settings.n)
    with as_user_error("overlap.unit"):
        encoder = tokenizer.load()
    return NGramHasher("tokens", settings.n, encoder.encode_batch, encoder.checksum)


def build(
    settings: Overlap, others: Sequence[Benchmark] = (), given: str = "overlap.benchmarks"
) -> BenchmarkIndex:
    """The index of the configured benchmarks, with `others` as its last entries.

    given: the setting or options that named them, for errors. Raises UserError if one cannot be read, has no
    text, or has the name of another.
    """
    with as_user_error(given):
        return BenchmarkIndex.build(test_sets.read(settings, others), ngrams(settings))
