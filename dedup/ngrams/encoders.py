"""Encoders for n-grams of tokens: from text to token ids."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["EncodeBatch", "GPT2Encoder", "gpt2_encoder"]

EncodeBatch: TypeAlias = Callable[[Iterable[str]], Sequence[NDArray[Any]]]  # texts -> ids, an array per text


class GPT2Encoder:
    """GPT-2's encoder, of tiktoken, as an `EncodeBatch`. Get one from `gpt2_encoder`, also when unpickled.

    checksum: 32 hexadecimal digits, BLAKE2b over the bytes of all tokens in the order of their ids, each
    after its length as 4 little-endian bytes.
    """

    def __init__(self) -> None:
        import tiktoken

        self._encoding = tiktoken.get_encoding("gpt2")
        digest = hashlib.blake2b(digest_size=16)
        for token in range(self._encoding.n_vocab):
            data = self._encoding.decode_single_token_bytes(token)
            digest.update(len(data).to_bytes(4, "little") + data)
        self.checksum = digest.hexdigest()

    def __call__(self, texts: Iterable[str]) -> list[NDArray[Any]]:
        """The ids of each text: shape (tokens,), uint32. Names of special tokens are plain text."""
        return [np.asarray(self._encoding.encode_to_numpy(text, disallowed_special=())) for text in texts]

    def __reduce__(self) -> tuple[Callable[[], "GPT2Encoder"], tuple[()]]:
        return gpt2_encoder, ()


@cache
def gpt2_encoder() -> GPT2Encoder:
    """GPT-2's encoder, built once per process.

    tiktoken downloads the vocabulary, or finds it in the directory that TIKTOKEN_CACHE_DIR names. Raises
    ImportError where tiktoken is not installed, OSError where the vocabulary cannot be had.
    """
    return GPT2Encoder()
