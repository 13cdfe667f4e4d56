"""Documents inside packed windows, for attention that does not look across them and for positions that start
anew. All of it follows from the end tokens, which end every document and are nowhere else."""

import numpy as np
import numpy.typing as npt

from shards.tokenizer import IdArray

Ints = npt.NDArray[np.int32]


def document_ids(windows: IdArray, end_of_text: int) -> Ints:
    """Which document of its window each token is in, counted from 0: shape of `windows`, (batch, length).

    An end token belongs to the document that it ends. Two tokens of a window may attend to each other if
    they have the same number: `ids[:, :, None] == ids[:, None, :]`.
    """
    ends = windows == end_of_text
    numbers: Ints = np.cumsum(ends, axis=1, dtype=np.int32) - ends
    return numbers


def position_ids(windows: IdArray, end_of_text: int) -> Ints:
    """The place of each token in its document, or in the part of it that the window has: (batch, length).

    Of models that take `position_ids`; `transformers` with FlashAttention keeps documents apart by them.
    """
    places = np.arange(windows.shape[1], dtype=np.int32)
    starts = np.zeros(windows.shape, np.int32)
    starts[:, 1:] = np.where(windows[:, :-1] == end_of_text, places[1:], 0)
    return places - np.maximum.accumulate(starts, axis=1)


def cumulative_lengths(windows: IdArray, end_of_text: int) -> Ints:
    """Where each document begins in the windows laid end to end, and the end of all: shape (documents + 1,).

    As `cu_seqlens` of FlashAttention's functions for sequences of various lengths. A window's border is also
    a document's.
    """
    begins = np.zeros(windows.shape, np.bool_)
    begins[:, 0] = True
    begins[:, 1:] = windows[:, :-1] == end_of_text
    return np.append(np.flatnonzero(begins), windows.size).astype(np.int32)
