"""The tables of the compiled detector, made once per process from what the installed langdetect ships.

That is its language profiles, its normalisation of characters, and its Vietnamese compositions.
"""

import json
import random
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from langdetect.detector_factory import PROFILES_DIRECTORY
from langdetect.utils.ngram import NGram

from dedup.jit import compiled

__all__ = ["NOWHERE", "N_WORDS", "SPACE", "UPPER", "N", "Tables", "random_words", "tables"]

N = 3  # NGram.N_GRAM
N_WORDS = 1 << 15
SPACE, OTHER, FIRST = 1, 2, 3  # codes of characters; OTHER: in no profile; FIRST: the first letter's
UPPER = 0x8000  # added to the code of a capital letter
NOWHERE = 0  # the node of n-grams that are in no profile and begin none
FREE, ROOT = 0xFFFFFFFF, 0xFFFFFFFE  # in Tables.check
WIDTH = 16  # float64 in four registers of AVX2, two of AVX-512: loops over languages have no remainder
COMBINING, BASES = 0x70, 0x250  # U+0300.. and the letters they compose with


class Tables(NamedTuple):
    """Everything that `cleaning` and `detection` look up: 32 MB, less than langdetect's own lists take."""

    composed: np.ndarray
    """uint16 (COMBINING, BASES): the letter made of a base and a combining mark, 0 if they do not compose."""
    codes: np.ndarray
    """uint16 by code point: the code of its normalised character, and `UPPER` for a capital."""
    base: np.ndarray
    check: np.ndarray
    """uint32, a double-array trie of n-grams (`add_children`); a character's node is its code."""
    rows: np.ndarray
    """int32 by node: the n-gram's row in `shares`, 0 if it is in no profile or is a space."""
    shares: np.ndarray
    """float64 (rows, languages): the n-gram's share of the language's n-grams of that length.

    The n-grams of many languages, which are drawn the most, come first. Zeros fill up the columns to a
    multiple of WIDTH.
    """
    n_languages: int


