"""A corpus that grows: a second batch is held against the first."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline import status
from pipeline.corpus.files import Corpus
from shards import reader
from tests.pipeline.end_to_end import crawling
from tests.pipeline.end_to_end.conftest import Served
from tests.web import recorded

AGAIN = "https://slow-ways.example/lists/eight-small-museums"  # the first batch has it
NEW = "https://morning-wire.example/story/the-wall-in-numbers"
PROSE = (
    "Nobody had counted the stones before. The council sent two students with chalk, who numbered every "
    "block from the bridge to the mill and arrived at eleven hundred and six, of which ninety were found to "
    "be bricks. The students have asked to be paid for the bricks as well. This was agreed to after a short "
    "debate, and they are to count the steps in the spring, when the water is low enough to see them."
)


def edited(body: bytes) -> bytes:
    assert body.count(b"Concrete would have cost a third less.") == 1
    return body.replace(b"a third less.", b"about a third less, it was said.")


def test_a_second_batch_is_deduplicated_against_the_first(
    sample_corpus: Corpus, sample_web: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (original,) = (url for url in sample_web.pages if "river-wall-to-be-rebuilt" in url)
    copy = "https://morning-wire.example/story/river-wall"
    pages = {
        AGAIN: sample_web.pages[AGAIN],
        copy: edited(sample_web.pages[original]),
        NEW: f"<html><body><article><p>{PROSE}</p></article></body></html>".encode(),
    }
    root = tmp_path / "corpus"
    shutil.copytree(sample_corpus.root, root)
    before = crawling.shards(Corpus.open(str(root)))
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{url}\n" for url in pages), encoding="utf-8")
    with recorded.serve(pages) as base:
        crawling.run(crawling.of_pages(base, urls, root, batch="two"))

    status.main([str(root), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["batches"] == [{"name": name, "state": "committed"} for name in ("one", "two")]
    counts = {(row["stage"], row["reason"]): row["count"] for row in said["funnel"] if row["batch"] == "two"}
    assert counts["submissions", "ok"] == 3
    assert counts["near_duplicates", "near_duplicate"] == 1
    assert counts["shards", "ok"] == 1

    def last(url: str) -> dict[str, str]:
        status.main([str(root), "--url", url, "--json"])
        return json.loads(capsys.readouterr().out)["history"][-1]

    found = last(copy)
    assert (found["batch"], found["keeper_batch"], found["keeper_url"]) == ("two", "one", original)
    assert last(NEW)["shard"]
    assert (last(AGAIN)["batch"], last(AGAIN)["stage"]) == ("two", "links")
    documents = [
        url
        for split in ("train", "heldout")
        for _, url, _ in reader.read_documents(str(root / f"shards/{split}/two"))
    ]
    assert documents == [NEW]
    after = crawling.shards(Corpus.open(str(root)))
    assert {name: content for name, content in after.items() if name in before and "/one/" in name} == {
        name: content for name, content in before.items() if "/one/" in name
    }
