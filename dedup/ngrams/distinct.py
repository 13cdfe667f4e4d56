"""Counting distinct 64-bit hashes in constant memory, the same whatever their order and partitions.

HyperLogLog++ (Heule, Nunkesser, Hall 2013) of datasketch; only the filling of its registers is vectorised.
"""

from typing import Self

import numpy as np
from datasketch import HyperLogLogPlusPlus
from numpy.typing import NDArray

from dedup.jit import has_numba

PRECISION = 16  # 2**16 registers, one byte each
RELATIVE_ERROR = 1.04 / 2 ** (PRECISION / 2)  # standard error of the estimate: 0.41 %
_CHUNK = 1 << 20


class DistinctCounter:
    """Estimates how many distinct hashes it has seen. Holds 64 KiB.

    registers: shape (65536,), int8, as in datasketch's `HyperLogLogPlusPlus(p=16)`.
    """

    def __init__(self, registers: NDArray[np.int8] | None = None) -> None:
        self.registers = np.zeros(1 << PRECISION, np.int8) if registers is None else registers

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Sees hashes: 64 bits each, all of them well mixed."""
        if has_numba():
            from dedup.bloom import kernel as bloom_kernel

            bloom_kernel.raise_registers(hashes, PRECISION, self.registers)
            return
        for start in range(0, len(hashes), _CHUNK):
            chunk = hashes[start : start + _CHUNK]
            register = (chunk & np.uint64((1 << PRECISION) - 1)).astype(np.int64)
            rest = (chunk >> np.uint64(PRECISION)).astype(np.float64)  # 48 bits: exact
            rank = 64 - PRECISION - np.frexp(rest)[1] + 1  # leading zeros, plus one
            np.maximum.at(self.registers, register, rank.astype(np.int8))

    def __or__(self, other: Self) -> Self:
        """The counter of the union."""
        return type(self)(np.maximum(self.registers, other.registers))

    def count(self) -> int:
        """The estimate."""
        return round(float(HyperLogLogPlusPlus(reg=self.registers).count()))

    def bound(self) -> int:
        """An upper bound: four standard errors above the estimate (beyond it once in 30,000 counts)."""
        return int(np.ceil(self.count() * (1 + 4 * RELATIVE_ERROR)))
