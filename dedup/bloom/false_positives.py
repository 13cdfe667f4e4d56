"""How often a Bloom filter is wrong, measured with n-grams that it does not hold.

The GPT-2 paper (section 4) tries one million random strings. Those are of units that no text has; n-grams of
real words say more of the filter as it is asked in earnest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dedup.bloom.bloom_filter import BloomFilter
from dedup.ngrams.hashing import Hashes, NGrams, hash_run
from dedup.words import normalize

_AT_ONCE = 1_000_000
_RARE = 1e-3  # of the n-grams tried, how many may be expected to be in the texts after all


@dataclass(frozen=True)
class Trial:
    """How many of the n-grams tried were found.

    words: how many distinct words they were drawn from. missing: why none was tried; found is None then.
    """

    words: int
    tried: int
    found: int | None
    missing: str = ""


def real_words(
    filter_: BloomFilter, ngrams: NGrams, texts: Iterable[str], count: int, distinct: int, seed: int
) -> Trial:
    """Asks a filter for random n-grams of the words of texts.

    Words of several units are left out, so that each of the n units is drawn by itself: a word of many tokens
    would bring n-grams along that the texts have. count: how many n-grams. distinct: how many the filter
    holds: at most these can be among the words**n that are drawn from, and if a thousandth of one is to be
    expected among the n-grams tried, nothing is tried, as what is found would not be a mistake for certain.
    """
    words = sorted({word for text in texts for word in normalize(text).split()})
    pool = np.unique([units[0] for units in ngrams.units(words) if len(units) == 1]).astype(np.uint64)
    if len(pool) ** ngrams.n * _RARE < count * distinct or not len(pool):
        return Trial(
            len(pool), 0, None, f"too few: random {ngrams.n}-grams of them could be in the texts by chance"
        )
    chunks = _random(pool, ngrams.n, count, seed)
    return Trial(len(pool), count, sum(int(filter_.contains(hashes).sum()) for hashes in chunks))


def _random(pool: Hashes, n: int, count: int, seed: int) -> Iterator[Hashes]:
    random = np.random.default_rng(seed)
    for start in range(0, count, _AT_ONCE):
        yield hash_run(random.choice(pool, min(_AT_ONCE, count - start) + n - 1), n)
