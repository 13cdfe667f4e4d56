import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from pipeline.corpus.files import Corpus
from pipeline.report import card
from pipeline.report.card import Batch, Card, Overlap, Split, Stage
from shards import manifest
from shards.manifest import Manifest, describe
from shards.placement import file_name
from shards.tokenizer import load
from shards.writer import INPUT, tokenize, write_shard

CARD = Card(
    name="A corpus",
    corpus="0123456789abcdef",
    version="0.1.0",
    contact=None,
    languages=["en"],
    tokenizer="gpt2",
    vocabulary="06dd",
    dtype="uint16",
    end_of_text=50256,
    splits=[Split("train", 950_000, 10**9, 10, 10**9), Split("heldout", 50_000, 5 * 10**7, 1, 10**8)],
    batches=[Batch("2017-12", "2018-01-01T00:00:00Z", ["RS_2017-12.zst"], 3, 10**6)],
    funnel=[Stage("links", 3, 1, [("below_threshold", 2)])],
    hosts=[("example.com", 7), ("x|`<b>.com", 1)],
    n_hosts=2,
    overlaps=[Overlap("2017-12", "lambada", 0.0123456, 0.5)],
)


def header(text: str) -> dict[str, object]:
    _, yaml_header, _ = text.split("---\n", 2)
    value: dict[str, object] = yaml.safe_load(yaml_header)
    return value


def test_render() -> None:
    text = card.render(CARD)
    found = header(text)
    assert found["language"] == ["en"]
    assert found["size_categories"] == ["1M<n<10M"]
    assert found["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": split, "path": f"shards/{split}/*/*.parquet"} for split in ("train", "heldout")
            ],
        }
    ]
    assert "| 2017-12 | lambada | 1.235% | 50.0% |" in text
    assert r"| x\|\`\<b\>.com | 1 |" in text
    assert "below\\_threshold 2" in text
    assert "ask whoever distributes this corpus" in text
    assert "write to me@example.com with its URL" in card.render(
        dataclasses.replace(CARD, contact="me@example.com")
    )
    assert "No test sets were configured" in card.render(dataclasses.replace(CARD, overlaps=[]))


@pytest.mark.parametrize(
    ("documents", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (10**6 - 1, "100K<n<1M"),
        (10**6, "1M<n<10M"),
        (10**12, "n>1B"),
    ],
)
def test_size_category(documents: int, category: str) -> None:
    splits = [Split("train", documents, 0, 1, 0)]
    assert dataclasses.replace(CARD, splits=splits).size_category == category
    assert header(card.render(dataclasses.replace(CARD, splits=splits)))["size_categories"] == [category]


def test_a_corpus_opens_by_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus.create(str(tmp_path / "corpus"))
    for split, n in (("train", 3), ("heldout", 1)):
        directory = tmp_path / "corpus" / "shards" / split / "b1"
        directory.mkdir(parents=True)
        columns = [
            [f"{i:032x}" for i in range(n)],
            [f"http://www.{'a' if i else 'b'}.example/{i}" for i in range(n)],
            ["b1"] * n,
            tokenize(pa.array(["some text"] * n), load()),
        ]
        path = directory / file_name(split, 0, 1)
        table = pa.table(columns, schema=INPUT)
        write_shard(table, path, tokenizer=load(), split=split, tokens_per_row_group=100)
        found, file = describe(str(path))
        made = Manifest.of(found, split=split, batch="b1", files=[file])
        (directory / manifest.NAME).write_text(made.dumps())
    corpus.write_json("reports/b1/contamination.json", {"benchmarks": []})
    record = {
        "committed": "2018-01-01T00:00:00Z",
        "inputs": [{"path": "s3://dumps/RS_2017-12.zst"}],
        "settings": {"language": {"keep": ["en"]}, "links": {"min_karma": 3}},
        "funnel": {"links": {"ok": 4, "self_post": 5}, "fetch": {"ok": 4}},
    }
    card.write(corpus, {"b1": record}, "me@example.com")
    text = (tmp_path / "corpus" / "README.md").read_text()
    assert "| train | 3 | 9 | 1 |" in text
    assert "| a.example | 2 |" in text
    assert "| b.example | 2 |" in text
    assert "| links | 9 | 4 | self\\_post 5 |" in text
    assert "RS\\_2017-12.zst" in text

    datasets = pytest.importorskip("datasets", reason="the extra 'train' is not installed")
    opened = datasets.load_dataset(str(tmp_path / "corpus"), cache_dir=str(tmp_path / "cache"))
    assert {split: rows.num_rows for split, rows in opened.items()} == {"train": 3, "heldout": 1}
    from huggingface_hub import DatasetCard

    assert DatasetCard(text).data.to_dict()["configs"][0]["config_name"] == "default"
    assert json.dumps(DatasetCard(text).data.to_dict()["language"]) == '["en"]'
