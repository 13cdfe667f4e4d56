"""64-bit hashes in NumPy arrays, and SplitMix64, which mixes them.

Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
"""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["GOLDEN_GAMMA", "Hashes", "check_hashes", "splitmix64"]

Hashes: TypeAlias = NDArray[np.uint64]
Values = TypeVar("Values", np.uint64, NDArray[np.uint64])

GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: the increment of the generator's state


def splitmix64(state: Values) -> Values:
    """The output of the generator after `state`: a bijection of 64-bit values.

    state: uint64, an array of any shape; a scalar in compiled code only, where overflow raises no warning.
    """
    z = state + np.uint64(GOLDEN_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def check_hashes(values: object) -> None:
    """Raises ValueError for anything but an array of shape (any,) and dtype uint64 in native byte order.

    Compiled code does not check: it would read the bits of other types as other hashes.
    """
    expected = "hashes must be a NumPy array of one dimension and dtype uint64"
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{expected}, found {type(values).__name__}")
    if values.dtype != np.uint64 or values.ndim != 1:
        raise ValueError(f"{expected}, found shape {values.shape}, dtype {values.dtype.str}")