@cache
def tables() -> tuple[tuple[str, ...], Tables]:
    """The names of the languages, in the order of the profiles' file names, and the arrays."""
    names, words, lengths, languages, shares = _profiles()
    normalised = _normalised()
    reachable = np.zeros(len(normalised), np.bool_)
    reachable[normalised] = True
    possible = (reachable[words] | (words == 0)).all(axis=1)
    words, lengths, languages, shares = (a[possible] for a in (words, lengths, languages, shares))

    letters, uses = np.unique(words, return_counts=True)
    letters = letters[np.argsort(-uses, kind="stable")]  # close together in the trie: what is used together
    letters = letters[(letters != 0) & (letters != ord(" "))]
    code_of = np.full(len(normalised), OTHER, np.uint16)
    code_of[letters] = np.arange(FIRST, FIRST + len(letters))
    code_of[ord(" ")] = SPACE
    capital = np.strings.isupper(np.arange(len(normalised), dtype=np.uint32).view("U1"))
    codes = (code_of | np.where(capital, UPPER, 0).astype(np.uint16))[normalised]

    nodes, base, check = _trie(code_of[words], lengths, FIRST + len(letters))
    unique, inverse, uses = np.unique(nodes, return_inverse=True, return_counts=True)
    row_of = np.empty(len(unique), np.int32)
    row_of[np.argsort(-uses, kind="stable")] = np.arange(1, len(unique) + 1)
    rows = np.zeros(len(base), np.int32)
    rows[unique] = row_of
    rows[SPACE] = 0
    dense = np.zeros((len(unique) + 1, -(-len(names) // WIDTH) * WIDTH))
    dense[row_of[inverse], languages] = shares
    return names, Tables(_composed(), codes, base, check, rows, dense, len(names))


def _trie(words: np.ndarray, lengths: np.ndarray, n_codes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The node of each n-gram (rows of 3 codes), `base` and `check`."""
    capacity = 4 * len(words) + 4 * n_codes
    base, check = np.zeros(capacity, np.uint32), np.full(capacity, FREE, np.uint32)
    check[:n_codes] = ROOT
    nodes = words[:, 0].astype(np.int64)
    for depth in range(1, words.shape[1]):
        longer = np.flatnonzero(lengths > depth)
        pairs = nodes[longer] << 16 | words[longer, depth]
        unique, inverse = np.unique(pairs, return_inverse=True)
        nodes[longer] = add_children(unique >> 16, unique & 0xFFFF, base, check)[inverse]
    size = int(np.flatnonzero(check != FREE)[-1]) + n_codes + 1
    return nodes, base[:size].copy(), check[:size].copy()


@compiled
def add_children(parents: np.ndarray, codes: np.ndarray, base: np.ndarray, check: np.ndarray) -> np.ndarray:
    """Gives the nodes of a double-array trie their children: the child of node `s` by code `c` lies at
    `base[s] + c`, which `check` says belongs to `s`. (Aoe, "An Efficient Digital Search Algorithm by Using a
    Double-Array Structure", 1989)

    parents, codes: the pairs, sorted. base: filled in; check: FREE where no node is. Returns the children.
    """
    begins = np.flatnonzero(np.append(True, parents[1:] != parents[:-1]))
    ends = np.append(begins[1:], len(parents))
    nodes = np.empty(len(parents), np.int64)
    lowest = start = size = 0
    for group in np.argsort(begins - ends, kind="mergesort"):  # many children first: they are hard to place
        begin, end = begins[group], ends[group]
        while check[lowest] != FREE:
            lowest += 1
        if end - begin != size:
            start, size = lowest, end - begin
        offset = max(1, start - codes[begin])
        fits = False
        while not fits:
            fits = True
            for k in range(begin, end):
                if check[offset + codes[k]] != FREE:
                    fits = False
                    offset += 1
                    break
        start = offset + codes[begin]  # what was too narrow here is not tried again for as many children
        base[parents[begin]] = offset
        for k in range(begin, end):
            nodes[k] = offset + codes[k]
            check[nodes[k]] = parents[begin]
    return nodes


@cache
def random_words(seed: int) -> np.ndarray:
    """The first N_WORDS 32-bit words (int64) of Python's `random.Random(seed)`, a Mersenne Twister.

    More than twice as many as are needed: seven trials of 1,001 draws, when every other word is refused, take
    14,030 with a standard deviation of 118.
    """
    return np.frombuffer(random.Random(seed).randbytes(4 * N_WORDS), "<u4").astype(np.int64)


def _profiles() -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Names of languages, and for each n-gram of each language a row of four arrays.

    These are its characters (uint32, N columns, padded with 0), their number, the language (uint8), and the
    n-gram's share of the language's n-grams of this length (float64).
    """
    names: list[str] = []
    words, lengths, languages, shares = [], [], [], []
    for path in sorted(Path(PROFILES_DIRECTORY).iterdir()):
        if path.name.startswith("."):
            continue
        profile = json.loads(path.read_text(encoding="utf-8"))
        frequencies = {word: n for word, n in profile["freq"].items() if 1 <= len(word) <= N}
        length = np.array([len(word) for word in frequencies])
        words.append(np.array(list(frequencies), f"U{N}").view(np.uint32).reshape(-1, N))
        lengths.append(length)
        languages.append(np.full(len(frequencies), len(names), np.uint8))
        shares.append(np.array(list(frequencies.values())) / np.array(profile["n_words"])[length - 1])
        names.append(profile["name"])
    return (
        tuple(names),
        np.concatenate(words),
        np.concatenate(lengths),
        np.concatenate(languages),
        np.concatenate(shares),
    )


def _normalised() -> np.ndarray:
    """The normalised character of each code point (int64): beyond the basic plane, the character itself."""
    characters = np.arange(0x110000)
    characters[:0x10000] = [ord(NGram.normalize(chr(point))) for point in range(0x10000)]
    return characters


def _composed() -> np.ndarray:
    composed = np.zeros((COMBINING, BASES), np.uint16)
    for mark, letters in zip(NGram.DMARK_CLASS, NGram.NORMALIZED_VI_CHARS, strict=True):
        for base, letter in zip(NGram.TO_NORMALIZE_VI_CHARS, letters, strict=True):
            composed[ord(mark) - 0x300, ord(base)] = ord(letter)
    return composed
