"""The compiled detector against langdetect: equal cleaning, equal n-grams, equal answers."""

import random
import re
import sys
from collections.abc import Callable, Iterator

import langdetect
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langdetect import DetectorFactory, LangDetectException
from langdetect.detector import Detector
from langdetect.utils.ngram import NGram

from pipeline.language import detect
from pipeline.language.compiled import _utf8, cleaning, detect_langs, detection, profiles
from pipeline.language.detect import beginning
from tests.pipeline.language import texts
from tests.shared import private

Found = list[tuple[str, float]]


@pytest.fixture(autouse=True, scope="module")
def reference_seed() -> Iterator[None]:
    before, DetectorFactory.seed = DetectorFactory.seed, 0
    yield
    DetectorFactory.seed = before


def reference(text: str) -> Found:
    try:
        return [(found.lang, found.prob) for found in langdetect.detect_langs(text)]
    except LangDetectException:
        return []


def reference_characters(text: str) -> str:
    langdetect.detector_factory.init_factory()
    detector = Detector(langdetect.detector_factory._factory)
    detector.append(text)
    detector.cleaning_text()
    return str(detector.text)


def characters(text: str) -> str:
    found, _ = cleaning.clean(*reversed(_utf8([text])), -1, profiles.tables()[1].composed)
    return re.sub(" +", " ", "".join(map(chr, found)))


def assert_same(texts: list[str], max_chars: int | None = None) -> None:
    for text, found in zip(texts, detect_langs(texts, max_chars=max_chars), strict=True):
        wanted = reference(beginning(text, max_chars))
        assert [name for name, _ in found] == [name for name, _ in wanted], text
        assert [p for _, p in found] == pytest.approx([p for _, p in wanted], abs=1e-9, rel=0), text


def test_the_constants_are_langdetects() -> None:
    langdetect.detector_factory.init_factory()
    detector = Detector(langdetect.detector_factory._factory)
    assert (detector.alpha, Detector.ALPHA_WIDTH, Detector.BASE_FREQ) == (
        detection.ALPHA, detection.ALPHA_WIDTH, detection.BASE_FREQ,
    )  # fmt: skip
    assert (detector.n_trial, Detector.ITERATION_LIMIT) == (detection.N_TRIALS, detection.ITERATION_LIMIT)
    assert (Detector.CONV_THRESHOLD, Detector.PROB_THRESHOLD) == (detection.CONVERGED, detection.REPORTED)
    assert (detector.max_text_length, NGram.N_GRAM) == (cleaning.MAX_LENGTH, profiles.N)


def test_characters_beyond_the_basic_plane_are_not_normalised() -> None:
    for point in range(0x10000, 0x110000, 7):
        assert NGram.normalize(chr(point)) == chr(point)


def test_every_ngram_that_a_text_can_hold_is_found() -> None:
    """And no other: the trie against the dictionary of langdetect."""
    langdetect.detector_factory.init_factory()
    known = langdetect.detector_factory._factory.word_lang_prob_map
    languages, tables = profiles.tables()
    order = [langdetect.detector_factory._factory.langlist.index(name) for name in languages]
    found = np.empty(100, np.int32)
    rng = random.Random(1)
    letters = sorted({letter for word in known for letter in word})
    made = ("".join(rng.choices(letters, k=rng.randint(1, 3))) for _ in range(3_000))
    words = [*rng.sample(sorted(known), 6_000), *made]
    seen = 0
    for word in words:
        ngram, wanted = NGram(), []
        for letter in word:
            ngram.add_char(letter)
            grams = (
                [ngram.grams[-n:] for n in range(1, len(ngram.grams) + 1)] if not ngram.capitalword else []
            )
            wanted += [known[gram] for gram in grams if gram != " " and gram in known]
        points = np.array([ord(letter) for letter in word], np.uint32)
        n = detection.ngrams(points, tables, found)
        assert n == len(wanted), word
        rows = tables.shares[found[:n], : tables.n_languages]
        assert n == 0 or (rows == np.array(wanted)[:, order]).all(), word
        seen += n
    assert seen > 10_000


