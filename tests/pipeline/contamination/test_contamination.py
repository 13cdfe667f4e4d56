"""The contamination report as data and as a page, from hostile texts, and the command that writes it."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dedup.bloom.false_positives import FalsePositives
from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import NGramHasher
from dedup.ngrams.passages import Passage
from dedup.ngrams.results import BenchmarkOverlap, Share
from pipeline.contamination import command as contamination
from pipeline.contamination import render
from pipeline.contamination.assemble import assemble
from pipeline.contamination.render import percent, to_html
from pipeline.contamination.report import (
    BenchmarkResult,
    Evidence,
    FilterResult,
    Report,
    Text,
    histogram,
    to_json,
)
from pipeline.errors import UserError

OVERLAP = BenchmarkOverlap("Quiz", Share(3, 40), Share(2, 39), Share(1, 5), Share(0, 2))
EVIDENCE = Evidence(
    3,
    Passage("asked: ", "what is it that flies", "?"),
    Passage("He said ", "What is it that flies", " at"),
    "d1",
    "https://news.example/a?b=1&c=2",
)
CDF = [80.0] * 100 + [100.0]
REPORT = Report(
    "batch b of corpus c",
    [
        BenchmarkResult("Quiz", "quiz.jsonl", False, ["q"], "tokens", 8, None, OVERLAP, [4, 1], CDF, [
            Text("q7", Share(3, 9), [EVIDENCE])
        ]),
        BenchmarkResult("Split", "wiki.txt", True, [], "tokens", 8, OVERLAP, None),
    ],
    Share(1, 63),
    [
        FilterResult(
            "filters/b/train.bloom", 640, 27, 12, 0.5, 1e-8, 7.5e-9, 10**6, 0, FalsePositives(1234, 10**7, 0)
        )
    ],
    (),
    {"Normal form": "lower case"},
)  # fmt: skip


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str | None]:
        return [attributes.get("href") for tag, attributes in self.elements if tag == "a"]


def test_json_has_the_shares_that_others_read() -> None:
    value = json.loads(json.dumps(to_json(REPORT)))
    quiz, split = value["benchmarks"]
    assert (quiz["name"], quiz["unit"], quiz["n"]) == ("Quiz", "tokens", 8)
    assert quiz["own_train"] is None
    assert split["corpus"] is None
    assert quiz["corpus"]["occurrences"] == {"hits": 3, "total": 40, "share": 0.075}
    assert quiz["corpus"]["distinct"] == {"hits": 2, "total": 39, "share": 2 / 39}
    assert split["own_train"]["occurrences"]["share"] == 0.075
    assert quiz["worst"][0]["evidence"][0]["url"] == EVIDENCE.url
    assert value["filters"][0]["rate_expected"] == 7.5e-9
    assert value["filters"][0]["real_words"] == {"words": 1234, "tried": 10**7, "found": 0, "missing": ""}
    assert value["documents"] == {"hits": 1, "total": 63, "share": 1 / 63}


def test_page_shows_what_the_data_says() -> None:
    page = Page(to_html(REPORT))
    for expected in (
        "Quiz", "7.50%", "3 of 40", "5.13%", "2 of 39", "20.00%", "Example q7: 3 of 9", "He said ",
        "What is it that flies", "1 of 63", "0 of 1,000,000",
        "0 of 10,000,000 random n-grams of 1,234 real words", "2 of its texts are shorter than 8 tokens",
    ):  # fmt: skip
        assert expected in " ".join(page.text.split()), expected
    assert [tag for tag, _ in page.elements].count("mark") == 2
    assert EVIDENCE.url in page.links()


def test_only_what_was_compared_is_shown() -> None:
    """Columns of training sets that nothing was compared with are left out, and charts of nothing."""
    quiz, split = REPORT.benchmarks
    rows = {name: render.to_markdown(replace(REPORT, benchmarks=sets)).splitlines()[2:6] for name, sets in (
        ("both", [quiz, split]), ("corpus", [quiz]), ("own", [split]),
    )}  # fmt: skip
    own, corpus = (
        f"{name}, occurrences | {name}, distinct | {name}, examples |"
        for name in ("own train", "training set")
    )
    assert rows["both"][0] == f"| benchmark | n-grams | {own} {corpus}"
    assert rows["corpus"][0] == f"| benchmark | n-grams | {corpus}"
    assert rows["own"][0] == f"| benchmark | n-grams | {own}"
    assert rows["own"][2] == "| Split | 8 tokens | 7.50% (3 of 40) | 5.13% (2 of 39) | – |"
    assert len(render.to_terminal(REPORT).columns) == 6
    assert len(render.to_terminal(replace(REPORT, benchmarks=[split])).columns) == 4
    page = Page(to_html(replace(REPORT, benchmarks=[quiz]))).text
    assert "this training set" in page
    assert "own training split" not in page
    assert "the files of --train" in Page(to_html(replace(REPORT, benchmarks=[split]))).text
    nothing = replace(OVERLAP, occurrences=Share(0, 40))
    source = to_html(replace(REPORT, benchmarks=[replace(quiz, corpus=nothing, worst=[])]))
    assert "None of its 40 n-grams was found." in source
    assert "<polyline" not in source


def test_page_loads_and_runs_nothing() -> None:
    page = Page(to_html(REPORT))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "img", "iframe", "object", "embed", "form", "base"}
    policy = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    (script,) = re.findall("<script>(.*?)</script>", to_html(REPORT), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == [f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"]
    assert "http" not in script


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</style></mark></html><h1>mine",
        "{{ 7 * 7 }} {% raw %}",
        "nul \x00 bell \x07 override \u202e isolate \u2066 end",
        "javascript:alert(1)",
    ],
)
def test_hostile_texts_stay_text(hostile: str) -> None:
    passage = Passage(hostile, hostile, hostile)
    evidence = Evidence(3, passage, passage, hostile, hostile)
    result = replace(
        REPORT.benchmarks[0], name=hostile, source=hostile, fields=[hostile],
        worst=[Text(hostile, Share(3, 9), [evidence])],
    )  # fmt: skip
    report = Report(
        hostile, [result, REPORT.benchmarks[1]], REPORT.documents, REPORT.filters, (), {"x": hostile}
    )
    source = to_html(report)
    page, plain = Page(source), Page(to_html(REPORT))
    tags = [tag for tag, _ in page.elements]
    assert sorted(tags) == sorted([tag for tag, _ in plain.elements if tag != "a"] + ["a"] * tags.count("a"))
    assert page.links() == ["#b1", "#b2"]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert not set(source) & set("\x00\x07\u202e\u2066")
    assert page.text.count(hostile) >= 9 or "\x00" in hostile


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//x.example", "http://[::1", "", "x"],
)
def test_only_web_addresses_become_links(url: str) -> None:
    result = replace(REPORT.benchmarks[0], worst=[Text("q", Share(1, 2), [replace(EVIDENCE, url=url)])])
    assert Page(to_html(replace(REPORT, benchmarks=[result]))).links() == ["#b1"]


def test_without_benchmarks() -> None:
    assert "No benchmark was configured" in to_html(Report("batch b", []))
    assert to_json(Report("batch b", []))["benchmarks"] == []


def test_histogram_and_percent() -> None:
    assert histogram([0, 1, 10, 11, 99, 100, 0], [100, 100, 100, 100, 100, 100, 0]) == [
        1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 2,
    ]  # fmt: skip
    assert [percent(s) for s in (None, Share(0, 0), Share(0, 9), Share(1, 10**6), Share(1, 3))] == [
        "–", "–", "0.00%", "< 0.01%", "33.33%",
    ]  # fmt: skip


def test_worst_examples_are_quoted_even_where_no_document_is_known() -> None:
    texts = ["one two three four five six", "seven eight nine ten", "one two three far away six seven eight"]
    index = BenchmarkIndex.build([Benchmark("b", "b.txt", ["x", "y", "z"], texts)], NGramHasher("words", 3))
    seen = index.scan(index.ngrams.hash(["One two three four five", "six seven eight"])).seen
    result = assemble(index, subject="s", training_set="t", own_train=[None], seen=seen).benchmarks[0]
    assert [(text.id, text.found) for text in result.worst] == [("x", Share(3, 4)), ("z", Share(2, 6))]
    assert [e.example.text for e in result.worst[0].evidence] == ["one two three four five"]
    assert [e.example.text for e in result.worst[1].evidence] == ["one two three", "six seven eight"]
    assert result.corpus is not None
    assert result.corpus.occurrences == Share(5, 12)
    assert sum(result.histogram) == 3
    assert not np.any(index.scan(index.ngrams.hash([])).seen)


def files(directory: Path) -> tuple[str, str]:
    prose = "It rained on the day the harbour master sold his telescope to a man who could not see."
    (directory / "train.jsonl").write_text(json.dumps({"text": f"Listen. {prose} So it goes."}) + "\n")
    rows: list[dict[str, Any]] = [
        {"id": "a", "question": prose.upper()},
        {"id": "b", "question": "Nothing of this sort was ever written down by anybody before today."},
    ]
    (directory / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(directory / "train.jsonl"), str(directory / "quiz.jsonl")


def test_command_without_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, quiz = files(tmp_path)
    output = tmp_path / "out" / "report"
    contamination.main(["--train", train, "--benchmark", quiz, "--output", str(output)])
    (result,) = json.loads((output / "report.json").read_text())["benchmarks"]
    assert result["name"] == "quiz"
    assert result["corpus"] is None
    assert result["own_train"]["examples"] == {"hits": 1, "total": 2, "share": 0.5}
    assert result["own_train"]["occurrences"]["hits"] > 0
    assert "quiz" in (output / "report.html").read_text()
    assert "quiz" in capsys.readouterr().out


def test_samples_and_a_directory_of_benchmarks(tmp_path: Path) -> None:
    train, quiz = files(tmp_path)
    sets = tmp_path / "sets" / "deep"
    sets.mkdir(parents=True)
    for name in ("a.jsonl", "deep/a.jsonl"):
        (tmp_path / "sets" / name).write_bytes(Path(quiz).read_bytes())
    (sets / "notes.pdf").write_bytes(b"no test set")
    output = tmp_path / "out"
    inputs = ["--benchmark", str(tmp_path / "sets"), "--samples", quiz, "--train", train]
    contamination.main([*inputs, "--output", str(output)])
    value = json.loads((output / "report.json").read_text())
    assert [b["name"] for b in value["benchmarks"]] == ["a.jsonl", "deep/a.jsonl"]
    (samples,) = value["samples"]
    assert samples["own_train"]["examples"] == {"hits": 1, "total": 2, "share": 0.5}
    assert len(samples["cdf"]) == 101
    assert (samples["cdf"][0], samples["cdf"][99], samples["cdf"][100]) == (50, 50, 100)
    assert "<polyline" in (output / "report.html").read_text()
    markdown = (output / "report.md").read_text()
    assert "| deep/a.jsonl | 8 tokens |" in markdown
    same = [f"{tmp_path}/sets/a.jsonl", f"{sets}/a.jsonl"]
    contamination.main(["--train", train, "--benchmark", *same, "--output", str(output)])
    value = json.loads((output / "report.json").read_text())
    assert [b["name"] for b in value["benchmarks"]] == [f"a ({path})" for path in same]
    for name in ("gsm8k-train.jsonl", "gsm8k-test.jsonl"):
        (tmp_path / name).write_bytes(Path(quiz).read_bytes())
    same = [f"{tmp_path}/gsm8k-train.jsonl", f"{tmp_path}/gsm8k-test.jsonl"]
    contamination.main(["--train", train, "--benchmark", *same, "--output", str(output)])
    value = json.loads((output / "report.json").read_text())
    names = [b["name"] for b in value["benchmarks"]]
    assert names == ["GSM8K (gsm8k-train.jsonl)", "GSM8K (gsm8k-test.jsonl)"]
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="no test sets in this directory"):
        contamination.main(["--train", train, "--benchmark", str(tmp_path / "void")])


CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="no binary named chromium to open the page with")
def test_page_in_a_browser(tmp_path: Path) -> None:
    """Its table is sorted and filtered by the page's own script, and the console stays empty."""
    act = """
    const cell = document.querySelector("th[data-column='4'] button"); cell.click();
    const names = () => [...document.querySelectorAll("#benchmarks tbody tr")].filter((r) => !r.hidden)
      .map((r) => r.cells[0].textContent).join();
    const seen = [names()]; cell.click(); seen.push(names());
    const input = document.getElementById("filter"); input.value = "SPL";
    input.dispatchEvent(new Event("input")); seen.push(names());
    seen.push([...document.querySelectorAll("section")].map((s) => s.hidden).join());
    document.title = "seen " + seen.join(" ");
    """
    page = tmp_path / "page.html"
    digest = base64.b64encode(hashlib.sha256(act.encode()).digest()).decode()
    source = to_html(REPORT).replace("script-src ", f"script-src 'sha256-{digest}' ")
    page.write_text(source.replace("</body>", f"<script>{act}</script></body>"), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--no-first-run", "--disable-sync", "--disable-background-networking"]
    command += [
        "--disable-component-update",
        f"--user-data-dir={tmp_path}/profile",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "<title>seen Quiz,Split Split,Quiz Split true,false</title>" in done.stdout
    assert "CONSOLE" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "{train}"], "compared with what"),
        (["--benchmark", "{quiz}"], "what is the training set"),
        (["--train", "{train}", "--benchmark", "{quiz}.gone"], "gone: no such file"),
        (["--train", "{train}.gone", "--benchmark", "{quiz}"], "gone: no such file"),
        (["--train", "{train}", "--benchmark", "{quiz}", "--fields", "answer"], "no field 'answer'"),
        (["--train", "{train}", "--benchmark", "{quiz}", "--set", "overlap.n=99"], "shorter than 99 tokens"),
        (
            ["--train", "{train}", "--benchmark", "{quiz}", "{quiz}"],
            r"two benchmarks are named 'quiz \(.*quiz.jsonl\)'",
        ),
        (["{empty}", "--benchmark", "{quiz}"], "no corpus here"),
    ],
)
def test_command_says_what_is_wrong(tmp_path: Path, arguments: list[str], message: str) -> None:
    train, quiz = files(tmp_path)
    output = tmp_path / "out"
    values = {"train": train, "quiz": quiz, "empty": str(tmp_path / "empty")}
    with pytest.raises(UserError, match=message):
        contamination.main([*(a.format(**values) for a in arguments), "--output", str(output)])
    assert not output.exists()
