"""Counting distinct 64-bit hashes in constant memory, the same whatever their order and partitions.

HyperLogLog++ (Heule, Nunkesser, Hall, "HyperLogLog in practice", 2013): the estimate is datasketch's, the
registers are filled by compiled code.
"""

from typing import Self

import numpy as np
from datasketch import HyperLogLogPlusPlus
from numpy.typing import NDArray

from dedup.hashes import Hashes, check_hashes
from dedup.jit import has_numba

__all__ = ["PRECISION", "RELATIVE_ERROR", "DistinctCounter"]

PRECISION = 16  # 2**16 registers, one byte each
RELATIVE_ERROR = 1.04 / 2 ** (PRECISION / 2)  # standard error of the estimate: 0.41 %
_CHUNK = 1 << 20


class DistinctCounter:
    """Estimates how many distinct hashes it has seen. Holds 64 KiB.

    registers: shape (65536,), int8, as in datasketch's `HyperLogLogPlusPlus(p=16)`; zeros if left out. Raises
    ValueError for any other array.
    """

    def __init__(self, registers: NDArray[np.int8] | None = None) -> None:
        if registers is not None and (registers_are := _described(registers)) != _described(_empty()):
            raise ValueError(f"registers must be an array of {_described(_empty())}, found {registers_are}")
        self.registers = _empty() if registers is None else registers

    def add(self, hashes: Hashes) -> None:
        """Counts hashes, shape (any,), uint64, well mixed. Raises ValueError for any other array."""
        check_hashes(hashes)
        if not self.registers.flags.writeable:
            raise ValueError(
                "the registers are read-only: begin with a copy, DistinctCounter(registers.copy())"
            )
        for start in range(0, len(hashes), _CHUNK):
            chunk = np.ascontiguousarray(hashes[start : start + _CHUNK])
            if has_numba():
                from dedup.bloom import kernel

                kernel.raise_registers(chunk, PRECISION, self.registers)
                continue
            register = (chunk & np.uint64((1 << PRECISION) - 1)).astype(np.int64)
            rest = (chunk >> np.uint64(PRECISION)).astype(np.float64)  # 48 bits: exact
            rank = 64 - PRECISION - np.frexp(rest)[1] + 1  # leading zeros, plus one
            np.maximum.at(self.registers, register, rank.astype(np.int8))

    def __or__(self, other: Self) -> Self:
        """A counter of the distinct hashes of both."""
        return type(self)(np.maximum(self.registers, other.registers))

    def count(self) -> int:
        """The estimated number of distinct hashes."""
        return round(float(HyperLogLogPlusPlus(reg=self.registers).count()))

    def upper_bound(self) -> int:
        """An upper bound: four standard errors above the estimate (beyond it once in 30,000 counts)."""
        return int(np.ceil(self.count() * (1 + 4 * RELATIVE_ERROR)))


def _empty() -> NDArray[np.int8]:
    return np.zeros(1 << PRECISION, np.int8)


def _described(registers: object) -> str:
    if not isinstance(registers, np.ndarray):
        return type(registers).__name__
    return f"shape {registers.shape}, dtype {registers.dtype}"
