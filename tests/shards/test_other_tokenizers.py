"""Tokenizers beside GPT-2's, of both widths, through the whole of writing and reading."""

import base64
import hashlib
import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
import tiktoken.registry

from shards import export, manifest, placement, tokenizer, verify, writer
from shards.manifest import Manifest, describe
from shards.reader import read_texts
from shards.stream import PackedReader
from shards.tokenizer import load
from tests.shards.test_export import IndexedDataset
from tests.shards.test_writer import doc_id

TEXTS = ["Hello world", "naïve café 中文 <|endoftext|>", " two  spaces\n\n", "", "the same " * 40]
R50K = "https://openaipublic.blob.core.windows.net/encodings/r50k_base.tiktoken"

needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="the extra 'huggingface' is not installed"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken's cache with the file of r50k_base, whose sha256 it checks: the tokens of GPT-2."""
    gpt2 = load()
    lines = [
        f"{base64.b64encode(gpt2._encoding.decode_single_token_bytes(i)).decode()} {i}\n"  # type: ignore[attr-defined]
        for i in range(50256)
    ]
    (tmp_path / "tiktoken").mkdir()
    name = hashlib.sha1(R50K.encode()).hexdigest()
    (tmp_path / "tiktoken" / name).write_text("".join(lines))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "tiktoken"))


@pytest.mark.usefixtures("cache")
def test_an_encoding_of_tiktoken() -> None:
    r50k, gpt2 = load("r50k_base"), load()
    assert (r50k.name, r50k.n_vocab, r50k.end_of_text, r50k.dtype) == ("r50k_base", 50257, 50256, np.uint16)
    assert r50k.checksum == gpt2.checksum
    assert [r50k.encode(text) for text in TEXTS] == [gpt2.encode(text) for text in TEXTS]
    assert pickle.loads(pickle.dumps(r50k)) is r50k


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> str:
    """An encoding of 70,000 ids with holes, registered as packages register theirs."""

    def wide_base() -> dict[str, Any]:
        ranks = {bytes([i]): i for i in range(256)}
        ranks |= {b" two": 66_000, b" t": 256, b"wo": 257, b" tw": 258}
        return {
            "name": "wide_base",
            "pat_str": r"\s+\w+|\w+|\s+|.",
            "mergeable_ranks": ranks,
            "special_tokens": {"<|endoftext|>": 69_999},
        }

    tiktoken.registry.list_encoding_names()
    monkeypatch.setitem(tiktoken.registry.ENCODING_CONSTRUCTORS, "wide_base", wide_base)  # type: ignore[arg-type]
    return "wide_base"


def test_wide_ids(wide: str) -> None:
    encoder = load(wide)
    assert (encoder.n_vocab, encoder.end_of_text, encoder.dtype) == (70_000, 69_999, np.uint32)
    assert 66_000 in encoder.encode(" two  spaces")
    assert [ids.tolist() for ids in encoder.encode_batch(TEXTS)] == [encoder.encode(text) for text in TEXTS]
    assert [encoder.decode(encoder.encode(text)) for text in TEXTS] == TEXTS
    with pytest.raises(ValueError, match="wide_base has no token of the id"):
        encoder.decode([300])


