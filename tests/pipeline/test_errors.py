"""What is wrong and the user's to mend ends in one clear line, exit code 2, and nothing written."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline import command, crawl, status
from pipeline.contamination import command as contamination
from pipeline.corpus.files import FORMAT

CONTACT = ("--set", "fetch.contact=tests@example.org")
LINE = json.dumps({"id": "a", "url": "http://example.org/", "score": 5, "subreddit": "s", "created_utc": 1})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a good list, several bad inputs, and no corpus."""
    (tmp_path / "urls.txt").write_text("http://example.org/\n")
    (tmp_path / "empty.ndjson").write_text("")
    (tmp_path / "blank.ndjson").write_text("\n\n\n")
    (tmp_path / "prose.ndjson").write_text("These are words, and none of them is a submission.\n" * 30)
    whole = zstandard.ZstdCompressor().compress((LINE + "\n").encode() * 1000)
    (tmp_path / "short.zst").write_bytes(whole[:9])
    (tmp_path / "noise.zst").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "broken.yaml").write_text("pipeline: [")
    (tmp_path / "unknown.yaml").write_text("pipeline: {fetch: {thread: 3}}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("x")
    for name, record in (("future", '{"format": 99}'), ("damaged", "{"), ("fine", f'{{"format": {FORMAT}}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "corpus.json").write_text(record)
    (tmp_path / "fine/batches").mkdir()
    begun = {"state": "running", "inputs": [{"path": "x.zst", "bytes": 1, "digest": "0"}], "settings": {}}
    (tmp_path / "fine/batches/begun.json").write_text(json.dumps(begun))
    (tmp_path / "questions.jsonl").write_text(json.dumps({"q": "What is it?"}) + "\n")
    (tmp_path / "nothing.jsonl").write_text("")
    return tmp_path


def benchmark(path: str, fields: str = "q") -> tuple[str, str]:
    return "--set", f"overlap.benchmarks=[{{path: {path}, fields: [{fields}]}}]"


GOOD = ("--submissions", "urls.txt", "--corpus", "corpus", *CONTACT)
CRAWL = {
    "no arguments": ((), "--submissions"),
    "no corpus named": (("--submissions", "urls.txt"), "--corpus"),
    "missing file": (("--submissions", "absent.zst", "--corpus", "corpus", *CONTACT), "absent.zst"),
    "missing remote file system": (("--submissions", "nope://x", "--corpus", "corpus", *CONTACT), "nope"),
    "empty file": (("--submissions", "empty.ndjson", "--corpus", "corpus", *CONTACT), "empty.ndjson"),
    "blank file": (("--submissions", "blank.ndjson", "--corpus", "corpus", *CONTACT), "blank.ndjson"),
    "prose": (("--submissions", "prose.ndjson", "--corpus", "corpus", *CONTACT), "prose.ndjson"),
    "truncated zst": (("--submissions", "short.zst", "--corpus", "corpus", *CONTACT), "short.zst"),
    "noise": (("--submissions", "noise.zst", "--corpus", "corpus", *CONTACT), "noise.zst"),
    "a directory": (("--submissions", "other", "--corpus", "corpus", *CONTACT), "other"),
    "no contact": (GOOD[:4], "fetch.contact"),
    "a contact that is none": ((*GOOD, "--set", "fetch.contact=me"), "fetch.contact"),
    "unknown setting": ((*GOOD, "--set", "links.min_karm=3"), "pipeline.links.min_karm"),
    "wrong type": ((*GOOD, "--set", "links.min_karma=many"), "pipeline.links.min_karma"),
    "not key=value": ((*GOOD, "--set", "links.min_karma"), "key=value"),
    "missing configuration": ((*GOOD, "--config", "absent.yaml"), "absent.yaml"),
    "broken configuration": ((*GOOD, "--config", "broken.yaml"), "broken.yaml"),
    "unknown key in it": ((*GOOD, "--config", "unknown.yaml"), "pipeline.fetch.thread"),
    "wrong network": ((*GOOD, "--set", "fetch.allow_networks=[everything]"), "fetch.allow_networks"),
    "wrong connect_to": ((*GOOD, "--set", "fetch.connect_to={'*': 'ftp://x'}"), "fetch.connect_to"),
    "impossible threshold": (
        (*GOOD, "--set", "near_duplicates.threshold=0.999"),
        "near_duplicates.threshold",
    ),
    "unknown tokenizer": ((*GOOD, "--set", "shards.tokenizer=gpt9"), "shards.tokenizer"),
    "missing benchmark": ((*GOOD, *benchmark("absent.jsonl")), "absent.jsonl"),
    "empty benchmark": ((*GOOD, *benchmark("nothing.jsonl")), "nothing.jsonl"),
    "benchmark without the field": ((*GOOD, *benchmark("questions.jsonl", "answer")), "answer"),
    "batch name": ((*GOOD, "--batch", "../escape"), "--batch"),
    "unreachable scheduler": ((*GOOD, "--scheduler", "tcp://127.0.0.1:9"), "tcp://127.0.0.1:9"),
    "scheduler of no protocol": ((*GOOD, "--scheduler", "nope://127.0.0.1:9"), "nope://"),
    "corpus in a file": ((*GOOD, "--corpus", "urls.txt/corpus"), "urls.txt/corpus"),
    "corpus in a full directory": ((*GOOD, "--corpus", "other"), "other"),
    "corpus of another version": ((*GOOD, "--corpus", "future"), "format 99"),
    "damaged corpus": ((*GOOD, "--corpus", "damaged"), "damaged"),
    "corpus on no file system": ((*GOOD, "--corpus", "nope://bucket/corpus"), "nope"),
    "other submissions": ((*GOOD, "--corpus", "fine", "--batch", "begun"), "begun"),
}
OTHERS: dict[str, tuple[Callable[[list[str]], None], tuple[str, ...], str]] = {
    "status of nothing": (status.main, ("corpus",), "corpus"),
    "status of a URL that is none": (status.main, ("fine", "--url", "mailto:x"), "mailto:x"),
    "contamination of nothing": (contamination.main, ("corpus", "--benchmark", "questions.jsonl"), "corpus"),
    "contamination without the file": (
        contamination.main,
        ("fine", "--benchmark", "gone.jsonl"),
        "gone.jsonl",
    ),
    "contamination before a batch": (contamination.main, ("fine", "--benchmark", "questions.jsonl"), "fine"),
}
CASES = {
    **{name: (crawl.main, arguments, named) for name, (arguments, named) in CRAWL.items()},
    **OTHERS,
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_written(
    case: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main, arguments, named = CASES[case]
    monkeypatch.chdir(place)
    before = snapshot(place)
    with pytest.raises(SystemExit) as stop:
        command.execute(lambda: main(list(arguments)))
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert named in error
    assert "Traceback" not in error
    assert snapshot(place) == before


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_as_a_user_types_it(place: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.crawl", "--submissions", "absent.zst", "--corpus", "c", *CONTACT],
        cwd=place,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: absent.zst")
    assert io.StringIO(result.stderr).readlines()[1:] == []


@pytest.mark.parametrize("main", [crawl.main, status.main, contamination.main])
def test_help_is_worth_reading(main: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "examples:" in capsys.readouterr().out
