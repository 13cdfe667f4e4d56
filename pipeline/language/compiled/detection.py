"""n-grams and trials: langdetect's `Detector._extract_ngrams` and `Detector._detect_block`, compiled.

The order of floating-point operations is langdetect's, except in sums over languages (where Python's own
changed with version 3.12): the probabilities are equal to about 1e-15.
"""

from math import cos, log, pi, sin, sqrt

import numba
import numpy as np

from dedup.jit import compiled
from pipeline.language.compiled.profiles import N_WORDS, NOWHERE, SPACE, UPPER, N, Tables

__all__ = ["detect"]

ALPHA, ALPHA_WIDTH, BASE_FREQ = 0.5, 0.05, 10_000  # the constants of Detector
N_TRIALS, ITERATION_LIMIT, CONVERGED, REPORTED = 7, 1_000, 0.99999, 0.1
MAX_FOUND = 10  # languages: no more can each have more than REPORTED of the probability


@compiled
def ngrams(text: np.ndarray, tables: Tables, found: np.ndarray) -> int:
    """`Detector._extract_ngrams`: fills `found` with the rows (`Tables.rows`) of known n-grams.

    Returns their number.
    """
    base, check, rows = tables.base, tables.check, tables.rows
    m = 0
    last, pair, last_upper = np.uint64(SPACE), np.uint64(NOWHERE), False
    for k in range(len(text)):
        code = tables.codes[text[k]]
        upper = code >= UPPER
        this = np.uint64(code & (UPPER - 1))
        if this == SPACE and last == SPACE:
            continue
        two, three = base[last] + this, base[pair] + this
        two *= np.uint64(check[two] == last)
        three *= np.uint64(check[three] == pair)
        if not (upper and last_upper):
            found[m] = rows[this]
            m += found[m] > 0
            found[m] = rows[two]
            m += found[m] > 0
            found[m] = rows[three]
            m += found[m] > 0
        # langdetect starts anew behind a space, which is the first character of what follows
        pair = two * np.uint64(this != SPACE)
        last, last_upper = this, upper
    return m


@compiled
def uniform(words: np.ndarray, at: int) -> float:
    """`random.random()`: 53 bits of two words."""
    value: float = ((words[at] >> 5) * 67108864.0 + (words[at + 1] >> 6)) * (1.0 / 9007199254740992.0)
    return value


@numba.njit(nogil=True, fastmath={"reassoc"})  # sums in any order: vector instructions
def normalise(probabilities: np.ndarray) -> bool:
    """`Detector._normalize_prob`: divides by the sum, in place; whether one is then over CONVERGED."""
    total, passed = 0.0, 0
    for k in range(len(probabilities)):
        total += probabilities[k]
    for k in range(len(probabilities)):
        probabilities[k] /= total
        passed += probabilities[k] > CONVERGED
    return passed > 0


@compiled
def detect_block(found: np.ndarray, m: int, words: np.ndarray, tables: Tables, mean: np.ndarray) -> None:
    """`Detector._detect_block`: fills `mean` (float64 by language) with the mean over all trials.

    found: rows of n-grams, of which the first m count. words: of `profiles.random_words`.
    """
    n = tables.n_languages
    probabilities = np.empty(len(mean))
    mean[:] = 0.0
    bits, rest = 0, m
    while rest:
        bits += 1
        rest >>= 1
    at, gauss, second = 0, 0.0, 0.0
    for trial in range(N_TRIALS):
        if trial % 2 == 0:  # random.gauss() makes two of two
            angle = uniform(words, at) * (2.0 * pi)
            radius = sqrt(-2.0 * log(1.0 - uniform(words, at + 2)))
            gauss, second = cos(angle) * radius, sin(angle) * radius
            at += 4
        else:
            gauss = second
        weight = (ALPHA + gauss * ALPHA_WIDTH) / BASE_FREQ
        probabilities[:n] = 1.0 / n
        probabilities[n:] = 0.0
        for i in range(ITERATION_LIMIT + 1):
            drawn = m
            while drawn >= m:  # random.choice: getrandbits until it is below m
                drawn = words[at] >> (32 - bits)
                at = (at + 1) % N_WORDS
            shares = tables.shares[found[drawn]]
            for j in range(len(mean)):
                probabilities[j] *= weight + shares[j]
            if i % 5 == 0 and normalise(probabilities):
                break
        for j in range(len(mean)):
            mean[j] += probabilities[j] / N_TRIALS


@compiled
def detect(
    characters: np.ndarray, ends: np.ndarray, words: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each text the number of languages found (int64), the languages (uint8) and probabilities (float64).

    The latter two have shape (texts, MAX_FOUND), most probable first. characters, ends: of `cleaning.clean`.
    words: of `profiles.random_words`.
    """
    n_texts = len(ends) - 1
    counts = np.zeros(n_texts, np.int64)
    best = np.zeros((n_texts, MAX_FOUND), np.uint8)
    shares = np.zeros((n_texts, MAX_FOUND))
    longest = 0
    for t in range(n_texts):
        longest = max(longest, ends[t + 1] - ends[t])
    found = np.empty(N * longest + 1, np.int32)
    mean = np.empty(tables.shares.shape[1])
    for t in range(n_texts):
        m = ngrams(characters[ends[t] : ends[t + 1]], tables, found)
        if m == 0:
            continue
        detect_block(found, m, words, tables, mean)
        for language in range(tables.n_languages):
            share = mean[language]
            if share > REPORTED:
                k = counts[t]
                counts[t] += 1
                while k > 0 and shares[t, k - 1] < share:
                    best[t, k], shares[t, k] = best[t, k - 1], shares[t, k - 1]
                    k -= 1
                best[t, k], shares[t, k] = language, share
    return counts, best, shares
