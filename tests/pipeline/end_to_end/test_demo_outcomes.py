"""The demo's web crawled by the command: every link ends as planned, and what the corpus tells of it."""

import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from pipeline import crawl, status
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.demo import plan, web
from shards.reader import read_documents
from shards.tokenizer import load
from tests.pipeline.end_to_end import crawling


def test_every_url_ends_as_planned(demo_corpus: Corpus) -> None:
    wrong = {}
    for url, planned in plan.links().items():
        became = status.trace(demo_corpus, url)["history"][-1]
        if (became["stage"], became["reason"]) != planned:
            wrong[url] = (became, planned)
    assert wrong == {}


def test_the_funnel_is_conserved_and_as_planned(demo_corpus: Corpus) -> None:
    counts = funnel.funnel(demo_corpus, "demo")
    funnel.check(counts)
    assert counts == {stage: dict(reasons) for stage, reasons in plan.funnel().items()}


def test_the_report_says_which_languages_there_were(demo_corpus: Corpus) -> None:
    found = demo_corpus.read_json("reports/demo/languages.json")
    counts = funnel.funnel(demo_corpus, "demo")
    assert sum(fates.get("ok", 0) for fates in found["documents"].values()) == counts["quality"]["ok"]
    assert found["documents"]["fr"] == {"extract": 1}
    assert {"de", "es", "fi", "ja", "ru"} <= found["documents"].keys()
    page = demo_corpus.fs.cat_file(demo_corpus.path("reports/demo/report.html")).decode()
    assert "<td>fr</td>" in page
    assert 0 < found["judged"] < found["bytes"]


def test_shards_hold_the_text_of_the_documents(demo_corpus: Corpus) -> None:
    gpt2 = load("gpt2")
    table = ds.dataset(demo_corpus.path("documents/demo"), format="parquet").to_table(["doc_id", "text"])
    texts = dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    for doc_id, _, tokens in read_documents(demo_corpus.path("shards")):
        assert tokens[-1] == gpt2.end_of_text
        assert gpt2.decode(tokens[:-1]) == texts[doc_id]


def test_status_says_it_to_programs(demo_corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    status.main([demo_corpus.url, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["batches"] == [{"name": "demo", "state": "committed"}]
    assert {"batch": "demo", "stage": "submissions", "reason": "broken_line", "count": 1} in said["funnel"]
    duplicate = next(url for url, fate in plan.links().items() if fate.reason == "near_duplicate")
    status.main([demo_corpus.url, "--url", duplicate, "--json"])
    history = json.loads(capsys.readouterr().out)["history"]
    assert [step["stage"] for step in history] == ["links", "fetch", "quality", "near_duplicates"]
    assert plan.links()[history[-1]["keeper_url"]].stage == "shards"
    status.main([demo_corpus.url])
    status.main([demo_corpus.url, "--url", duplicate])
    assert "near_duplicate" in capsys.readouterr().out


def test_the_web_was_treated_politely(demo_corpus: Corpus) -> None:
    agents = json.loads((Path(demo_corpus.root).parent / "agents.json").read_text())
    assert agents
    assert all("+" in agent and "webtext-pipeline" in agent for agent in agents)


def test_again_does_nothing(demo_corpus: Corpus, demo_web: web.Web) -> None:
    before = {path: Path(path).stat().st_mtime_ns for path in demo_corpus.fs.find(demo_corpus.root)}
    crawling.run_here(crawling.of_demo(demo_web, demo_corpus.root))
    assert {path: Path(path).stat().st_mtime_ns for path in demo_corpus.fs.find(demo_corpus.root)} == before
    assert not demo_web.log


def test_a_dry_run_writes_nothing(
    demo_web: web.Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crawl.main(crawling.of_demo(demo_web, tmp_path / "corpus", "--dry-run"))
    assert "stage    near_duplicates (to do)" in capsys.readouterr().out
    assert not (tmp_path / "corpus").exists()
    assert not demo_web.log
