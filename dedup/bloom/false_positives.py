"""The false positive rate of a Bloom filter of n-grams, measured with n-grams that it does not hold.

The GPT-2 paper (section 4) queries one million random strings. Those consist of units that no text has;
n-grams of real words tell more about the queries that a filter is made for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dedup.bloom.bloom_filter import BloomFilter
from dedup.hashes import Hashes
from dedup.ngrams.hashing import NGramHasher, hash_sequence
from dedup.words import normalize

__all__ = ["FalsePositives", "count_false_positives"]

_CHUNK = 1_000_000  # n-grams
_EXPECTED_PRESENT = 1e-3  # at most so many of the n-grams tried may be expected to be in the texts


@dataclass(frozen=True)
class FalsePositives:
    """How many absent n-grams a filter found.

    words: how many distinct words the n-grams were drawn from. tried: how many n-grams. found: how many of
    them the filter has, None if none was tried. missing: why none was tried.
    """

    words: int
    tried: int
    found: int | None
    missing: str = ""


def count_false_positives(
    filter_: BloomFilter, ngrams: NGramHasher, texts: Iterable[str], count: int, distinct: int, seed: int
) -> FalsePositives:
    """Queries a filter for random n-grams of the words of texts.

    ngrams: what the filter was filled with. count: how many n-grams to try. distinct: how many the filter
    holds. Words of several units are left out, so that each of the n units is drawn independently: a word of
    many tokens would bring along n-grams that the texts have.

    At most `distinct` of the words**n possible n-grams are in the filter. Where more than a thousandth of one
    is to be expected among those tried, nothing is tried, since a hit would not have to be an error.
    """
    words = sorted({word for text in texts for word in normalize(text).split()})
    pool = np.unique([units[0] for units in ngrams.units(words) if len(units) == 1]).astype(np.uint64)
    if len(pool) ** ngrams.n * _EXPECTED_PRESENT < count * distinct or not len(pool):
        return FalsePositives(
            len(pool), 0, None, f"too few: random {ngrams.n}-grams of them could be in the texts by chance"
        )
    chunks = _random(pool, ngrams.n, count, seed)
    return FalsePositives(len(pool), count, sum(int(filter_.contains(hashes).sum()) for hashes in chunks))


def _random(pool: Hashes, n: int, count: int, seed: int) -> Iterator[Hashes]:
    random = np.random.default_rng(seed)
    for start in range(0, count, _CHUNK):
        yield hash_sequence(random.choice(pool, min(_CHUNK, count - start) + n - 1), n)
