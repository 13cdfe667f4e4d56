"""The size of a blocked Bloom filter (`dedup.bloom.bloom_filter`) for a false positive rate."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS", "BLOCK", "MIN_BLOCKS", "block_false_positive_rate", "blocks_needed"]

BLOCK = 512  # bits: a cache line
BITS = 7  # an item's bits in each of its blocks
MIN_BLOCKS = 1024  # a filter made for a rate has at least these: with fewer, their fill varies too much


def blocks_needed(items: int, blocks_per_item: int, rate: float) -> int:
    """The number of blocks with which `items` distinct items have at most this rate, by bisection."""
    items = max(items, 1)
    target = rate ** (1 / blocks_per_item)
    few, enough = 0, MIN_BLOCKS
    while block_false_positive_rate(items * blocks_per_item / enough, enough) > target:
        few, enough = enough, 2 * enough
    while enough - few > max(1, enough >> 20):
        middle = (few + enough) // 2
        if (
            middle >= MIN_BLOCKS
            and block_false_positive_rate(items * blocks_per_item / middle, middle) <= target
        ):
            enough = middle
        else:
            few = middle
    return enough


def block_false_positive_rate(load: float, n_blocks: int) -> float:
    """The probability that seven random bits of a block are all set, with `load` items per block on average.

    The number of items in a block follows a Poisson distribution. Three standard errors of the mean over
    `n_blocks` blocks are added.
    """
    rates = _rates()
    loads = np.arange(len(rates))
    log_factorials = np.concatenate([np.zeros(1), np.cumsum(np.log(loads[1:]))])
    weights = np.exp(loads * math.log(load) - load - log_factorials)
    weights[-1] += max(0.0, 1 - float(weights.sum()))  # blocks beyond the table count as full
    mean = float(weights @ rates)
    return mean + 3 * math.sqrt(max(0.0, float(weights @ rates**2) - mean**2) / n_blocks)


@lru_cache(maxsize=1)
def _rates() -> NDArray[np.float64]:
    """The same probability in a block of exactly n items: shape (1025,), by n; 1 for the last.

    Exact: the distribution of the number of set bits is computed one bit after the other.
    """
    positions = np.arange(BLOCK + 1) / BLOCK
    ones = np.zeros(BLOCK + 1)
    ones[0] = 1
    result = np.ones(2 * BLOCK + 1)
    for items in range(2 * BLOCK):
        result[items] = ones @ positions**BITS
        for _ in range(BITS):
            new = ones * (1 - positions)
            ones *= positions
            ones[1:] += new[:-1]
    return result
