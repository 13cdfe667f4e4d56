"""Document masking: arrays for attention that stays inside a document, and for positions that restart there.

All of it follows from the end tokens, since each document ends with one and has no other.
"""

import numpy as np
import numpy.typing as npt

from shards.tokenizer import IdArray

__all__ = ["cu_seqlens", "document_ids", "position_ids"]

Ints = npt.NDArray[np.int32]


def document_ids(windows: IdArray, end_of_text: int) -> Ints:
    """The number of each token's document within its window, from 0: int32, shape (batch, length).

    windows: ids, shape (batch, length). An end token belongs to the document that it ends. Two tokens of a
    window may attend to each other if their numbers are equal: `ids[:, :, None] == ids[:, None, :]`.
    """
    ends = windows == end_of_text
    numbers: Ints = np.cumsum(ends, axis=1, dtype=np.int32) - ends
    return numbers


def position_ids(windows: IdArray, end_of_text: int) -> Ints:
    """The position of each token in its document, from 0 at the window's start: int32, shape (batch, length).

    windows: ids, shape (batch, length). For models that take `position_ids`; `transformers` with
    FlashAttention also keeps documents apart by them.
    """
    places = np.arange(windows.shape[1], dtype=np.int32)
    starts = np.zeros(windows.shape, np.int32)
    starts[:, 1:] = np.where(windows[:, :-1] == end_of_text, places[1:], 0)
    return places - np.maximum.accumulate(starts, axis=1)


def cu_seqlens(windows: IdArray, end_of_text: int) -> Ints:
    """The cumulative lengths of the documents in the windows laid end to end: int32, shape (documents + 1,).

    windows: ids, shape (batch, length). For the `cu_seqlens` arguments of FlashAttention's functions for
    sequences of various lengths. A document that crosses the border of a window counts as two.
    """
    begins = np.zeros(windows.shape, np.bool_)
    begins[:, 0] = True
    begins[:, 1:] = windows[:, :-1] == end_of_text
    return np.append(np.flatnonzero(begins), windows.size).astype(np.int32)
