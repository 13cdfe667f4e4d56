"""Reading for training: packed windows or whole documents, shuffled, split over a job, resumable exactly.

    reader = PackedReader("corpus/shards/train", length=1025, batch_size=8, seed=0)
    for epoch in range(2):
        for windows in reader:  # uint16, shape (8, 1025)
            inputs, targets = windows[:, :-1], windows[:, 1:]

The order is that of `shards.order`, with the documents shuffled within their row group. Threads read ahead of
the iteration. In memory are about `interleave` row groups and a few more, whatever the corpus has.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from shards.layout import Layout
from shards.manifest import TokenFormat
from shards.order import Ints, Order, Share, permutation
from shards.readahead import Loaded, Plan, Tables, read_ahead
from shards.reader import list_values
from shards.tokenizer import IdArray

Group = TypeVar("Group")  # a row group in memory
Batch = TypeVar("Batch")

_GROUPS_AHEAD = 2  # of items, in row groups of average size: what is read before it is needed
_ITEMS_AHEAD = 8192  # at most, as planning takes time too
_ITEMS_PLANNED = 256  # at a time


class Document(NamedTuple):
    """A document; its tokens end with the end token."""

    doc_id: str
    url: str
    tokens: IdArray


class Reader(Generic[Group, Batch]):
    """What `PackedReader` and `DocumentReader` have in common.

    paths: an fsspec path as in `shards.reader.find`, or several. An iteration gives the rest of the epoch and
    moves on to the next epoch at its end; breaking off and iterating again starts at the same place again.

    seed, shuffle, interleave make the order: `interleave` row groups are read side by side, each gives the
    next item in turn; without `shuffle` everything comes in the order of the files.

    rank, world_size: of the processes that train together; each gets its share of every step. `drop_last`
    leaves out what does not fill a step (less than batch_size * world_size items an epoch, and the one at the
    end that is not whole), so that all ranks have equally many. A row group is read by one rank only if
    `interleave` is a multiple of world_size.

    `state_dict` is the same on all ranks after the same number of steps; rank 0 has a part in all of them.
    `load_state_dict` goes on exactly there, also with another batch size or world size: the rest of the epoch
    is split anew, and as long as batch_size * world_size stays the same the steps are the same.

    threads: that read ahead. Raises FileNotFoundError and ValueError as `shards.layout.Layout.of` does,
    ValueError for shards without tokens, and in the iteration for a damaged file.
    """

    columns: tuple[str, ...]  # of the shards, that are read
    length: int  # units of an item

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
            raise ValueError("length, batch_size, interleave and threads are at least 1")
        self.layout = Layout.of(paths)
        if not self.layout.tokens.sum():
            raise ValueError(f"{paths}: the shards hold no tokens")
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.interleave = interleave
        self.share = Share(rank, world_size)
        self.drop_last = drop_last
        self.threads = threads
        self._start = self._now = (0, 0)  # epoch and position where an iteration starts, and where it is

    @property
    def format(self) -> TokenFormat:
        """What the ids mean."""
        return self.layout.format

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration reads."""
        return self._start[0]

    def set_epoch(self, epoch: int) -> None:
        """Goes to the beginning of an epoch; stays where it is if this is the current one."""
        if epoch != self.epoch:
            self._start = self._now = (epoch, 0)

    def state_dict(self, steps: int | None = None) -> dict[str, Any]:
        """Where the last iteration is, ready for JSON: what it has yielded is done.

        steps: of the iteration that were seen, for who reads through worker processes and counts himself.
        """
        epoch, position = self._now if steps is None else self._after(steps)
        return {"epoch": epoch, "position": position, **self._identity()}

    def _after(self, steps: int) -> tuple[int, int]:
        epoch, start = self._start
        order = self._order(epoch)
        size = self.batch_size * self.share.world_size
        if start + (steps - 1) * size >= order.n_whole:
            return epoch, order.n_items
        return epoch, min(start + steps * size, order.n_whole)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to where a state was taken. Raises ValueError if it is of other shards or another order."""
        for key, value in self._identity().items():
            if state.get(key) != value:
                raise ValueError(
                    f"the state was taken with {key} = {state.get(key)!r}, here it is {value!r}: "
                    "reading can only be resumed on the same shards in the same order"
                )
        self._start = self._now = (int(state["epoch"]), int(state["position"]))

    def __len__(self) -> int:
        """The steps of this rank in a whole epoch."""
        return self.share.n_steps(self._order(self.epoch), self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        yield from self.worker(0, 1)
        self._start = self._now = (epoch + 1, 0)

    def worker(self, worker: int, workers: int) -> Iterator[Batch]:
        """The part of an iteration that one of several worker processes of this rank reads: each n-th step.

        It does not move on to the next epoch: that is for who knows that all of them are at the end.
        """
        epoch, position = self._start
        order = self._order(epoch)
        tables = Tables(self.layout, list(self.columns))

        def load(group: int) -> Group:
            table = tables.read(group)
            return self._load(
                table, permutation(len(table), self.seed, epoch, group + 1) if self.shuffle else None
            )

        share = self.share._replace(worker=worker, workers=workers)
        units = float(self._sizes.mean())
        items = min(round(_GROUPS_AHEAD * units / self.length), _ITEMS_AHEAD)
        loaded = read_ahead(
            self._plans(order, share, position),
            load,
            items=max(items, 2 * self.interleave),  # no row group is dropped before its lane's next turn
            threads=self.threads,
        )
        for step in loaded:
            self._now = (epoch, step.plan.done)
            yield self._batch(step)

    def _plans(self, order: Order, share: Share, position: int) -> Iterator[Plan]:
        steps = share.steps(order, position, self.batch_size, self.drop_last)
        while chunk := list(islice(steps, max(1, _ITEMS_PLANNED // self.batch_size))):
            spans = iter(order.spans(np.concatenate([step.positions for step in chunk])))
            for step in chunk:
                items = list(islice(spans, len(step.positions)))
                yield Plan(items, frozenset(span.group for item in items for span in item), step.done)

    def _order(self, epoch: int) -> Order:
        lanes, shuffle = self.interleave, self.shuffle
        return Order(self._sizes, self.length, seed=self.seed, epoch=epoch, lanes=lanes, shuffle=shuffle)

    def _identity(self) -> dict[str, Any]:
        return {
            "shards": self.layout.fingerprint,
            "length": self.length,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "interleave": self.interleave,
        }

    @property
    def _sizes(self) -> Ints:
        """Units of each row group."""
        raise NotImplementedError

    def _load(self, table: pa.Table, order: Ints | None) -> Group:
        """A row group as it stays in memory, its documents in this order."""
        raise NotImplementedError

    def _batch(self, step: Loaded[Group]) -> Batch:
        raise NotImplementedError


class PackedReader(Reader[IdArray, IdArray]):
    """Windows of `length` tokens, cut from the documents laid end to end. Every token is in one window.

    Yields ids of the tokenizer's dtype, shape (batch_size, length), a new array each. The last steps of an
    epoch have what is left: one with fewer windows, then one with a single shorter window. Use length =
    context + 1 to train on windows[:, :-1] and windows[:, 1:]. Where documents end inside a window:
    `shards.boundaries`.
    """

    columns = ("tokens",)

    def __init__(self, paths: str | Iterable[str], length: int, **options: Any) -> None:
        self.length = length
        super().__init__(paths, **options)

    @property
    def _sizes(self) -> Ints:
        return self.layout.tokens

    def _load(self, table: pa.Table, order: Ints | None) -> IdArray:
        ids, bounds = list_values(table["tokens"])
        if order is None:
            return ids
        offsets = bounds.tolist()
        # Arrow's pool gives memory back; among blocks of this size, malloc keeps ever more holes
        shuffled = np.frombuffer(pa.allocate_buffer(ids.nbytes), ids.dtype)
        pieces = [ids[offsets[row] : offsets[row + 1]] for row in order.tolist()]
        return np.concatenate(pieces, out=shuffled)

    def _batch(self, step: Loaded[IdArray]) -> IdArray:
        items, groups = step.plan.items, step.groups
        n_tokens = sum(span.stop - span.start for span in items[0])
        windows = np.empty((len(items), n_tokens), self.format.dtype)
        for window, item in zip(windows, items, strict=True):
            if len(item) == 1:
                group, start, stop = item[0]
                window[:] = groups[group][start:stop]
            else:
                np.concatenate([groups[group][start:stop] for group, start, stop in item], out=window)
        return windows


class DocumentReader(Reader[list[Document], list[Document]]):
    """Whole documents, however long: yields lists of `batch_size` documents, at the end of an epoch fewer."""

    columns = ("doc_id", "url", "tokens")
    length = 1

    @property
    def _sizes(self) -> Ints:
        return self.layout.documents

    def _load(self, table: pa.Table, order: Ints | None) -> list[Document]:
        ids, bounds = list_values(table["tokens"])
        offsets = bounds.tolist()
        doc_ids, urls = table["doc_id"].to_pylist(), table["url"].to_pylist()
        rows = range(len(table)) if order is None else order.tolist()
        return [Document(doc_ids[row], urls[row], ids[offsets[row] : offsets[row + 1]]) for row in rows]

    def _batch(self, step: Loaded[list[Document]]) -> list[Document]:
        return [step.groups[group][row] for [(group, row, _)] in step.plan.items]