def test_wide_ids_through_everything(wide: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole_way(wide, tmp_path, "uint32")
    assert verify.main([str(tmp_path / "train"), "--all", "--texts", str(tmp_path / "texts.parquet")]) == 0
    export.export(str(tmp_path / "train"), str(tmp_path / "out"), "nanogpt")
    export.export(str(tmp_path / "train"), str(tmp_path / "out"), "megatron")
    ids = np.fromfile(tmp_path / "out" / "train.bin", np.int32)
    dataset = IndexedDataset(tmp_path / "out" / "train")
    assert dataset.dtype == np.int32
    assert np.concatenate([dataset[n] for n in range(len(TEXTS))]).tolist() == ids.tolist()
    assert 66_000 in ids


def whole_way(name: str, path: Path, dtype: str) -> None:
    """Texts to shards and back."""
    encoder = load(name)
    doc_ids = [doc_id(n) for n in range(len(TEXTS))]
    table = pa.table(
        {
            "doc_id": doc_ids,
            "url": [""] * len(TEXTS),
            "batch": ["b"] * len(TEXTS),
            "tokens": writer.tokenize(pa.array(TEXTS), encoder),
        }
    )
    (path / "train").mkdir()
    shard = path / "train" / placement.file_name("train", 0, 1)
    writer.write_shard(table, shard, tokenizer=encoder, split="train", tokens_per_row_group=20)
    assert pq.read_schema(shard).field("tokens").type.value_type == dtype
    header, file = describe(str(shard))
    assert (header.tokenizer, header.dtype) == (name, dtype)
    made = Manifest.of(header, split="train", batch="b", files=[file])
    (path / "train" / manifest.NAME).write_text(made.dumps())
    assert {i: text for i, _, text in read_texts(str(shard))} == dict(zip(doc_ids, TEXTS, strict=True))
    windows = list(PackedReader(str(path / "train"), 7))
    assert {window.dtype for window in windows} == {np.dtype(dtype)}
    want = np.concatenate(encoder.encode_batch(TEXTS)).tolist() + [encoder.end_of_text] * len(TEXTS)
    assert sorted(np.concatenate([w.ravel() for w in windows]).tolist()) == sorted(want)
    pq.write_table(pa.table({"doc_id": doc_ids, "text": TEXTS}), path / "texts.parquet")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A byte-level BPE trained on a few words, as `tokenizers` saves it, with padding and truncation on."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        ["the same words the same words"],
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    bpe.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    bpe.enable_padding(length=50)
    bpe.enable_truncation(60)
    path = tmp_path / "tokenizer.json"
    bpe.save(str(path))
    return path


@needs_tokenizers
def test_a_tokenizer_json(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = load(str(trained))
    assert (encoder.n_vocab, encoder.end_of_text, encoder.dtype) == (encoder.n_vocab, 0, np.uint16)
    assert 260 < encoder.n_vocab <= 300
    assert [ids.tolist() for ids in encoder.encode_batch(TEXTS)] == [encoder.encode(text) for text in TEXTS]
    assert [encoder.decode(encoder.encode(text)) for text in TEXTS] == TEXTS
    assert all(0 not in encoder.encode(text) for text in TEXTS)  # the end token's name is text
    assert encoder.encode("") == []
    assert len(encoder.encode("the " * 200)) > 60  # not truncated
    assert encoder.encode("\ud800") == encoder.encode("\ufffd")
    assert pickle.loads(pickle.dumps(encoder)) is encoder
    whole_way(str(trained), tmp_path, "uint16")
    assert verify.main([str(tmp_path / "train"), "--all", "--texts", str(tmp_path / "texts.parquet")]) == 0


@needs_tokenizers
def test_the_same_tokenizer_elsewhere(trained: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/tokenizer-test.json", trained.read_bytes())
    try:
        assert load("memory://tokenizer-test.json").checksum == load(str(trained)).checksum
    finally:
        memory.rm("/tokenizer-test.json")


@needs_tokenizers
def test_the_token_that_ends_a_document(trained: Path, tmp_path: Path) -> None:
    assert load(f"{trained}#<pad>").end_of_text == 1
    with pytest.raises(ValueError, match=r"has no </s>: name the token that ends a document"):
        load(f"{trained}#</s>")
    other = tmp_path / "other.json"
    other.write_text(trained.read_text().replace("<pad>", "</s>"))
    with pytest.raises(ValueError, match=r"has <\|endoftext\|> and </s>: name the token"):
        load(str(other))
    other.write_text(trained.read_text().replace("<|endoftext|>", "<end>"))
    with pytest.raises(ValueError, match=r"has no <\|endoftext\|> or .*: name the token"):
        load(str(other))


@needs_tokenizers
def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / "missing.json"))
    for data in (b"", b"{}", b"\xff"):
        (tmp_path / "a.json").write_bytes(data)
        with pytest.raises(ValueError, match=r"a.json: not a tokenizer.json"):
            load(str(tmp_path / "a.json"))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.delitem(sys.modules, "shards.tokenizer.huggingface", raising=False)
    monkeypatch.delattr("shards.tokenizer.huggingface", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'webtext-pipeline\[huggingface\]'"):
        tokenizer.load("some/tokenizer.json")
