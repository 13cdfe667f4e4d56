"""Tokenizers of the library tiktoken: GPT-2's, and every other encoding that tiktoken knows by name."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tiktoken

from shards.tokenizer import gpt2
from shards.tokenizer.base import IdArray, Tokenizer

__all__ = ["TiktokenTokenizer", "load"]

_CHUNK = 64  # texts whose ids are joined at a time: they stay in the processor's cache


class TiktokenTokenizer(Tokenizer):
    """An encoding of tiktoken. Get one from `load`.

    The checksum is BLAKE2b over the bytes of all tokens in the order of their ids, each preceded by its
    length as 4 little-endian bytes. An id that is not used counts as an empty token.
    """

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        tokens = (_token(encoding, i) for i in range(encoding.n_vocab))
        super().__init__(encoding.name, encoding.n_vocab, encoding.eot_token, _checksum(tokens))
        self._encoding = encoding
        self._pieces = gpt2.split_long_whitespace if encoding._pat_str == gpt2.PATTERN else _whole

    def __reduce__(self) -> tuple[Callable[[str], Tokenizer], tuple[str]]:
        return load, (self.name,)

    def encode(self, text: str) -> list[int]:
        """As `Tokenizer.encode`."""
        return [token for piece in self._pieces(text) for token in self._encoding.encode_ordinary(piece)]

    def encode_batch(self, texts: Iterable[str]) -> list[IdArray]:
        """As `Tokenizer.encode_batch`, without a Python object for each id."""
        encode = functools.partial(self._encoding.encode_to_numpy, disallowed_special=())
        arrays = ([encode(piece) for piece in self._pieces(text)] for text in texts)
        return [
            (parts[0] if len(parts) == 1 else np.concatenate(parts)).astype(self.dtype) for parts in arrays
        ]

    def encode_documents(self, texts: Sequence[str]) -> tuple[IdArray, npt.NDArray[np.int64]]:
        """As `Tokenizer.encode_documents`, through bytes: cheaper to make and to join than arrays."""
        encode = functools.partial(self._encoding.encode_to_numpy, disallowed_special=())
        end = np.uint32(self.end_of_text).tobytes()
        ids, lengths = [np.empty(0, self.dtype)], []
        for start in range(0, len(texts), _CHUNK):
            parts = [
                b"".join([encode(piece).tobytes() for piece in self._pieces(text)])
                for text in texts[start : start + _CHUNK]
            ]
            lengths += [len(part) // 4 + 1 for part in parts]
            ids.append(np.frombuffer(end.join([*parts, b""]), np.uint32).astype(self.dtype))
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return np.concatenate(ids), offsets

    def _decode(self, ids: list[int]) -> str:
        text: str = self._encoding.decode(ids)
        return text


@functools.cache
def load(name: str) -> TiktokenTokenizer:
    """The tokenizer of an encoding of tiktoken, built once per process.

    Raises ValueError for an unknown name or a changed vocabulary, OSError if the vocabulary cannot be had.
    """
    if name == "gpt2":
        return TiktokenTokenizer(gpt2.encoding())
    if name not in (names := tiktoken.list_encoding_names()):
        raise ValueError(
            f"unknown tokenizer {name!r}: expected one of {', '.join(names)}, or the path of a tokenizer.json"
        )
    try:
        return TiktokenTokenizer(tiktoken.get_encoding(name))
    except OSError as error:
        raise OSError(
            f"{name}: tiktoken cannot get the vocabulary: {error}; "
            "where there is no network, put the file into TIKTOKEN_CACHE_DIR"
        ) from error


def _token(encoding: tiktoken.Encoding, token: int) -> bytes:
    try:
        return encoding.decode_single_token_bytes(token)
    except KeyError:
        return b""


def _checksum(tokens: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for token in tokens:
        digest.update(len(token).to_bytes(4, "little") + token)
    return digest.hexdigest()


def _whole(text: str) -> Iterator[str]:
    yield text
