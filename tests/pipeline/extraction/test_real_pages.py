"""The whole chain over 250 real pages under their real URLs, over real HTTP on loopback."""

import json
from collections import Counter

import pyarrow.dataset as ds
import pytest

from pipeline import crawl, status
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from shards import reader, tokenizer
from tests.shared import SHARED, needs_shared
from tests.web import recorded

pytestmark = needs_shared


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    directory = tmp_path_factory.mktemp("real")
    pages = recorded.real_pages(SHARED / "html")
    assert len(pages) == 250
    urls = directory / "urls.txt"
    urls.write_text("\n".join(pages) + "\n", encoding="utf-8")
    with recorded.serve(pages) as base:
        crawl.main(
            [
                *("--submissions", str(urls), "--corpus", str(directory / "corpus"), "--batch", "real"),
                *("--set", f"fetch.connect_to={json.dumps({'*': base})}", "--set", "fetch.spacing=0"),
                *("--set", "fetch.contact=tests@example.org", "--set", "links.wikipedia=true"),
                *("--set", "links.rows=64", "--set", "cluster.workers=2"),
            ]
        )
    return Corpus.open(str(directory / "corpus"))


def test_the_funnel_is_conserved_and_every_page_was_fetched(corpus: Corpus) -> None:
    counts = funnel.funnel(corpus, "real")
    funnel.check(counts)
    assert list(counts) == list(funnel.STAGES)
    assert counts["submissions"] == {"ok": 250}
    assert counts["fetch"]["ok"] >= 245
    assert counts["shards"]["ok"] > 60


def test_english_is_kept_and_the_rest_dropped(corpus: Corpus) -> None:
    lines = (SHARED / "html/news/gold.jsonl").read_text(encoding="utf-8").splitlines()
    became = Counter()
    for record in map(json.loads, lines):
        declared = (record["html_lang"] or "none")[:2]
        end = status.trace(corpus, record["url"])["history"][-1]
        foreign = end["stage"] == "language" or end["reason"] == "not_english"
        became["en" if declared == "en" else "other", foreign] += declared != "no"
    assert became["en", True] <= 3, "of the pages that declare English"
    assert became["other", False] <= 3, "of those that declare another language"
    assert became["en", False] >= 28
    assert became["other", True] >= 80


def test_shards_decode_to_the_documents(corpus: Corpus) -> None:
    gpt2 = tokenizer.load("gpt2")
    documents = ds.dataset(corpus.path("documents/real"), format="parquet").to_table(["doc_id", "text"])
    texts = dict(zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    count = 0
    for split in ("train", "heldout"):
        for doc_id, _, tokens in reader.read_documents(corpus.path(f"shards/{split}/real")):
            assert tokens[-1] == gpt2.end_of_text
            assert gpt2.decode(tokens[:-1]) == texts[doc_id]
            count += 1
    assert count == funnel.funnel(corpus, "real")["shards"]["ok"]
