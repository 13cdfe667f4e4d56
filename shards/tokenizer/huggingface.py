"""Tokenizers of Hugging Face: any `tokenizer.json` (needs the extra `huggingface`).

The name of a special token inside a text is encoded as plain text. Whatever the tokenizer itself does to a
text (lower case, Unicode normal forms) is done, so decoding need not return the same text.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable

import fsspec
import numpy as np

from shards.tokenizer.base import IdArray, Tokenizer

try:
    import tokenizers
except ImportError as error:
    raise ImportError(
        "a tokenizer.json needs the package tokenizers: pip install 'webtext-pipeline[huggingface]'"
    ) from error

__all__ = ["END_TOKENS", "HuggingFaceTokenizer", "load"]

# What the vocabularies of published models call the token that ends a document.
END_TOKENS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")


class HuggingFaceTokenizer(Tokenizer):
    """A tokenizer of the library `tokenizers`. The checksum is BLAKE2b over the bytes of its file."""

    def __init__(self, name: str, tokenizer: tokenizers.Tokenizer, end_of_text: int, checksum: str) -> None:
        super().__init__(name, max(tokenizer.get_vocab().values()) + 1, end_of_text, checksum)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer

    def __reduce__(self) -> tuple[Callable[[str], Tokenizer], tuple[str]]:
        return load, (self.name,)

    def encode(self, text: str) -> list[int]:
        """As `Tokenizer.encode`."""
        plain = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return list(self._tokenizer.encode(plain, add_special_tokens=False).ids)

    def encode_batch(self, texts: Iterable[str]) -> list[IdArray]:
        """As `Tokenizer.encode_batch`."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, self.dtype) for encoding in encoded]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))


@functools.cache
def load(name: str) -> HuggingFaceTokenizer:
    """The tokenizer at an fsspec path, read once per process.

    The path may be followed by `#` and the token that ends a document; without that, the vocabulary must
    have exactly one of END_TOKENS. Raises FileNotFoundError; ValueError if the file is not a tokenizer, or
    the end token is missing or ambiguous.
    """
    path, _, end = name.partition("#")
    with fsspec.open(path, "rb") as file:
        data = file.read()
    try:
        json.loads(data)
        tokenizer = tokenizers.Tokenizer.from_str(data.decode())
    except Exception as error:
        raise ValueError(f"{path}: not a tokenizer.json: {' '.join(str(error).split())}") from error
    wanted = (end,) if end else END_TOKENS
    ids = {token: id for token in wanted if (id := tokenizer.token_to_id(token)) is not None}
    if len(ids) != 1:
        found = f"has {' and '.join(ids)}" if ids else f"has no {' or '.join(wanted)}"
        raise ValueError(f"{path}: {found}: name the token that ends a document, as in {path}#</s>")
    [end_of_text] = ids.values()
    checksum = hashlib.blake2b(data, digest_size=16).hexdigest()
    return HuggingFaceTokenizer(name, tokenizer, end_of_text, checksum)
