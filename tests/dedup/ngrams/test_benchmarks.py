"""Reading benchmark files: formats, compressions, fields, the registry, and wrong inputs."""

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dedup.files import FileError, rows_of
from dedup.ngrams import benchmarks, streams
from dedup.ngrams.hashing import NGramHasher
from tests.shared import SAMPLE, SHARED, private

ROWS = [
    {"id": "q1", "question": "Why is “the sky” blue?", "choices": ["Rayleigh scattering,", "of light"]},
    {"id": "q2", "question": "Wieso, à minuit?", "choices": []},
]
TEXTS = ["Why is “the sky” blue?\nRayleigh scattering,\nof light", "Wieso, à minuit?"]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def two_frames(data: bytes) -> bytes:
    half = len(data) // 2
    return zstandard.compress(data[:half]) + zstandard.compress(data[half:])


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.compress),
        (".zst", two_frames),
    ],
)
def test_compressions(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"My-Questions.jsonl{suffix}"
    path.write_bytes(compress(LINES))
    found = benchmarks.read(str(path), fields=["question", "choices"])
    assert (found.name, found.ids, found.texts) == ("My-Questions", ["q1", "q2"], TEXTS)
    assert (found.source, found.stream, found.fields) == (str(path), False, ["question", "choices"])


def test_formats_agree(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "b.json").write_text(json.dumps(ROWS))
    (tmp_path / "c.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    (tmp_path / "d.ndjson").write_bytes(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n"))
    for path in sorted(tmp_path.iterdir()):
        assert benchmarks.read(str(path), fields=["question", "choices"]).texts == TEXTS
    (tmp_path / "e.csv").write_text('id,question\nq1,"one, two\nthree"\nq2,four\n', newline="")
    (tmp_path / "f.tsv").write_text('id\tquestion\nq1\t"one, two\nthree"\nq2\tfour\n', newline="")
    for name in ("e.csv", "f.tsv"):
        found = benchmarks.read(str(tmp_path / name))
        assert (found.ids, found.texts) == (["q1", "q2"], ["one, two\nthree", "four"])


