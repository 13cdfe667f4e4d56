"""What edits do to the detection of a planted passage.

    python -m benchmarks.edits BENCHMARK [--passages N]

Passages of exactly so many GPT-2 tokens, whole words, are taken from a benchmark file, some of their words
are substituted, deleted, or followed by another one, at random places, and the result is planted between two
other pieces of the same file. In each cell: how many of the passage's 8-grams are still found, the longest
run of them (median), and in how many documents there is any. Prints Markdown.
"""

import argparse
import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dedup.ngrams import benchmarks
from dedup.ngrams.hashing import NGramHasher
from dedup.words import normalize
from shards import tokenizer

LENGTHS = (8, 13, 25, 50, 100)
EDITS = (0, 1, 2, 4, 8)
SEED = 1
Edit = Callable[[list[str], int, str], None]  # of words, at an index, with a word


def substitute(words: list[str], at: int, other: str) -> None:
    words[at] = other if other != words[at] else f"{other}s"


def insert(words: list[str], at: int, other: str) -> None:
    words.insert(at + 1, other)


def delete(words: list[str], at: int, other: str) -> None:
    del words[at]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("--passages", type=int, default=1000)
    arguments = parser.parse_args()
    encoder = tokenizer.load()
    ngrams = NGramHasher(encode_batch=encoder.encode_batch, tokenizer=encoder.checksum)
    words = normalize(" ".join(benchmarks.read(arguments.benchmark).texts)).split()
    ends = np.cumsum([len(units) for units in ngrams.units(words)])
    print(f"| tokens | edit | {' | '.join(f'{count} words' for count in EDITS)} |")
    print("|---:|---|" + "---:|" * len(EDITS))
    for length in LENGTHS:
        spans = drawn(ends, length, arguments.passages)
        for edit in (substitute, insert, delete):
            cells = [cell(words, spans, edit, count, ngrams) for count in EDITS]
            print(f"| {length} | {edit.__name__} | {' | '.join(cells)} |")


def drawn(ends: NDArray[np.int64], length: int, count: int) -> list[tuple[int, int]]:
    """Spans of words with exactly so many tokens. ends: where each word's tokens end."""
    starts = np.concatenate([[0], ends[:-1]])
    last = np.searchsorted(ends, starts + length)
    exact = np.flatnonzero(ends[np.minimum(last, len(ends) - 1)] == starts + length).tolist()
    return [(at, int(last[at]) + 1) for at in random.Random(SEED).sample(exact, count)]


def cell(words: list[str], spans: list[tuple[int, int]], edit: Edit, count: int, ngrams: NGramHasher) -> str:
    rng = random.Random(SEED)
    passages, documents = [], []
    for start, end in spans:
        passage = words[start:end]
        edited = list(passage)
        if count >= len(passage):
            return "–"
        for at in sorted(rng.sample(range(len(passage) - (edit is insert)), count), reverse=True):
            edit(edited, at, rng.choice(words))
        around = [rng.randrange(len(words) - 20) for _ in range(2)]
        before, after = (words[at : at + 20] for at in around)
        passages.append(" ".join(passage))
        documents.append(" ".join([*before, *edited, *after]))
    wanted, planted = ngrams.hash(passages), ngrams.hash(documents)
    shares, runs = [], []
    for i in range(len(spans)):
        mine = wanted.hashes[wanted.offsets[i] : wanted.offsets[i + 1]]
        there = planted.hashes[planted.offsets[i] : planted.offsets[i + 1]]
        shares.append(np.isin(mine, there).mean())
        runs.append(longest(np.isin(there, mine)))
    detected = np.count_nonzero(runs) / len(runs)
    return f"{np.mean(shares):.0%}, run {np.median(runs):.0f}, {detected:.1%}"


def longest(flags: NDArray[np.bool_]) -> int:
    """The most true ones in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.diff(edges)[::2].max(initial=0))


if __name__ == "__main__":
    main()
