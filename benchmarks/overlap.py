"""Scan speed of the overlap engine: text to hits, with a large set of benchmark n-grams loaded.

    python -m benchmarks.overlap TEXTS [--field NAME] [--ngrams N] [--datatrove]

TEXTS: JSON lines, plain or compressed. Speeds are bytes of UTF-8 text by seconds of CPU of this process
(`time.process_time`), so that other work on the machine disturbs them little. The benchmark is N random
hashes and the first hundred texts. With --datatrove the first megabytes go through its NGramsDecontFilter
too (`pip install datatrove nltk spacy`), alternating, with the same texts as benchmark.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from dedup.files import rows_of
from dedup.hashes import splitmix64
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import NGramHasher, hash_units
from dedup.ngrams.lookup import Lookup
from dedup.ngrams.vocabulary import vocabulary
from shards import tokenizer

ROUNDS = 5
PEER_BYTES = 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts")
    parser.add_argument("--field", default="text")
    parser.add_argument("--ngrams", type=int, default=10_000_000)
    parser.add_argument("--datatrove", action="store_true")
    arguments = parser.parse_args()
    with rows_of(arguments.texts) as rows:
        texts = [str(row[arguments.field]) for row in rows if not isinstance(row, str)]
    encoder = tokenizer.load()
    ngrams = NGramHasher(encode_batch=encoder.encode_batch, tokenizer=encoder.checksum)
    examples = texts[:100]
    column = pa.array(texts, pa.large_string())
    size = sum(len(text.encode()) for text in texts)
    ngrams.hash(examples)  # compiles, or reads the cache
    before = psutil.Process().memory_info().rss
    index = BenchmarkIndex.build([Benchmark("b", "b", [str(i) for i in range(100)], examples)], ngrams)
    random = splitmix64(np.arange(arguments.ngrams, dtype=np.uint64))
    index.lookup = Lookup(np.unique(np.concatenate([index.hashes, random])))
    del random
    print(f"{len(texts):,} texts, {size / 1e6:.1f} MB; {len(index.hashes):,} n-grams of benchmarks")
    print(f"the exact table takes {(psutil.Process().memory_info().rss - before) / 1e6:.0f} MB")
    batches = [column[start : start + 1000] for start in range(0, len(column), 1000)]

    def scan() -> None:
        for batch in batches:
            index.lookup.find(ngrams.hash(batch).hashes)

    vocabulary.cache_clear()
    print(
        f"cold: {size / seconds(scan) / 1e6:.1f} MB/s ({len(vocabulary(encoder.encode_batch)):,} words met)"
    )
    warm = [size / seconds(scan) / 1e6 for _ in range(ROUNDS)]
    print(f"warm: median {statistics.median(warm):.1f} MB/s, best {max(warm):.1f}, of {ROUNDS} rounds")
    sample, taken = [], 0
    for text in texts[50:]:
        sample.append(text)
        taken += len(text.encode())
        if taken > PEER_BYTES:
            break
    naive = [taken / seconds(lambda: by_reference(ngrams, sample)) / 1e6 for _ in range(3)]
    ours = [taken / seconds(lambda: ngrams.hash(sample)) / 1e6 for _ in range(3)]
    print(f"numpy and tiktoken, everything encoded: {statistics.median(naive):.2f} MB/s,")
    print(f"  ratio {statistics.median(ours) / statistics.median(naive):.1f}")
    memory(texts, arguments.ngrams, ngrams)
    if arguments.datatrove:
        datatrove(examples, sample, taken, index, ngrams)


def memory(texts: list[str], n_grams: int, ngrams: NGramHasher) -> None:
    """Resident memory of a fresh process that loads an index of these texts and scans them."""
    enough = int(np.searchsorted(np.cumsum(ngrams.hash(texts[:200_000]).counts), n_grams)) + 1
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        chosen = texts[:enough]
        BenchmarkIndex.build(
            [Benchmark("b", "b", [str(i) for i in range(len(chosen))], chosen)], ngrams
        ).save(str(path / "index.parquet"))
        others = pa.table({"text": pa.array(texts[enough : 2 * enough], pa.large_string())})
        pq.write_table(others, path / "texts.parquet", row_group_size=1000)
        subprocess.run([sys.executable, "-m", "benchmarks.overlap", "--scan", directory], check=True)


def scan(directory: Path) -> None:
    process, encoder = psutil.Process(), tokenizer.load()
    ngrams = NGramHasher(encode_batch=encoder.encode_batch, tokenizer=encoder.checksum)
    ngrams.hash(["warm up"])
    base = process.memory_info().rss
    index = BenchmarkIndex.load(str(directory / "index.parquet"), ngrams, texts=False)
    index.scan(ngrams.hash(["warm up"]))
    loaded, most = process.memory_info().rss, 0
    for batch in pq.ParquetFile(directory / "texts.parquet").iter_batches(1000):
        index.scan(ngrams.hash(batch["text"]))
        most = max(most, process.memory_info().rss)
    print(
        f"a scanning process: {base / 2**20:.0f} MiB before, {loaded / 2**20:.0f} with an index of "
        f"{len(index.hashes):,} distinct n-grams, "
        f"at most {most / 2**20:.0f} while scanning as many other texts"
    )


def by_reference(ngrams: NGramHasher, texts: list[str]) -> None:
    hash_units(ngrams.units(texts), ngrams.n)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def datatrove(
    examples: list[str], sample: list[str], size: int, index: BenchmarkIndex, ngrams: NGramHasher
) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter

    config = NGramsDecontConfig(n_grams=8, find_query_ngrams=False, find_overlap_ngrams=False)
    peer = NGramsDecontFilter("memory://index", config=config)
    peer._index_hashes = {  # what NGramsDecontIndexer would write for these texts
        key: "b" for text in examples for key in peer_hashes(peer, text)
    }
    documents = [Document(text=text, id=str(i)) for i, text in enumerate(sample)]
    ours, theirs = [], []
    for _ in range(3):
        theirs.append(seconds(lambda: [peer.filter(document) for document in documents]))
        ours.append(seconds(lambda: index.lookup.find(ngrams.hash(sample).hashes)))
    speeds = [size / statistics.median(times) / 1e6 for times in (ours, theirs)]
    print(f"datatrove's NGramsDecontFilter {speeds[1]:.2f} MB/s, ours {speeds[0]:.1f}")
    print(f"  ratio {speeds[0] / speeds[1]:.0f}")


def peer_hashes(peer: object, text: str) -> list[int]:
    from datatrove.utils.text import simplify_text

    words = peer.tokenizer.word_tokenize(simplify_text(text, peer.config.norm_config))  # type: ignore[attr-defined]
    return [peer.hash_func(" ".join(words[i : i + 8])) for i in range(len(words) - 7)]  # type: ignore[attr-defined]


if __name__ == "__main__":
    scan(Path(sys.argv[2])) if sys.argv[1:2] == ["--scan"] else main()
