"""The common part of the readers for training: the position in an epoch, its state, and the iteration."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np
import pyarrow as pa

from shards.manifest import TokenFormat
from shards.stream.prefetching import Loaded, Plan, prefetch
from shards.stream.row_group_reader import RowGroupReader
from shards.stream.row_groups import RowGroupIndex
from shards.stream.sampling import EpochOrder, Ints, Sampler, permutation

__all__ = ["Options", "Reader"]

Group = TypeVar("Group")  # a row group in memory
Batch = TypeVar("Batch")

_GROUPS_AHEAD = 2  # row groups of average size to read before they are needed, in items
_ITEMS_AHEAD = 8192  # at most: planning takes time too
_ITEMS_PLANNED = 256  # at a time


class Options(TypedDict, total=False):
    """The options that all readers take; `Reader` explains them."""

    batch_size: int
    seed: int
    shuffle: bool
    interleave: int
    rank: int
    world_size: int
    drop_last: bool
    threads: int


class Reader(Generic[Group, Batch]):
    """Reads shards for training, shuffled, split over ranks and workers, resumable. The base of the readers.

    paths: an fsspec path (see `shards.reader.find_shards`), or several. An iteration yields the rest of the
    epoch, and the next iteration starts the next epoch. Breaking off and iterating again starts at the same
    place again.

    seed, shuffle, interleave: define the order. `interleave` row groups are read side by side, each yielding
    an item in turn. Without `shuffle`, everything comes in the order of the files.

    rank, world_size: this process among those that train together; each gets its part of every step. A row
    group is read by a single rank only if `interleave` is a multiple of world_size.

    drop_last: leave out what does not fill a step (less than batch_size * world_size items at the end of an
    epoch, and the one incomplete item), so that all ranks have the same number of steps.

    threads: the number of threads that read ahead.

    `state_dict` is the same on all ranks after the same number of steps; rank 0 has a part in every step.
    `load_state_dict` continues exactly there, even with another batch size or world size: the rest of the
    epoch is split anew, and the steps stay the same as long as batch_size * world_size does.

    Raises FileNotFoundError and ValueError as `RowGroupIndex.of` does, ValueError for shards without tokens
    and for options out of range, and while iterating, for a file that is missing, damaged or changed.
    """

    columns: tuple[str, ...]  # the columns of the shards to read
    length: int  # units (tokens or documents) per item

    def __init__(
        self,
        paths: str | Iterable[str],
        *,
        batch_size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        interleave: int = 32,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        threads: int = 4,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}: ranks are 0 to world_size - 1")
        if min(batch_size, interleave, threads, self.length) < 1:
            raise ValueError("length, batch_size, interleave and threads must be at least 1")
        self.row_groups = RowGroupIndex.of(paths)
        if not self.row_groups.tokens.sum():
            raise ValueError(f"{paths}: the shards hold no tokens")
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.interleave = interleave
        self.sampler = Sampler(rank, world_size)
        self.drop_last = drop_last
        self.threads = threads
        self._start = self._now = (0, 0)  # (epoch, position) where the iteration starts, and where it is

    @property
    def format(self) -> TokenFormat:
        """The tokenizer, vocabulary, dtype and end token of the ids."""
        return self.row_groups.format

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration reads, counted from 0."""
        return self._start[0]

    def set_epoch(self, epoch: int) -> None:
        """Goes to the beginning of an epoch. Does nothing if it is the current one."""
        if epoch != self.epoch:
            self._start = self._now = (epoch, 0)

    def state_dict(self, steps: int | None = None) -> dict[str, Any]:
        """The position of the last iteration, as values for JSON: what it has yielded counts as done.

        steps: how many steps of the iteration were used, for callers that read through worker processes and
        count themselves.
        """
        epoch, position = self._now if steps is None else self._after(steps)
        return {"epoch": epoch, "position": position, **self._identity()}

    def _after(self, steps: int) -> tuple[int, int]:
        epoch, start = self._start
        order = self._order(epoch)
        size = self.batch_size * self.sampler.world_size
        if start + (steps - 1) * size >= order.n_whole:
            return epoch, order.n_items
        return epoch, min(start + steps * size, order.n_whole)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to the position of a state. Raises ValueError if it is of other shards or another order."""
        for key, value in self._identity().items():
            if state.get(key) != value:
                raise ValueError(
                    f"the state was taken with {key} = {state.get(key)!r}, here it is {value!r}: "
                    "reading can only be resumed on the same shards in the same order"
                )
        self._start = self._now = (int(state["epoch"]), int(state["position"]))

    def __len__(self) -> int:
        """The number of steps of this rank in a whole epoch."""
        return self.sampler.n_steps(self._order(self.epoch), self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        yield from self.for_worker(0, 1)
        self._start = self._now = (epoch + 1, 0)

    def for_worker(self, worker: int, num_workers: int) -> Iterator[Batch]:
        """The steps of an iteration that one of several worker processes of this rank reads: every n-th one.

        Does not move on to the next epoch: the caller does, with `set_epoch`, when all workers are done.
        """
        epoch, position = self._start
        order = self._order(epoch)
        files = RowGroupReader(self.row_groups, list(self.columns))

        def load(group: int) -> Group:
            table = files.read(group)
            return self._load(
                table, permutation(len(table), self.seed, epoch, group + 1) if self.shuffle else None
            )

        sampler = self.sampler._replace(worker=worker, num_workers=num_workers)
        units = float(self._sizes.mean())
        items = min(round(_GROUPS_AHEAD * units / self.length), _ITEMS_AHEAD)
        loaded = prefetch(
            self._plans(order, sampler, position),
            load,
            items=max(items, 2 * self.interleave),  # keeps every row group until its next turn
            threads=self.threads,
        )
        for step in loaded:
            self._now = (epoch, step.plan.done)
            yield self._batch(step)

    def _plans(self, order: EpochOrder, sampler: Sampler, position: int) -> Iterator[Plan]:
        steps = sampler.steps(order, position, self.batch_size, self.drop_last)
        while chunk := list(islice(steps, max(1, _ITEMS_PLANNED // self.batch_size))):
            spans = iter(order.spans(np.concatenate([step.positions for step in chunk])))
            for step in chunk:
                items = list(islice(spans, len(step.positions)))
                yield Plan(items, frozenset(span.group for item in items for span in item), step.done)

    def _order(self, epoch: int) -> EpochOrder:
        return EpochOrder(
            self._sizes,
            self.length,
            seed=self.seed,
            epoch=epoch,
            interleave=self.interleave,
            shuffle=self.shuffle,
        )

    def _identity(self) -> dict[str, Any]:
        return {
            "shards": self.row_groups.fingerprint,
            "length": self.length,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "interleave": self.interleave,
        }

    @property
    def _sizes(self) -> Ints:
        """Units in each row group, shape (row groups,)."""
        raise NotImplementedError

    def _load(self, table: pa.Table, order: Ints | None) -> Group:
        """A row group as it is kept in memory. order: of its documents; None for that of the file."""
        raise NotImplementedError

    def _batch(self, step: Loaded[Group]) -> Batch:
        """One step for the caller."""
        raise NotImplementedError
