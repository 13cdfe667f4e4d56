"""The compiled loops over words do what the Python of `dedup.words` says."""

import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from dedup import words, words_kernel
from dedup.minhash import signatures
from tests.dedup.texts import TEXTS


def hashed(texts: list[str]) -> list[list[int]]:
    offsets, data = words.utf8(texts)
    found = []
    for start, stop in pairwise(offsets):
        out = np.full(
            (stop - start) // 2 + 3, 7, np.uint64
        )  # one more than is asked for, to see it untouched
        ends = np.full(len(out), -7, np.int64)
        count = words_kernel.hash_words(data, start, stop, words.table(), out, ends)
        assert out[-1] == 7
        assert ends[-1] == -7
        pieces = [data[a:b].tobytes().decode() for a, b in pairwise([start, *ends[:count]])]
        assert [words.normalize(piece) for piece in pieces] == words.normalize(
            data[start:stop].tobytes().decode()
        ).split()
        found.append(out[:count].tolist())
    return found


@given(TEXTS)
def test_words(texts: list[str]) -> None:
    assert hashed(texts) == [words.word_hashes(text).tolist() for text in texts]


@given(TEXTS)
def test_normal_form(texts: list[str]) -> None:
    offsets, data = words.utf8(texts)
    ends, normal = words_kernel.normalize_all(offsets, data, words.table())
    found = [normal[a:b].tobytes().decode() for a, b in pairwise(ends)]
    assert found == [words.normalize(text) for text in texts]
    assert words.text_hashes(texts).to_pylist() == [words.text_hash(text) for text in texts]


def test_every_character() -> None:
    text = " ".join(f"x{chr(c)}Y" for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)
    assert hashed([text]) == [words.word_hashes(text).tolist()]
    assert words.text_hashes([text])[0].as_py() == words.text_hash(text)


def test_invalid_utf8_is_refused() -> None:
    for raw in (b"\xed\xa0\x80", b"a\xff", b"\xe2\x82"):
        column = pa.Array.from_buffers(
            pa.string(),
            1,
            [None, pa.py_buffer(np.array([0, len(raw)], np.int32).tobytes()), pa.py_buffer(raw)],
        )
        with pytest.raises(ValueError, match="UTF8"):
            signatures.minhash_signatures(column)
    with pytest.raises(UnicodeEncodeError):
        words.text_hashes(["\ud800"])
