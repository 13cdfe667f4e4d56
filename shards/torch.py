"""The packed reader for PyTorch and for the `Trainer` of transformers (needs the extra `torch`).

reader = PackedReader("corpus/shards/train", length=1025, batch_size=8, rank=rank, world_size=world_size)
for batch in Loader(PackedDataset(reader, batches=True), num_workers=2):
    batch["input_ids"]  # int64, shape (8, 1025)
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from shards.document_masking import document_ids, position_ids
from shards.stream import PackedReader
from shards.tokenizer import IdArray

__all__ = ["IGNORE", "Loader", "PackedDataset"]

IGNORE = -100  # the label that the losses of PyTorch and transformers ignore

Example = dict[str, torch.Tensor]


class PackedDataset(IterableDataset[Example]):
    """Windows as the models of `transformers` take them: `input_ids` and equal `labels`, int64.

    The reader decides what is read: its rank and world size split the epoch over the processes of a job, and
    the worker processes of a DataLoader take the reader's steps in turn.

    batches=True, for a `Loader` or a DataLoader with batch_size=None: an example is a batch of shape
    (batch_size, length). batches=False, for a DataLoader that makes batches itself: an example is a window of
    shape (length,), the reader's batch_size must be 1, and a last, shorter window is filled with end tokens
    whose labels are -100.

    document_masks: adds `document_ids` and `position_ids` (`shards.document_masking`), int64.

    With the Trainer of transformers, leave the reader's rank and world size alone: accelerate splits batches
    over the processes itself.

    Raises ValueError for batches=False with a reader that makes larger batches.
    """

    def __init__(self, reader: PackedReader, *, batches: bool = False, document_masks: bool = False) -> None:
        if not batches and reader.batch_size > 1:
            raise ValueError(
                f"the reader makes batches of {reader.batch_size}: give batches=True and use a Loader, "
                "or leave batches to the DataLoader and read with batch_size=1"
            )
        self.reader = reader
        self.batches = batches
        self.document_masks = document_masks

    def __len__(self) -> int:
        return len(self.reader)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration. A DataLoader with workers needs it before every epoch."""
        self.reader.set_epoch(epoch)

    def __iter__(self) -> Iterator[Example]:
        info = get_worker_info()
        steps = self.reader.for_worker(info.id, info.num_workers) if info else self.reader
        for windows in steps:
            example = self._example(windows)
            yield example if self.batches else {name: values[0] for name, values in example.items()}

    def _example(self, windows: IdArray) -> Example:
        end, n_tokens = self.reader.format.end_of_text, windows.shape[1]
        if not self.batches and n_tokens < self.reader.length:
            windows = np.pad(windows, [(0, 0), (0, self.reader.length - n_tokens)], constant_values=end)
        labels = windows.astype(np.int64)
        labels[:, n_tokens:] = IGNORE
        arrays = {"input_ids": windows, "labels": labels}
        if self.document_masks:
            arrays["document_ids"] = document_ids(windows, end)
            arrays["position_ids"] = position_ids(windows, end)
        return {name: torch.from_numpy(values.astype(np.int64)) for name, values in arrays.items()}


class Loader(DataLoader[Example]):
    """A DataLoader over the batches of a `PackedDataset`, resumable exactly with any number of workers.

    options: those of DataLoader, except for persistent workers. An iteration yields the rest of an epoch, and
    the next one starts the next epoch. The threads of the reader are usually enough: try num_workers=0 first.

    Raises ValueError for a dataset without batches=True, and for persistent workers.
    """

    dataset: PackedDataset

    def __init__(self, dataset: PackedDataset, **options: Any) -> None:
        if not dataset.batches:
            raise ValueError("a Loader needs a dataset that makes batches: give it batches=True")
        if options.get("persistent_workers"):
            raise ValueError("a Loader cannot resume in persistent workers: leave persistent_workers out")
        super().__init__(dataset, batch_size=None, **options)
        self._steps: int | None = None  # of the last iteration, if workers made them

    def __iter__(self) -> Iterator[Example]:  # type: ignore[override]
        reader = self.dataset.reader
        if not self.num_workers:
            yield from super().__iter__()
            return
        self._steps = 0
        for batch in super().__iter__():
            self._steps += 1
            yield batch
        self._steps = None
        reader.set_epoch(reader.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """The position of the last iteration: the same on all ranks after the same number of batches."""
        return self.dataset.reader.state_dict(self._steps)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to the position of a state. Raises ValueError if it is of other shards or another order."""
        self.dataset.reader.load_state_dict(state)
        self._steps = None
