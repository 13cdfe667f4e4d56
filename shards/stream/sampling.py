"""Which part of which row group is read when, and by which process. Pure arithmetic, no files.

An epoch is a sequence of items: windows of a fixed number of tokens, or documents. The row groups, in an
order drawn for the epoch, form one stream of units (tokens or documents), and items are cut from it one after
the other, across the borders of documents, row groups and files. The stream is divided into `interleave`
contiguous parts that are read side by side: the item at position p of the epoch is the next one of part
p mod `interleave`. So neighbours in the epoch come from distant places, and a reader holds one row group per
part.

Everything follows from the sizes of the row groups, the seed and the epoch, so the position in the epoch is
all that has to be saved to resume, whoever reads.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["EpochOrder", "Ints", "Sampler", "Span", "Step", "permutation"]

Ints = npt.NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of SplitMix64
_MASK = 2**64 - 1


class Span(NamedTuple):
    """Units [start, stop) of a row group. group: its number, from 0 in the order of the files."""

    group: int
    start: int
    stop: int


class EpochOrder:
    """The items of one epoch, in order.

    sizes: units in each row group, shape (row groups,).
    length: units per item; the last item has what is left.
    interleave: row groups read side by side, if shuffled.
    shuffle: if False, items are in the order of the files.
    n_items: the number of items. n_whole: those of full length; they come first.
    """

    def __init__(
        self, sizes: Ints, length: int, *, seed: int, epoch: int, interleave: int, shuffle: bool = True
    ) -> None:
        self._length = length
        self._parts = interleave if shuffle else 1
        self._groups = permutation(len(sizes), seed, epoch) if shuffle else np.arange(len(sizes))
        self._bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[self._groups])])
        self._total = int(self._bounds[-1])
        self.n_whole = self._total // length
        self.n_items = -(-self._total // length)

    def spans(self, positions: Ints) -> list[list[Span]]:
        """The spans that make up each item. positions: shape (items,), each in [0, n_items)."""
        starts = self._item(positions) * self._length
        stops = np.minimum(starts + self._length, self._total)
        first = np.searchsorted(self._bounds, starts, side="right") - 1
        last = np.searchsorted(self._bounds, stops, side="left") - 1
        offsets = self._bounds[first]
        result = []
        for start, stop, a, b, offset in zip(
            starts.tolist(), stops.tolist(), first.tolist(), last.tolist(), offsets.tolist(), strict=True
        ):
            if a == b:
                result.append([Span(int(self._groups[a]), start - offset, stop - offset)])
            else:
                result.append(list(self._pieces(start, stop, a, b)))
        return result

    def _item(self, positions: Ints) -> Ints:
        """The number of each item in the stream."""
        part, step = positions % self._parts, positions // self._parts
        each, longer = divmod(self.n_whole, self._parts)
        item = part * each + np.minimum(part, longer) + step
        return np.where(positions < self.n_whole, item, positions)

    def _pieces(self, start: int, stop: int, first: int, last: int) -> Iterator[Span]:
        for group in range(first, last + 1):
            low, high = int(self._bounds[group]), int(self._bounds[group + 1])
            if low < high:
                yield Span(int(self._groups[group]), max(start, low) - low, min(stop, high) - low)


class Step(NamedTuple):
    """What one process reads in a step. positions: shape (items,). done: the position of the job after it."""

    positions: Ints
    done: int


class Sampler(NamedTuple):
    """Divides an epoch over the ranks of a job, and over the worker processes of each rank."""

    rank: int = 0
    world_size: int = 1
    worker: int = 0
    num_workers: int = 1

    def steps(self, order: EpochOrder, position: int, batch_size: int, drop_last: bool) -> Iterator[Step]:
        """The steps of this worker of this rank in the rest of an epoch, from `position` on.

        A step of the job takes the next batch_size * world_size whole items, and each rank takes every
        world_size-th of them. The workers of a rank take steps in turn. So the steps of a job do not depend
        on the number of workers, nor, for the same batch_size * world_size, on the number of ranks. Two steps
        may come last: one with the items that are left, in which some ranks may have no part, and one with
        the incomplete item, for rank 0. drop_last leaves out both.
        """
        size = batch_size * self.world_size
        left = max(0, order.n_whole - position)
        n_steps = left // size if drop_last else -(-left // size)
        for number in range(self.worker, n_steps, self.num_workers):
            start = position + number * size
            stop = min(start + size, order.n_whole)
            if start + self.rank < stop:
                yield Step(np.arange(start + self.rank, stop, self.world_size), stop)
        mine = self.rank == 0 and self.worker == n_steps % self.num_workers
        if mine and not drop_last and max(position, order.n_whole) < order.n_items:
            yield Step(np.array([order.n_whole]), order.n_items)

    def n_steps(self, order: EpochOrder, batch_size: int, drop_last: bool) -> int:
        """The number of steps of this rank in a whole epoch, all workers together."""
        full, rest = divmod(order.n_whole, batch_size * self.world_size)
        if drop_last:
            return full
        return full + (self.rank < rest) + (self.rank == 0 and order.n_whole < order.n_items)


def permutation(n: int, *key: int) -> Ints:
    """A random permutation of range(n), int64, that depends on n and the key alone, on every platform.

    It is the sorting order of n outputs of SplitMix64 (Steele, Lea, Flood 2014), seeded with the mixed key.
    """
    seed = 0
    for part in key:
        seed = int(_mix(np.array([(seed + part) & _MASK], np.uint64))[0])
    values = _mix(np.arange(n, dtype=np.uint64) * np.uint64(_GOLDEN) + np.uint64(seed))
    return np.argsort(values, kind="stable")


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = values + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
