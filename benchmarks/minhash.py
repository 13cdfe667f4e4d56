"""Signatures on one core: text to (n, 128), against datasketch and rensa on the same shingles.

    python -m benchmarks.minhash [--texts FILE.ndjson[.zst]] [--documents 5000] [--rounds 5]

Contenders run in turn, each in every round; medians of processor time, so that a second thread is no help.
Peers are given their words by `dedup.words.normalize`, which is faster than a regular expression. A peer that
is not installed is skipped.
"""

import argparse
import io
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
import zstandard
from datasketch import MinHash

from dedup import words
from dedup.minhash import signatures

Contender = Callable[[Sequence[str]], Any]


def texts_of(path: Path | None, count: int) -> list[str]:
    """Texts of a file of JSON lines (`text` or `selftext`), or made-up ones."""
    if path is None:
        rng = random.Random(0)
        vocabulary = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 9))) for _ in range(20_000)]
        return [" ".join(rng.choices(vocabulary, k=rng.randint(50, 900))) for _ in range(count)]
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file) if path.suffix == ".zst" else file
        rows = (json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8"))
        texts = [text for row in rows if (text := row.get("text") or row.get("selftext"))]
    return texts[:count]


def shingles(text: str) -> list[str]:
    """The word 5-grams that all contenders sketch, as strings."""
    found = words.normalize(text).split()
    return [" ".join(found[i : i + 5]) for i in range(max(1, len(found) - 4))] if found else []


def this_kernel(column: pa.Array) -> Contender:
    return lambda texts: signatures.minhash_signatures(column)


def by_datasketch(texts: Sequence[str]) -> Any:
    empty = MinHash(num_perm=128, seed=1, hashfunc=xxhash.xxh32_intdigest)
    rows = np.empty((len(texts), 128), np.uint32)
    for row, text in enumerate(texts):
        sketch = empty.copy()
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
        rows[row] = sketch.hashvalues
    return rows


def rensa_contenders() -> dict[str, Contender]:
    """Every batch interface of rensa, and its plain one: the fastest counts."""
    try:
        import rensa
    except ImportError:
        print("rensa: not installed, skipped (pip install rensa)")
        return {}

    def plain(texts: Sequence[str]) -> Any:
        found = []
        for text in texts:
            sketch = rensa.RMinHash(num_perm=128, seed=1)
            sketch.update(shingles(text))
            found.append(sketch.digest())
        return found

    def compact(texts: Sequence[str]) -> Any:
        found = []
        for text in texts:
            sketch = rensa.CMinHash(num_perm=128, seed=1)
            sketch.update(shingles(text))
            found.append(sketch.digest())
        return found

    def batch(texts: Sequence[str]) -> Any:
        return rensa.RMinHash.digest_matrix_from_token_sets(
            [shingles(text) for text in texts], num_perm=128, seed=1
        )

    def rho(texts: Sequence[str]) -> Any:
        return rensa.RMinHash.digest_matrix_from_token_sets_rho(
            [shingles(text) for text in texts], num_perm=128, seed=1
        )

    return {
        "rensa RMinHash.update": plain,
        "rensa CMinHash.update": compact,
        "rensa digest_matrix_from_token_sets": batch,
        "rensa digest_matrix_from_token_sets_rho": rho,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=Path, help="JSON lines; without it the texts are made up")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = texts_of(arguments.texts, arguments.documents)
    column = pa.array(texts, pa.large_string())
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {size:.1f} MB, load average {os.getloadavg()[0]:.1f}")
    ours = "this package"
    contenders: dict[str, Contender] = {
        ours: this_kernel(column),
        "datasketch update_batch, xxh32": by_datasketch,
    }
    contenders |= rensa_contenders()
    for contender in contenders.values():
        contender(texts[:50])
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name, contender in contenders.items():
            started = time.process_time()
            contender(texts)
            seconds[name].append(time.process_time() - started)
    best = statistics.median(seconds[ours])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        print(
            f"{name:<42} {1e3 * median / len(texts):8.4f} ms/document {size / median:8.1f} MB/s"
            f"  this is {median / best:6.1f} x as fast"
        )


if __name__ == "__main__":
    main()