def test_text_is_one_stream_unless_its_lines_are_examples(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("first line\n\nsecond line\n")
    whole = benchmarks.read(str(path))
    assert (whole.stream, whole.texts) == (True, ["first line\nsecond line"])
    lines = benchmarks.read(str(path), stream=False, name="lines")
    assert (lines.name, lines.ids, lines.texts) == ("lines", ["0", "2"], ["first line", "second line"])


def test_rows_as_one_stream(tmp_path: Path) -> None:
    path = tmp_path / "wikitext.parquet"
    pq.write_table(pa.table({"text": ["= Head =", "", "Body."]}), path)
    assert benchmarks.read(str(path), stream=True).texts == ["= Head =\nBody."]


def test_fields_are_found_by_path_and_guessed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "nested.jsonl"
    path.write_text(json.dumps({"Question": "What?", "choices": {"text": ["a", None, "b"], "label": [0, 1]}}))
    assert benchmarks.read(str(path), fields=["Question", "choices.text"]).texts == ["What?\na\nb"]
    assert benchmarks.read(str(path)).fields == ["Question"]


def test_escaped_halves_of_surrogates_become_replacement_characters(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "a\\ud83d b\\ud83d\\ude00"}')
    assert benchmarks.read(str(path)).texts == ["a� b😀"]


WRONG: list[tuple[str, bytes, list[str] | None, str]] = [
    ("a.jsonl", b"", None, "the file is empty"),
    ("a.txt", b"", None, "the file is empty"),
    ("a.json", b"[]", None, "the file is empty"),
    ("a.txt", b" \n... !\n", None, "no text in the file"),
    ("a.jsonl", b'{"text": ""}\n', None, "no text in 'text'"),
    ("a.jsonl", LINES, ["answer"], "no field 'answer'; the fields are 'id', 'question', 'choices'"),
    ("a.jsonl", b'{"label": 1, "x": "t"}\n', None, "which field is the text.*'label', 'x'"),
    ("a.jsonl", b'{"text": 5}\n', None, "row 1: field 'text' holds int, expected text"),
    ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', None, "row 2: no field 'text'; the fields are 'body'"),
    ("a.jsonl", b'{"text": "a"}\n{"text": "b', None, "line 2: not JSON"),
    ("a.jsonl", b"[1]\n", None, "line 1: expected an object, found list"),
    ("a.json", b"{}", None, "expected a list of objects"),
    ("a.json", b"[1]", None, "item 1: expected an object, found int"),
    ("a.json", b"[", None, "not JSON"),
    ("a.csv", b"id,label\n1,2\n", None, "which field is the text"),
    ("a.txt", b"some text\0\n", None, "binary"),
    ("a.txt", b"\x89PNG\r\n\x1a\n", None, r"not text in UTF-8 \(byte 0x89\)"),
    ("a.txt", b"text", ["question"], "a text file has no field 'question'"),
    ("a.parquet", b"PAR1 or not", None, "a.parquet: .*[Pp]arquet"),
    ("a.jsonl.gz", LINES, None, "damaged or cut off"),
    ("a.jsonl.gz", gzip.compress(LINES)[:-12], None, "damaged or cut off"),
    ("a.jsonl.xz", lzma.compress(LINES)[:-12], None, "damaged or cut off"),
    ("a.jsonl.zst", LINES, None, "damaged or cut off"),
    ("a.txt.zst", zstandard.compress(b"word " * 9999)[:-3], None, "the last Zstandard frame is not complete"),
    ("a.jsonl.zst", b"", None, "not complete"),
]


@pytest.mark.parametrize(("name", "data", "fields", "message"), WRONG)
def test_wrong_inputs_name_the_file_and_the_matter(
    tmp_path: Path, name: str, data: bytes, fields: list[str] | None, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FileError, match=message) as caught:
        benchmarks.read(str(path), fields=fields)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_directories(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        benchmarks.read(str(tmp_path / "none.jsonl"))
    with pytest.raises(OSError, match="directory"):
        benchmarks.read(str(tmp_path))


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl.zst"
    path.write_bytes(zstandard.compress(b'{"text": "a"}\n' * 100_000)[:-3])
    with rows_of(str(path)) as rows:
        assert next(rows) == {"text": "a"}


def test_the_registry_does_not_force_fields_that_a_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k-translated.jsonl"
    path.write_text('{"prompt": "How many?"}\n')
    found = benchmarks.read(str(path))
    assert (found.name, found.fields) == ("GSM8K", ["prompt"])


SQUAD = {
    "title": "Rain",
    "paragraphs": [
        {"context": "It rained.", "qas": [{"question": "Did it?", "id": "x"}, {"question": "When?"}]},
        {"context": "Then no more.", "qas": []},
    ],
}
CHOICES = {"text": ["Sun", "Fog"], "label": ["A", "B"]}
LAYOUTS: list[tuple[str, Any, str, str]] = [
    (
        "squad/dev-v1.1.json",
        {"data": [SQUAD], "version": "1.1"},
        "SQuAD",
        "It rained.\nThen no more.\nDid it?\nWhen?",
    ),
    ("coqa-dev-v1.0.json", {"version": "1.0", "data": [{"story": "Rain."}]}, "CoQA", "Rain."),
    ("ARC-Easy/test-00000.parquet", {"question": "Why?", "choices": CHOICES}, "ARC", "Why?\nSun\nFog"),
    (
        "ARC-Challenge-Test.jsonl",
        {"question": {"stem": "Why?", "choices": [{"text": "Sun"}, {"text": "Fog"}]}},
        "ARC",
        "Why?\nSun\nFog",
    ),
    ("piqa/valid.jsonl", {"goal": "Dry it", "sol1": "Sun", "sol2": "Fog"}, "PIQA", "Dry it\nSun\nFog"),
    ("piqa/valid.jsonl", {"query": "Dry it", "choices": ["Sun"]}, "PIQA", "Dry it\nSun"),
    ("BoolQ/dev.jsonl", {"question": "is it", "passage": "It is."}, "BoolQ", "It is.\nis it"),
    ("COPA/val.jsonl", {"premise": "Wet.", "choice1": "Rain", "choice2": "Sun"}, "COPA", "Wet.\nRain\nSun"),
    (
        "winogrande_1.1/dev.jsonl",
        {"sentence": "_ is", "option1": "A", "option2": "B"},
        "WinoGrande",
        "_ is\nA\nB",
    ),
    ("hellaswag_val.jsonl", {"ctx": "It", "endings": ["rains", "is"]}, "HellaSwag", "It\nrains\nis"),
    ("mmlu/test.parquet", {"question": "Why?", "choices": ["Sun", "Fog"]}, "MMLU", "Why?\nSun\nFog"),
    ("wikitext-2-raw-v1/test-00000-of-00001.parquet", {"text": "= Rain ="}, "WikiText-2", "= Rain ="),
    ("cnn_dailymail/test.csv", {"article": "Rain.", "highlights": "Wet."}, "CNN/Daily Mail", "Rain.\nWet."),
    ("ptb.test.txt", "no it was n't", "Penn Treebank", "no it was n't"),
    ("enwik8", "<page>", "enwik8", "<page>"),
    ("text8.gz", "anarchism", "text8", "anarchism"),
    ("news.en.heldout-00000-of-00050", "It rained .", "One Billion Word", "It rained ."),
    ("CBTest/data/cbtest_NE_test_2500ex.txt", "1 It rained", "Children's Book Test", "1 It rained"),
    ("newstest2014-fren-ref.en", "It rained.", "WMT-14", "It rained."),
]


@pytest.mark.parametrize(("name", "content", "benchmark", "text"), LAYOUTS)
def test_layouts_that_benchmarks_come_in(
    tmp_path: Path, name: str, content: Any, benchmark: str, text: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([content]), path)
    elif path.suffix == ".csv":
        path.write_text(f"{','.join(content)}\n{','.join(content.values())}\n")
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    found = benchmarks.read(str(path))
    assert (found.name, found.texts) == (benchmark, [text])


KNOWN = {
    "wikitext-2/wiki.test.tokens": ("WikiText-2", True, 1, []),
    "lambada/lambada_test.openai.jsonl": ("LAMBADA", False, 5_153, ["text"]),
    "lambada/lambada_test_plain_text.txt": ("LAMBADA", False, 5_153, []),
    "nq_open/NQ-open.dev.jsonl": ("Natural Questions (open)", False, 3_610, ["question"]),
    "gsm8k/test.jsonl": ("GSM8K", False, 1_319, ["question", "answer"]),
    "humaneval/HumanEval.jsonl.gz": ("HumanEval", False, 164, ["prompt", "canonical_solution"]),
    "truthfulqa/TruthfulQA.csv": ("TruthfulQA", False, 817, ["Question"]),
    "commonsense/arc_easy.jsonl": ("ARC (easy)", False, 2_376, ["query", "choices"]),
    "commonsense/arc_challenge.jsonl": ("ARC (challenge)", False, 1_172, ["query", "choices"]),
    "commonsense/boolq.jsonl": ("BoolQ", False, 3_270, ["query"]),
    "commonsense/copa.jsonl": ("COPA", False, 100, ["query", "choices"]),
    "commonsense/piqa.jsonl": ("PIQA", False, 1_838, ["query", "choices"]),
    "commonsense/winogrande.jsonl": ("WinoGrande", False, 1_267, ["context_options", "continuation"]),
    "commonsense/winograd_wsc.jsonl": ("WSC273", False, 273, ["context_options", "continuation"]),
}


@pytest.mark.parametrize("file", KNOWN)
@pytest.mark.parametrize("directory", [SAMPLE, *private(SHARED)], ids=["sample", *private("whole")])
def test_benchmarks_are_known(file: str, directory: Path) -> None:
    """Under the names and in the layouts in which they are handed round; the sample has two rows of each."""
    found = benchmarks.read(str(directory / "benchmarks" / file))
    name, stream, rows, fields = KNOWN[file]
    count = rows if directory == SHARED or stream else 2
    assert (found.name, found.stream, len(found.texts), found.fields) == (name, stream, count, fields)


def test_batches_of_a_stream_have_its_ngrams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines long and short, one without a space, and pieces of punctuation."""
    for module in (benchmarks, streams):
        monkeypatch.setattr(module, "CHUNK_CHARACTERS", 50)
    rng = random.Random(0)
    ngrams = NGramHasher("words", 3)
    for number in range(30):
        words = [rng.choice(["ab", "c", "--", "É.", "x" * 60]) for _ in range(rng.randint(1, 120))]
        text = "".join(word + rng.choice([" ", " ", "\n"]) for word in words) + " a b c"
        path = tmp_path / f"{number}.txt"
        path.write_text(text, encoding="utf-8")
        pieces = [piece for batch in benchmarks.read_batches(str(path), 3) for piece in batch]
        whole = ngrams.hash([text]).hashes
        assert set(ngrams.hash(pieces).hashes.tolist()) == set(whole.tolist())
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"row {i} " * 9}) + "\n" for i in range(20)))
    batches = list(benchmarks.read_batches(str(rows), 3))
    assert len(batches) > 1
    assert [text for batch in batches for text in batch] == benchmarks.read(str(rows)).texts
