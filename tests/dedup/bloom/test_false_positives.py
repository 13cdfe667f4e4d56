"""How often a filter errs, measured with n-grams of real words."""

from collections.abc import Iterable

import numpy as np

from dedup.bloom import false_positives
from dedup.bloom.bloom_filter import BloomFilter
from dedup.ngrams.hashing import NGramHasher
from shards import tokenizer

GPT2 = tokenizer.load("gpt2")
TOKENS = NGramHasher(encode_batch=GPT2.encode_batch, tokenizer=GPT2.checksum)
WORDS = [GPT2.decode([token]).strip() for token in range(1000, 2000)]
WORDS = sorted({word for word in WORDS if word.isalpha() and word.islower()})


def trial(
    filter_: BloomFilter, texts: Iterable[str], count: int = 200_000, distinct: int = 1
) -> false_positives.FalsePositives:
    return false_positives.count_false_positives(filter_, TOKENS, texts, count, distinct, seed=3)


def test_words_of_several_units_are_left_out() -> None:
    single = [word for word in WORDS if len(GPT2.encode(f" {word}")) == 1]
    found = trial(BloomFilter(1024, 4), [" ".join(WORDS), "Antidisestablishmentarianism, zyxqwv!"])
    assert 0 < len(single) < len(WORDS)
    assert found == false_positives.FalsePositives(len(single), 200_000, 0)


def test_counts_what_a_filter_says() -> None:
    """A filter with all bits set has everything, one with half of them 1 in 128 for each block."""
    full, half = BloomFilter(64, 1), BloomFilter(1 << 14, 1)
    full.words[:] = 2**64 - 1
    half.words[:] = np.random.default_rng(0).integers(0, 2**64, len(half.words), dtype=np.uint64)
    assert trial(full, WORDS).found == 200_000
    share = (trial(half, WORDS).found or 0) / 200_000
    assert abs(share - half.false_positive_rate()) < 0.1 * half.false_positive_rate()
    assert trial(half, WORDS) == trial(half, reversed(WORDS))


def test_a_few_words_make_no_absent_n_grams() -> None:
    empty = BloomFilter(1024, 4)
    for texts in ([], ["the cat sat on the mat"], ["!"]):
        found = trial(empty, texts)
        assert (found.tried, found.found) == (0, None)
        assert "too few" in found.missing
    assert trial(empty, WORDS, distinct=10**18).found is None
    assert (
        false_positives.count_false_positives(empty, NGramHasher("words", 1), WORDS, 10, 10, seed=1).found
        is None
    )
