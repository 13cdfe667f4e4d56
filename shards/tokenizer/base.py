"""The interface of all tokenizers."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["IdArray", "Tokenizer"]

IdArray = npt.NDArray[np.unsignedinteger[Any]]


class Tokenizer(ABC):
    """Encodes texts as ids of a vocabulary, and decodes them. Get one from `shards.tokenizer.load`.

    A tokenizer is pickled as its name, and loaded again from that.

    name: the name that `load` takes.
    n_vocab: ids are in [0, n_vocab).
    end_of_text: the id that ends a document; no text is ever encoded to it.
    dtype: of ids on disk, little-endian: uint16 if the vocabulary fits, else uint32.
    checksum: of the vocabulary, 32 hexadecimal digits.
    """

    def __init__(self, name: str, n_vocab: int, end_of_text: int, checksum: str) -> None:
        self.name = name
        self.n_vocab = n_vocab
        self.end_of_text = end_of_text
        self.dtype: np.dtype[np.unsignedinteger[Any]] = np.dtype("<u2" if n_vocab <= 2**16 else "<u4")
        self.checksum = checksum

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text. Names of special tokens are plain text; lone surrogates become U+FFFD."""

    @abstractmethod
    def encode_batch(self, texts: Iterable[str]) -> list[IdArray]:
        """The ids of each text as an array of `dtype`, shape (tokens,).

        Raises UnicodeEncodeError for a text with lone surrogates (Arrow strings cannot hold any).
        """

    def encode_documents(self, texts: Sequence[str]) -> tuple[IdArray, npt.NDArray[np.int64]]:
        """The ids of all texts one after the other, each followed by the end token; and the offsets.

        ids: shape (tokens,), of `dtype`. offsets: int64, shape (texts + 1,); text i has the ids from
        offsets[i] up to offsets[i + 1]. Raises as `encode_batch`.
        """
        end = np.array([self.end_of_text], self.dtype)
        encoded = self.encode_batch(texts)
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(ids) + 1 for ids in encoded], out=offsets[1:])
        return np.concatenate([end[:0], *(part for ids in encoded for part in (ids, end))]), offsets

    def decode(self, ids: Sequence[int] | IdArray) -> str:
        """The text of ids. Bytes that are not UTF-8 (a character cut in two) become U+FFFD.

        Raises ValueError for an id that is not in the vocabulary.
        """
        tokens = np.asarray(ids, dtype=np.int64)
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.n_vocab:
            raise ValueError(
                f"ids from {tokens.min()} to {tokens.max()}: {self.name} has ids below {self.n_vocab}"
            )
        try:
            return self._decode(tokens.tolist())
        except KeyError as error:
            raise ValueError(f"{self.name} has no token of the id {error}") from error

    @abstractmethod
    def _decode(self, ids: list[int]) -> str:
        """The text of ids below n_vocab. Raises KeyError for an unused id."""
