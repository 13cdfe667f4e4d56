"""How large a blocked Bloom filter must be for a false positive rate (see `dedup.bloom.bloom_filter`)."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLOCK = 512  # bits: a cache line
BITS = 7  # of an item in each of its blocks
MIN_BLOCKS = 1024  # of a filter made for a rate: with fewer, chance decides how full they get


def blocks(items: int, blocks_per_item: int, rate: float) -> int:
    """How many blocks keep the rate with so many items: bisection over `block_rate`."""
    items = max(items, 1)
    target = rate ** (1 / blocks_per_item)
    few, enough = 0, MIN_BLOCKS
    while block_rate(items * blocks_per_item / enough, enough) > target:
        few, enough = enough, 2 * enough
    while enough - few > max(1, enough >> 20):
        middle = (few + enough) // 2
        if middle >= MIN_BLOCKS and block_rate(items * blocks_per_item / middle, middle) <= target:
            enough = middle
        else:
            few = middle
    return enough


def block_rate(load: float, n_blocks: int) -> float:
    """How often seven random bits of a block are set where blocks have `load` items on average.

    The items of a block are Poisson's. Three standard errors of the mean over all blocks are added.
    """
    rates = _rates()
    loads = np.arange(len(rates))
    log_factorials = np.concatenate([np.zeros(1), np.cumsum(np.log(loads[1:]))])
    weights = np.exp(loads * math.log(load) - load - log_factorials)
    weights[-1] += max(0.0, 1 - float(weights.sum()))  # fuller ones: as good as full
    mean = float(weights @ rates)
    return mean + 3 * math.sqrt(max(0.0, float(weights @ rates**2) - mean**2) / n_blocks)


@lru_cache(maxsize=1)
def _rates() -> NDArray[np.float64]:
    """How often seven random bits of a block of n items are set: shape (1025,), by n; 1 for the last one.

    Exact: the distribution of the number of set bits, ball by ball.
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
