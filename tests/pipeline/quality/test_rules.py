"""Every rule by name, and the measures against their definitions in plain Python."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quality.documents import MAX_N, Documents
from pipeline.quality.measures import STOP_WORDS, duplicate_ngram_chars, top_ngram_chars
from pipeline.quality.rules import RULES, apply_rules
from pipeline.settings import Quality

GOOD = """\
The ferry left the harbour before dawn, and nobody on the quay saw who had been at the wheel.
Fog lay on the sound until noon; gulls sat in rows along the breakwater and waited for it to lift.
Of the nine passengers, seven were islanders who have crossed every week since they were children.
My neighbour brought a crate of hens with her, which she meant to sell at the market that afternoon.
An engineer from the mainland asked how deep the channel was, then wrote the answer in a green notebook.
When we came round the point at last, somebody rang the bell twice for a boy who stood waving there."""
NAMES = [a + b for a in "bcdfghklmnprst" for b in ("alo", "emi", "ira", "ona", "uru")]
NONE = Quality(**dict.fromkeys(Quality.model_fields))
ALL = Quality(
    max_duplicate_lines=0.3,
    max_curly_brackets=0,
    min_sentences=3,
    min_punctuated_lines=0.12,
    max_short_lines=0.67,
)


def verdict(text: str, rules: Quality) -> str:
    (reason,) = apply_rules(pa.array([text]), rules)[1].to_pylist()
    return str(reason)


def only(rule: str) -> Quality:
    return NONE.model_copy(update={rule: getattr(ALL, rule)})


BROKEN = {
    "min_words": "Too short to be of use, this.",
    "max_words": "word " * 100_001,
    "min_mean_word_length": "a b c d " * 20,
    "max_mean_word_length": "incomprehensibilities " * 60,
    "max_hash_ratio": GOOD + " #tag" * 20,
    "max_ellipsis_ratio": re.sub(r" (the|of|a|in|at)\b", r"... \1", GOOD),
    "min_alphabetic_words": GOOD + " 12.5 7 --" * 12,
    "min_stop_words": " ".join(NAMES),
    "max_bullet_lines": "\n".join(f"- {line}" for line in GOOD.splitlines()),
    "max_ellipsis_lines": GOOD.replace(".\n", " ...\n"),
    "max_duplicate_lines": f"{GOOD}\nread on\nread on\nread on\nread on\nread on",
    "max_duplicate_line_chars": "\n".join(GOOD.splitlines()[:5] + GOOD.splitlines()[:2]),
    "max_top_2gram_chars": GOOD + " extraordinarily interesting" * 8,
    "max_top_3gram_chars": GOOD + " extraordinarily interesting harbours" * 6,
    "max_top_4gram_chars": GOOD + " extraordinarily interesting old harbours" * 4,
    "max_duplicate_5gram_chars": GOOD + "\n" + " ".join(GOOD.split()[:30]),
    "max_lorem_ipsum": GOOD + " Lorem Ipsum dolor sit amet.",
    "max_curly_brackets": GOOD + " if (x) { y(); }",
    "min_sentences": GOOD.replace(".", ",")[:-1],
    "min_punctuated_lines": GOOD.replace(".", ""),
    "max_short_lines": re.sub(r" (the|of|a|in|at|on|for|who)\b", r"\n\1", GOOD),
}  # fmt: skip


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_drops_what_it_is_for_and_is_switched_off_by_null(rule: str) -> None:
    assert verdict(GOOD, only(rule)) == "ok"
    assert verdict(BROKEN[rule], only(rule)) == rule
    assert verdict(BROKEN[rule], NONE) == "ok"


@pytest.mark.parametrize("n", range(6, 11))
def test_the_longer_ngrams_have_lower_limits(n: int) -> None:
    rule = f"max_duplicate_{n}gram_chars"
    text = GOOD + "\n" + " ".join(GOOD.split()[:30])
    assert verdict(GOOD, only(rule)) == "ok"
    assert verdict(text, only(rule)) == rule
    assert getattr(Quality(), rule) == pytest.approx(0.15 - (n - 5) / 100)


def test_good_text_passes_all_rules() -> None:
    assert verdict(GOOD, ALL) == "ok"


def test_rules_and_settings_are_the_same_and_in_the_same_order() -> None:
    assert list(RULES) == list(Quality.model_fields)


def test_the_first_broken_rule_is_the_reason() -> None:
    assert verdict("{ lorem ipsum }", ALL) == "min_words"
    order = [verdict(text, ALL) for text in BROKEN.values()]
    assert all(
        list(RULES).index(found) <= list(RULES).index(rule) for rule, found in zip(BROKEN, order, strict=True)
    )


def test_the_bars_of_tables_are_not_words() -> None:
    table = "| Film | Year |\n|---|---|\n| Solaris | 1972 |\n| Stalker | 1979 |"
    words, _ = apply_rules(pa.array([table]), NONE)
    assert words.to_pylist() == [6]


@pytest.mark.parametrize("text", ["", " \n\t\n ", "|", "a", "\n\n\na\n", "...", "\u3000\u00a0"])
def test_next_to_nothing(text: str) -> None:
    words, reasons = apply_rules(pa.array([text, GOOD], pa.large_string()), ALL)
    assert words[0].as_py() == len([word for word in text.split() if word != "|"])
    assert reasons.to_pylist() == ["min_words", "ok"]


def test_no_documents() -> None:
    words, reasons = apply_rules(pa.array([], pa.large_string()), ALL)
    assert (words.type, len(words), reasons.type, len(reasons)) == (pa.int32(), 0, pa.string(), 0)


small = st.lists(
    st.sampled_from(["a", "bb", "ccc", "a bb", "the", "The.", "#", "|", "...", "é", "- x", "{"]), max_size=40
)
separators = st.sampled_from([" ", "\n", "  ", "\n\n", " \n"])
texts = st.builds(lambda words, separator: separator.join(words), small, separators)
batches = st.lists(texts, min_size=1, max_size=5)


@settings(max_examples=40)
@given(batches)
def test_a_document_is_measured_alone(batch: list[str]) -> None:
    together = Documents(pa.array(batch, pa.large_string()))
    alone = [Documents(pa.array([text], pa.large_string())) for text in batch]
    for measure in RULES.values():
        assert measure(together).tolist() == [measure(documents)[0] for documents in alone]


@settings(max_examples=40)
@given(batches)
def test_chunks_and_offsets_make_no_difference(batch: list[str]) -> None:
    whole = apply_rules(pa.array(batch, pa.large_string()), ALL)
    chunks = pa.chunked_array([[], batch[:1], batch[1:]], pa.string())
    sliced = pa.array([GOOD, *batch, GOOD], pa.large_string())[1:-1]
    assert apply_rules(chunks, ALL) == whole == apply_rules(sliced, ALL)


def words_of(text: str) -> list[str]:
    return [word for word in text.split() if not word.startswith("|")]


@given(texts, st.integers(2, 4))
def test_top_ngram(text: str, n: int) -> None:
    words = words_of(text)
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    times = max(grams.values(), default=0)
    chars = max((len("".join(gram)) for gram in grams if grams[gram] == times), default=0) if times > 1 else 0
    expected = times * chars / len("".join(words)) if chars else 0
    (found,) = top_ngram_chars(Documents(pa.array([text], pa.large_string())), n)
    assert found == pytest.approx(expected)


@given(texts, st.integers(5, 10))
def test_duplicate_ngrams(text: str, n: int) -> None:
    words, seen, covered = words_of(text), set(), set()
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if gram in seen:
            covered.update(range(i, i + n))
        seen.add(gram)
    expected = sum(len(words[i]) for i in covered) / max(1, len("".join(words)))
    (found,) = duplicate_ngram_chars(Documents(pa.array([text], pa.large_string())), n)
    assert found == pytest.approx(expected)


@given(batches)
def test_simple_measures(batch: list[str]) -> None:
    documents = Documents(pa.array(batch, pa.large_string()))
    measured = {rule.split("_", 1)[1]: measure(documents) for rule, measure in RULES.items()}
    for i, text in enumerate(batch):
        words = words_of(text)
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        repeated = [line for j, line in enumerate(lines) if line in lines[:j]]
        line_chars = max(1, sum(map(len, lines)))
        expected = {
            "words": len(words),
            "mean_word_length": len("".join(words)) / max(1, len(words)),
            "hash_ratio": text.count("#") / len(words) if words else 0,
            "alphabetic_words": np.mean([bool(re.search(r"[^\W\d_]", w)) for w in words]) if words else 0,
            "stop_words": len({w.lower() for w in words} & set(STOP_WORDS.to_pylist())),
            "duplicate_lines": len(repeated) / max(1, len(lines)),
            "duplicate_line_chars": sum(map(len, repeated)) / line_chars,
            "short_lines": sum(len(line) < 30 for line in lines) / max(1, len(lines)),
        }  # fmt: skip
        for name, value in expected.items():
            assert measured[name][i] == pytest.approx(value), name


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=16), max_size=4))
def test_ngrams_are_named_by_their_first_occurrence(words: list[list[str]]) -> None:
    found = Documents(pa.array([" ".join(document) for document in words], pa.large_string())).ngrams
    line = [(number, word) for number, document in enumerate(words) for word in document]
    for n in range(1, MAX_N + 1):
        grams = [tuple(line[at : at + n]) for at in range(len(line))]
        whole = [len(gram) == n and len({number for number, _ in gram}) == 1 for gram in grams]
        expected = [grams.index(gram) if inside else -1 for gram, inside in zip(grams, whole, strict=True)]
        assert found[n - 1].tolist() == expected