ADVERSARIAL = [
    "",
    " ",
    "\0",
    "NASA AND ESA ANNOUNCE",  # capitals only: no n-grams but the first letters'
    "Na NA nA nAnA A",
    "\N{DESERET CAPITAL LETTER LONG I}\N{DESERET CAPITAL LETTER LONG E}abc",
    "see http://example.org/~user/?q=1&b=2#top for it",
    "shttp://x httpss://y http:// https:/x xhttps://w http://http://z http:///q https://é",
    "http://" + "a" * 2075 + " " + "http://" + "b" * 2076 + " " + "http://" + "c" * 2077 + "end of the line",
    "http://" + "d" * 2070 + "http://example.org the rest",
    "mail me@example.org or a.b-c_d@sub.example.co.uk today",
    "a@b a@bc a@b. a@.b @bc a@ a@b@c a@b.c@d.e a@bc@de.fg x@y_z-1",
    "x" * 100 + "@example.org after",
    "me@" + "a" * 254 + " me@" + "b" * 255 + " me@" + "c" * 256 + " me@" + "d" * 509 + " me@" + "e" * 600,
    "me@" + "a.b" * 300 + " the end",
    "me@foohttp://example.org/x the end, me@http://example.org, me@ahttps://b.c, a@b.chttp:// and a@b.chttps://x",
    "http://foo@bar.com and http://foo.org/me@bar.com",
    "e\u0301x@y.com ex\u0301@y.com x@y.com\u0301 http://x.y\u0301",
    "Tiếng Việt: Việt Nam, một nước",
    "".join(base + mark for mark in NGram.DMARK_CLASS for base in NGram.TO_NORMALIZE_VI_CHARS),
    "a\u0300\u0301 a\u0302\u0301 \u0300a d\u0323 \u1ea0 \u1ef9 \u1e00 \u1ec3",
    "Șțșț și Țara",
    "گفته می‌شود که این یک متن فارسی است",
    "これはテストです。カタカナとひらがなと漢字 123",
    "한국어 문장입니다",
    "ㄅㄆㄇ ㆠㆡ 中文 繁體中文字 简体中文字",
    "абв abc где [\\]^_` жзи",
    "aab ббб вввв",  # twice the Latin letters = the others
    "ab ббб вв",
    "aaa\u0300\u0300\u0300\u0300\u0300\u0300 \u1ea0\u1ea0",
    "\xa0\xab\xb0\xbb\xb5\xdf\u2028\u2009\u3000",
    "\ud800 lone \udfff surrogates",
    "\U0001f600 emoji \U0001f1e9\U0001f1ea \U000e0067 \U0010ffff",
    "a " * 9_999 + "the end",
    "я" * 9_990 + "me@example.org and more words here",
    "я" * 9_999 + "e\u0301" + "more",
    "word " * 1_990 + "x" * 60 + "@example.org " + "und noch ein paar Worte " * 30,
    ("me@example.org http://example.org " * 2_000) + "this is what is left of it",
    "the der la il " * 100,
    "Das ist deutsch and this is English et ceci est français " * 20,
]


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_adversarial(text: str) -> None:
    assert characters(text) == re.sub(" +", " ", reference_characters(text))
    assert_same([text])


PIECES = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(exclude_categories=[]), max_size=10),  # surrogates too
    st.text("AEOUaeoyÂâêôăơư" + "\u0300\u0301\u0302\u0303\u0309\u0323", max_size=12),
    st.text("あいアイ漢字中文國国ㄅ한국어", max_size=10),
    st.text("abcXYZ [_^`zйЙλΛß", max_size=20),
    st.text("http:s/@.-_a%", max_size=20),
    st.sampled_from(
        ["http://", "https://", "://", "@", "a@b", "me@example.org", " ", "\n", "123", "the ", "e\u0301"]
    ),
    st.builds(
        lambda letter, n: letter * n,
        st.sampled_from("aА.@ /é"),
        st.sampled_from([1, 63, 64, 65, 254, 255, 256, 509, 510, 511, 2075, 2076, 2077]),
    ),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@settings(max_examples=400)
