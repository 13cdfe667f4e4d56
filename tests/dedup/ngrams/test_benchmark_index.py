"""Overlap against the naive definition: Python sets of tuples over the encoder's own ids."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.bloom.bloom_filter import BloomFilter
from dedup.bloom.distinct_counter import DistinctCounter
from dedup.files import FileError
from dedup.ngrams import benchmarks
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import NGramHasher, hash_units
from dedup.ngrams.matches import matches
from dedup.ngrams.passages import passages
from dedup.ngrams.results import Share
from dedup.words import normalize
from shards import tokenizer
from tests.shared import SAMPLE, SHARED, private

GPT2 = tokenizer.load("gpt2")
TOKENS = NGramHasher(encode_batch=GPT2.encode_batch, tokenizer=GPT2.checksum)
WORDS = NGramHasher("words", 3)
PROSE = (
    "The lighthouse keeper counted thirty-seven gulls before breakfast, wrote the number in a ledger that "
    "nobody would read, and climbed down 214 wet steps to look for his left boot."
)


def bench(name: str, *texts: str) -> Benchmark:
    return Benchmark(name, f"{name}.jsonl", [str(i) for i in range(len(texts))], texts)


def naive(text: str, ngrams: NGramHasher) -> list[tuple[Any, ...]]:
    words = normalize(text)
    units: Sequence[Any] = words.split()
    if ngrams.unit == "tokens" and words:
        units = GPT2.encode(" " + words)
    return [tuple(units[i : i + ngrams.n]) for i in range(max(len(units) - ngrams.n + 1, min(len(units), 1)))]


few_words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=14).map(" ".join)
texts = st.lists(few_words, max_size=5)


@settings(max_examples=200)
@given(texts, st.lists(texts, min_size=1, max_size=3), st.integers(0, 5))
def test_equals_sets_of_tuples(documents: list[str], examples: list[list[str]], cut: int) -> None:
    sets = [bench(f"b{i}", *items, "x y z") for i, items in enumerate(examples)]
    index = BenchmarkIndex.build(sets, WORDS)
    scan = index.scan(WORDS.hash(documents))
    trained = {gram for text in documents for gram in naive(text, WORDS)}
    tested = [{gram for text in b.texts for gram in naive(text, WORDS)} for b in sets]
    for i, text in enumerate(documents):
        grams = naive(text, WORDS)
        flags = "".join("x" if any(g in s for s in tested) else " " for g in grams)
        assert scan.n_grams[i] == len(grams)
        assert scan.hits[i] == flags.count("x")
        assert scan.longest_run[i] == max(map(len, flags.split()), default=0)
        assert scan.benchmarks[i] == [
            b.name for b, s in zip(sets, tested, strict=True) if not s.isdisjoint(grams)
        ]
    for b, distinct, overlap in zip(sets, tested, index.overlaps(scan.seen), strict=True):
        of_examples = [naive(text, WORDS) for text in b.texts]
        occurrences = [gram for grams in of_examples for gram in grams]
        short = [grams[0] for grams in of_examples if grams and len(grams[0]) < WORDS.n]
        assert overlap.occurrences == Share(sum(g in trained for g in occurrences), len(occurrences))
        assert overlap.distinct == Share(len(distinct & trained), len(distinct))
        assert overlap.short == Share(sum(g in trained for g in short), len(short))
        assert overlap.examples.hits == sum(any(g in trained for g in grams) for grams in of_examples)
    parts = [index.scan(WORDS.hash(part)).seen for part in (documents[:cut], documents[cut:])]
    assert np.array_equal(parts[0] | parts[1], scan.seen)


@settings(max_examples=200)
@given(st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=5), st.integers(1, 9))
def test_hashes_are_equal_where_ngrams_are(sequences: list[list[int]], n: int) -> None:
    grams = hash_units([np.array(s, dtype=np.uint64) for s in sequences], n)
    expected = [tuple(s[i : i + n]) for s in sequences for i in range(max(len(s) - n + 1, min(len(s), 1)))]
    assert len(grams.hashes) == len(expected)
    assert len({*zip(expected, grams.hashes.tolist(), strict=True)}) == len(set(expected))
    assert len(set(grams.hashes.tolist())) == len(set(expected))
    assert grams.counts.tolist() == [max(len(s) - n + 1, min(len(s), 1)) for s in sequences]
    assert grams.short.tolist() == [0 < len(s) < n for s in sequences]


def test_alike_ngrams_have_different_hashes() -> None:
    """All 65,536 8-grams of four units: permutations, repetitions, the order of Thue and Morse."""
    units = np.stack(np.meshgrid(*[np.arange(4, dtype=np.uint64)] * 8), axis=-1).reshape(-1, 8)
    assert len(np.unique(hash_units(list(units), 8).hashes)) == 4**8


@given(st.text())
def test_tokens_are_the_encoder_s_own(text: str) -> None:
    words = normalize(text)
    assert TOKENS.units([text])[0].tolist() == (GPT2.encode(" " + words) if words else [])
    apart = [token for word in words.split() for token in GPT2.encode(" " + word)]
    assert TOKENS.units([text])[0].tolist() == apart


anything = st.text(st.characters(exclude_categories=["Cs"]))
between = st.text(st.characters(exclude_categories=["Cs", "L", "N"]), min_size=1)
cases = st.sampled_from([str.upper, str.lower, str.title, str.swapcase])


@settings(max_examples=200)
@given(st.data())
def test_a_passage_is_found_wherever_it_stands_and_however_it_is_written(data: st.DataObject) -> None:
    """Every passage of eight tokens or more, in any case, with any punctuation, between any texts."""
    words = normalize(PROSE).split()
    start = data.draw(st.integers(0, len(words) - 8))
    passage = words[start : start + data.draw(st.integers(8, 20))]
    index = BenchmarkIndex.build([bench("b", " ".join(passage))], TOKENS)
    before, after = data.draw(anything), data.draw(anything)
    dirty = [data.draw(cases)(word) + data.draw(between) for word in passage]
    document = before + data.draw(between) + "".join(dirty) + after
    scan = index.scan(TOKENS.hash([document]))
    assert scan.hits[0] >= len(index.hashes) == scan.longest_run[0]
    assert index.overlaps(scan.seen)[0].occurrences.share == 1


def test_documents_do_not_run_into_each_other() -> None:
    words = normalize(PROSE).split()
    index = BenchmarkIndex.build([bench("b", " ".join(words[6:14]))], WORDS)
    scan = index.scan(WORDS.hash([" ".join(words[:8]), "", " ".join(words[8:])]))
    assert scan.hits.tolist() == [0, 0, 4]
    assert index.scan(WORDS.hash([" ".join(words)])).hits.tolist() == [6]


def test_short_texts_count_once_and_apart() -> None:
    index = BenchmarkIndex.build([bench("b", "two words", "one two three four", "", "...")], WORDS)
    (overlap,) = index.overlaps(index.scan(WORDS.hash(["Two words!", "here two words in a row"])).seen)
    assert overlap.occurrences == Share(1, 3)
    assert overlap.short == Share(1, 1)
    assert overlap.examples == Share(1, 4)


@pytest.mark.parametrize("ngrams", [TOKENS, WORDS], ids=["tokens", "words"])
def test_both_directions_agree(ngrams: NGramHasher) -> None:
    """Scanning the documents, and asking the Bloom filter of the documents, in any partitions."""
    rng = random.Random(1)
    vocabulary = normalize(PROSE).split()
    documents = [" ".join(rng.choices(vocabulary, k=rng.randint(0, 300))) for _ in range(40)]
    quoted = [
        text[: rng.randint(0, 400)] + " " + " ".join(rng.choices(vocabulary, k=20)) for text in documents
    ]
    index = BenchmarkIndex.build([bench("quotes", *quoted), bench("prose", PROSE)], ngrams)
    filters = []
    for size in (1, 7, 40):
        partitions = [ngrams.hash(documents[i : i + size]) for i in range(0, 40, size)]
        counter = DistinctCounter()
        for grams in partitions:
            counter.add(grams.hashes)
        whole = BloomFilter.sized(counter.upper_bound(), 1e-8, ngrams.identity)
        for grams in partitions:
            part = BloomFilter(whole.n_blocks, whole.blocks_per_item, whole.about)
            part.add(grams.hashes)
            whole |= part
        filters.append(whole)
    assert len({f.words.tobytes() for f in filters}) == 1
    by_scan = index.scan(ngrams.hash(documents)).seen
    by_filter = filters[0].contains(index.hashes)
    assert 0 < by_scan.sum() < len(by_scan)
    assert np.array_equal(by_scan, by_filter)
    assert index.overlaps(by_scan) == index.overlaps(by_filter)


def test_index_round_trip_and_foreign_index(tmp_path: Path) -> None:
    path = str(tmp_path / "index.parquet")
    index = BenchmarkIndex.build([bench("a", PROSE, "tiny"), bench("b", PROSE[30:])], TOKENS)
    index.save(path)
    first = Path(path).read_bytes()
    loaded = BenchmarkIndex.load(path, TOKENS)
    loaded.save(path)
    assert Path(path).read_bytes() == first
    assert loaded.entries == index.entries
    documents = TOKENS.hash(["He " + PROSE + " And so on.", "nothing of the kind is in here at all today"])
    assert loaded.scan(documents).benchmarks == index.scan(documents).benchmarks == [["a", "b"], []]
    with pytest.raises(ValueError, match=r"an index of .*tokens.*, expected .*words"):
        BenchmarkIndex.load(path, WORDS)
    (tmp_path / "index.parquet").write_text("no Parquet")
    with pytest.raises(ValueError, match="not an index"):
        BenchmarkIndex.load(path, TOKENS)


def test_wrong_benchmarks() -> None:
    with pytest.raises(ValueError, match="two benchmarks are named 'a'"):
        BenchmarkIndex.build([bench("a", PROSE), bench("a", PROSE)], WORDS)
    with pytest.raises(FileError, match=r"a\.jsonl: every text is shorter than 8 tokens"):
        BenchmarkIndex.build([bench("a", "word", "")], TOKENS)
    assert BenchmarkIndex.build([], WORDS).scan(WORDS.hash([PROSE])).benchmarks == [[]]


def test_wrong_ngrams() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        NGramHasher("words", 0)
    with pytest.raises(ValueError, match="need an encoder"):
        NGramHasher("tokens", 8)
    with pytest.raises(ValueError, match="'letters'"):
        NGramHasher("letters", 8)  # type: ignore[arg-type]


def test_evidence_shows_the_passage_on_both_sides() -> None:
    example = "Question: what did the keeper do? " + PROSE.upper() + " Answer him."
    document = "First this. " + PROSE + " Then that.\n" + PROSE[80:] + " End."
    index = BenchmarkIndex.build([bench("b", "unrelated words about other things entirely", example)], TOKENS)
    hashes = TOKENS.hash([document]).hashes
    found = matches(index, hashes)
    assert [m.example for m in found] == [1] * len(found)
    assert found[0].n_grams > found[1].n_grams == found[-1].n_grams
    longest = found[0]
    (passage,) = passages(document, [(longest.position, longest.n_grams)], TOKENS, context=1)
    assert (passage.before, passage.text, passage.after) == ("this. ", PROSE[:-1], ". Then")
    (passage,) = passages(example, [(longest.example_position, longest.n_grams)], TOKENS, context=2)
    assert (passage.before, passage.text, passage.after) == (
        "keeper do? ",
        PROSE.upper()[:-1],
        ". Answer him",
    )
    assert matches(index, hashes, limit=1) == [longest]
    assert matches(index, TOKENS.hash(["nothing of the kind is in here at all today"]).hashes) == []
    (short,) = passages("Only three words", [(0, 1)], TOKENS)
    assert short.text == "Only three words"


def test_passages_are_cut_to_a_length_for_people() -> None:
    text = f"zero {'-' * 5_000}one two three {'x' * 9_000} four five six{'-' * 5_000}seven"
    (passage,) = passages(text, [(2, 3)], WORDS)
    assert passage.text == f"two three {'x' * 990} […] {'x' * 990} four five"
    assert passage.before == "-" * 296 + "one "
    (passage,) = passages(text, [(4, 2)], WORDS)
    assert passage.after == "-" * 300


@given(st.text(st.sampled_from("aZé-ǅİß٣²_ 中\n")), st.integers(1, 4), st.data())
def test_passages_cover_the_words_of_the_ngrams(text: str, n: int, data: st.DataObject) -> None:
    ngrams = NGramHasher("tokens", n, GPT2.encode_batch, GPT2.checksum)
    units = ngrams.units([text])[0].tolist()
    counts = max(len(units) - n + 1, min(len(units), 1))
    if not counts:
        return
    position = data.draw(st.integers(0, counts - 1))
    count = data.draw(st.integers(1, counts - position))
    (passage,) = passages(text, [(position, count)], ngrams, context=10**6)
    around = [ngrams.units([part])[0].tolist() for part in (passage.before, passage.text, passage.after)]
    assert [*around[0], *around[1], *around[2]] == units
    assert len(around[0]) <= position
    assert len(around[0]) + len(around[1]) >= min(position + count + n - 1, len(units))


@pytest.mark.parametrize(
    ("directory", "occurrences", "distinct", "n_distinct"),
    [
        (SAMPLE, Share(52, 209), Share(52, 209), 826),
        *private((SHARED, Share(1_592, 240_232), Share(884, 237_659), 2_027_963)),
    ],
)
def test_table_6_of_the_paper(directory: Path, occurrences: Share, distinct: Share, n_distinct: int) -> None:
    """A test split against its own training split: of WikiText-2, for which the GPT-2 paper prints 0.66 %,
    and of a sample in its layout. By definition they are computed in tests/dedup/test_words.py.
    """
    test = benchmarks.read(str(directory / "benchmarks/wikitext-2/wiki.test.tokens"))
    train = benchmarks.read(str(directory / "benchmarks/wikitext-2/wiki.train.tokens"))
    index = BenchmarkIndex.build([test], TOKENS)
    grams = TOKENS.hash(train.texts)
    scan = index.scan(grams)
    (overlap,) = index.overlaps(scan.seen)
    assert overlap.occurrences == occurrences
    assert overlap.distinct == distinct

    counter = DistinctCounter()
    counter.add(grams.hashes)
    assert counter.count() == pytest.approx(n_distinct, rel=0.01)
    filter_ = BloomFilter.sized(counter.upper_bound(), 1e-8, TOKENS.identity)
    filter_.add(grams.hashes)
    assert filter_.false_positive_rate(counter.count()) <= 1e-8
    assert index.overlaps(filter_.contains(index.hashes)) == [overlap]
    assert not filter_.contains(TOKENS.random_absent(1_000_000, seed=1)).any()


def test_n_grams_seen_of_another_index_are_refused() -> None:
    index = BenchmarkIndex.build([Benchmark("b", "b", ["0"], [PROSE])], WORDS)
    seen = index.scan(WORDS.hash([PROSE])).seen
    for wrong in (seen[1:], np.append(seen, True), seen.astype(np.int64)):
        with pytest.raises(ValueError, match=r"^seen must be of shape .* dtype bool, found"):
            index.overlaps(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^seen must be"):
            index.runs(0, wrong)  # type: ignore[arg-type]
    assert index.overlaps(seen)[0].distinct.share == 1
