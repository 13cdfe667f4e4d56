"""N-grams of texts, and their overlap with benchmarks.

    ngrams = NGramHasher("words", 8)
    index = BenchmarkIndex.build([read_benchmark("test.jsonl")], ngrams)
    result = index.scan(ngrams.hash(texts))
    index.overlaps(result.seen)

`dedup.ngrams.matches` finds where a document and a benchmark agree, `dedup.ngrams.passages` quotes it.
"""

from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.benchmarks import read as read_benchmark
from dedup.ngrams.encoders import gpt2_encoder
from dedup.ngrams.hashing import HashedNGrams, NGramHasher
from dedup.ngrams.results import BenchmarkOverlap, ScanResult, Share

__all__ = [
    "Benchmark",
    "BenchmarkIndex",
    "BenchmarkOverlap",
    "HashedNGrams",
    "NGramHasher",
    "ScanResult",
    "Share",
    "gpt2_encoder",
    "read_benchmark",
]