@given(TEXTS)
@example("a@b.chttp://x")
def test_any_text_is_cleaned_alike(text: str) -> None:
    assert characters(text) == re.sub(" +", " ", reference_characters(text))


@settings(max_examples=200)
@given(TEXTS, st.one_of(st.none(), st.integers(0, 300)))
def test_any_text_has_the_same_languages(text: str, max_chars: int | None) -> None:
    assert_same([text], max_chars)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=50), max_size=6), st.data())
def test_arrow_arrays(texts: list[str], data: st.DataObject) -> None:
    alone = [detect_langs([text])[0] for text in texts]
    cut = data.draw(st.integers(0, len(texts)))
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(texts, kind)
        assert detect_langs(array) == alone
        assert detect_langs(array[cut:]) == alone[cut:]
        assert detect_langs(pa.chunked_array([array[:cut], array[cut:]])) == alone


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        detect_langs(pa.array(["text", None]))


@pytest.mark.parametrize("n", range(15))
def test_the_random_numbers_suffice(n: int) -> None:
    """Even for a text that never converges, with the number of n-grams that refuses every other word."""
    words = profiles.random_words(0) >> (32 - (n + 1))
    draws = detection.N_TRIALS * (detection.ITERATION_LIMIT + 1)
    assert (words[16:] < 1 << n).sum() >= draws


@pytest.mark.parametrize("seed", [1, 12345, -7])
def test_other_seeds(seed: int) -> None:
    text = "sic transit gloria mundi et cetera"
    DetectorFactory.seed = seed
    try:
        wanted = reference(text)
    finally:
        DetectorFactory.seed = 0
    (found,) = detect_langs([text], seed=seed)
    assert found == [(name, pytest.approx(p, abs=1e-9, rel=0)) for name, p in wanted]


def declarations() -> list[str]:
    return [text[:500] for _, text in texts.declarations()]


def sentences_and_words() -> list[str]:
    """Four lines of each file; `benchmarks/language.py --equality` compares them all."""
    rng = random.Random(0)
    return [line for _, content in texts.files() for line in rng.sample(content.splitlines(), 4)]


def sample() -> list[str]:
    """Whole articles and texts, their first words, and single words."""
    whole = [text for _, text in (*texts.declaration(), *texts.demo())]
    return [*whole, *(text[:40] for text in whole), *(text.split()[0] for text in whole)]


@pytest.mark.parametrize(
    ("source", "at_least"), [(sample, 380), *private((declarations, 500), (sentences_and_words, 801))]
)
def test_many_languages(source: Callable[[], list[str]], at_least: int) -> None:
    found = source()
    assert len(found) >= at_least
    assert_same(found)


def english() -> list[str]:
    return [text for code, text in texts.demo() if code == "en"]


@pytest.mark.parametrize("source", [english, *private(texts.posts)])
def test_posts(source: Callable[[], list[str]]) -> None:
    posts = source()
    assert_same(random.Random(0).sample(posts, min(300, len(posts))), max_chars=2_000)
    assert_same(random.Random(1).sample(posts, min(100, len(posts))))


def test_without_numba_langdetect_answers_and_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["The ferry left the harbour before dawn.", "", "Die Fähre verließ den Hafen."]
    ours = detect.detect_langs(texts)
    monkeypatch.setitem(sys.modules, "pipeline.language.compiled", None)
    monkeypatch.delattr("pipeline.language.compiled")
    detect._compiled.cache_clear()
    try:
        with pytest.warns(UserWarning, match="without numba"):
            found = detect.detect_langs(texts)
        assert detect.detect_langs(texts) == found  # a second warning would be an error
    finally:
        detect._compiled.cache_clear()
    assert [[name for name, _ in text] for text in found] == [[name for name, _ in text] for text in ours]
