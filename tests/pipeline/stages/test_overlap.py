"""The stage `overlap` on a Dask cluster: flags, filter and report in any partitions; and the command."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from distributed import Client

from dedup.bloom.bloom_filter import BloomFilter
from pipeline.batch.kept import kept_documents
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Partition, Run
from pipeline.contamination import bloom_filter, index
from pipeline.contamination import command as contamination
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import DOCUMENTS, DUPLICATES, OK
from pipeline.errors import UserError
from pipeline.settings import Benchmark, Overlap, Settings, Shards
from pipeline.stages import overlap
from shards import placement, tokenizer

HELDOUT = 0.3
SYLLABLES = ("har", "bel", "mon", "tip", "gru", "sal", "ka", "do", "vin", "lor", "es", "um", "qui", "zet")
WORDS = ["".join(parts) for parts in itertools.product(SYLLABLES, repeat=3)]
random.Random(5).shuffle(WORDS)
TEXTS = {f"{i:032x}": " ".join(WORDS[60 * i : 60 * i + 60]) for i in range(40)}
TRAIN = [
    doc_id
    for doc_id, held in zip(TEXTS, placement.is_heldout(pa.array(list(TEXTS)), HELDOUT), strict=True)
    if not held
]
DROPPED, DUPLICATE = TRAIN[0], TRAIN[1]
HELD, QUOTING = [doc_id for doc_id in TEXTS if doc_id not in TRAIN][:2]
TEXTS[QUOTING] += " " + " ".join(TEXTS[TRAIN[5]].split()[:30])
FOUND = TRAIN[2]
QUIZ = {
    "found": " ".join(TEXTS[FOUND].split()[10:30]).upper(),
    "dropped": " ".join(TEXTS[DROPPED].split()[10:30]),
    "duplicate": " ".join(TEXTS[DUPLICATE].split()[10:30]),
    "held": " ".join(TEXTS[HELD].split()[10:30]),
}


@pytest.fixture
def quiz(tmp_path: Path) -> str:
    path = tmp_path / "quiz.jsonl"
    rows = [json.dumps({"id": name, "question": text}) for name, text in QUIZ.items()]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def prepare(client: Client, directory: Path, quiz: str, partitions: int) -> Run:
    """A batch up to near-duplicates, in so many partitions."""
    settings = Settings(overlap=Overlap(benchmarks=[Benchmark(path=quiz)]), shards=Shards(heldout=HELDOUT))
    run = Run(Corpus.create(str(directory)), "b", settings, client, Progress(client))
    ids = list(TEXTS)
    manifests: dict[str, list[Any]] = {"documents": [], "duplicates": []}
    for number in range(partitions):
        mine = ids[number::partitions]
        left = [doc_id for doc_id in mine if doc_id != DROPPED]
        documents = [
            {
                "doc_id": doc_id,
                "url": f"https://site.example/{doc_id}",
                "text": TEXTS[doc_id],
                "reason": "min_words" if doc_id == DROPPED else OK,
            }
            for doc_id in mine
        ]
        duplicates = [
            {"doc_id": doc_id, "reason": "near_duplicate" if doc_id == DUPLICATE else OK} for doc_id in left
        ]
        for name, rows, schema in (
            ("documents", documents, DOCUMENTS),
            ("duplicates", duplicates, DUPLICATES),
        ):
            table = pa.Table.from_pylist(rows, schema)
            manifests[name].append(run.table(name).commit(number, table, key="k", counts={}))
    for name, parts in manifests.items():
        run.table(name).seal("k", parts)
    return run


def commit(run: Run) -> None:
    record = {
        "state": "committed",
        "sequence": 1,
        "inputs": [],
        "settings": run.settings.model_dump(mode="json"),
        "funnel": {},
    }
    run.corpus.write_json("batches/b.json", record)


def test_stage_is_the_same_in_any_partitions(client: Client, tmp_path: Path, quiz: str) -> None:
    filters_made, reports, flags = [], [], []
    for partitions in (1, 5):
        run = prepare(client, tmp_path / str(partitions), quiz, partitions)
        overlap.run(run)
        filters_made.append(Path(run.corpus.path(bloom_filter.name("b"))).read_bytes())
        report = run.corpus.read_json("reports/b/contamination.json")
        assert report is not None
        assert run.corpus.id in report.pop("subject")
        reports.append(report)
        seal = run.table("overlap").sealed()
        assert seal is not None
        assert seal.counts == {"overlap": {OK: 38}}
        rows = [row for n in range(partitions) for row in run.table("overlap").read(n).to_pylist()]
        flags.append(sorted(rows, key=lambda row: row["doc_id"]))
    assert filters_made[0] == filters_made[1]
    assert reports[0] == reports[1]
    assert flags[0] == flags[1]

    contaminated = {row["doc_id"] for row in flags[0] if row["hits"]}
    assert contaminated == {FOUND, HELD}
    assert all(row["benchmarks"] == (["quiz"] if row["hits"] else []) for row in flags[0])
    (result,) = reports[0]["benchmarks"]
    assert reports[0]["documents"] == {"hits": 1, "total": len(TRAIN) - 2, "share": 1 / (len(TRAIN) - 2)}
    assert result["corpus"]["examples"]["hits"] == 1
    (worst,) = result["worst"]
    assert worst["id"] == "found"
    assert worst["found"]["share"] == 1
    (evidence,) = worst["evidence"]
    assert evidence["url"] == f"https://site.example/{FOUND}"
    assert evidence["example"]["text"] == QUIZ["found"]
    assert evidence["document"]["text"] == QUIZ["found"].lower()
    (made,) = reports[0]["filters"]
    assert made["found"] == 0
    assert made["rate_expected"] <= 1e-8
    assert made["real_words"]["found"] is None
    assert "too few" in made["real_words"]["missing"]


def with_policy(run: Run, policy: str, **values: Any) -> Run:
    asked = run.settings.overlap.model_copy(update={"policy": policy, **values})
    settings = run.settings.model_copy(update={"overlap": asked})
    return Run(run.corpus, run.batch, settings, run.client, run.progress)


@pytest.mark.parametrize(("policy", "max_run"), [("drop", 20), ("cut", 20), ("drop", 10_000)])
def test_policies_take_benchmarks_out_of_the_training_set(
    client: Client, tmp_path: Path, quiz: str, policy: str, max_run: int
) -> None:
    run = with_policy(prepare(client, tmp_path / "corpus", quiz, 3), policy, max_run=max_run, max_share=0.9)
    overlap.run(run)
    seal = run.table("overlap").sealed()
    report = run.corpus.read_json("reports/b/contamination.json")
    assert seal is not None
    assert report is not None
    left: dict[str, str] = {}
    for number in range(3):
        partition = Partition(run.corpus, "b", number, tmp_path, lambda reason: None)
        rows = kept_documents(partition, ["doc_id", "text"])
        left |= dict(zip(rows["doc_id"].to_pylist(), rows["text"].to_pylist(), strict=True))
    untouched = {doc_id: TEXTS[doc_id] for doc_id in TEXTS if doc_id not in (DROPPED, DUPLICATE)}
    hits = report["benchmarks"][0]["corpus"]["occurrences"]["hits"]
    in_filter, _ = bloom_filter.load(run.corpus, "b", index.ngrams(run.settings.overlap))
    grams = index.build(run.settings.overlap)
    assert in_filter.contains(grams.hashes).sum() == hits
    cut = sum(part.facts["cut"] for part in seal.parts)
    assert report["method"]["Policy"].startswith(f"{policy}: ")
    assert all(part.facts["policy"] in report["method"]["Policy"] for part in seal.parts)
    if max_run == 10_000:
        assert (seal.counts, cut, hits > 0) == ({"overlap": {OK: 38}}, 0, True)
        assert left == untouched
        return
    assert hits == 0
    if policy == "drop":
        assert (seal.counts, cut) == ({"overlap": {"contaminated": 2, OK: 36}}, 0)
        assert left == {k: v for k, v in untouched.items() if k not in (FOUND, HELD)}
    else:
        assert (seal.counts, cut) == ({"overlap": {OK: 38}}, 2)
        words = TEXTS[FOUND].split()
        assert left.pop(FOUND) == f"{' '.join(words[:10])}\n{' '.join(words[30:])}"
        assert left.pop(HELD) != untouched[HELD]
        assert left == {k: v for k, v in untouched.items() if k not in (FOUND, HELD)}


def test_filter_holds_what_the_training_documents_have(client: Client, tmp_path: Path, quiz: str) -> None:
    run = prepare(client, tmp_path / "corpus", quiz, 3)
    overlap.run(run)
    ngrams = index.ngrams(run.settings.overlap)
    found, record = bloom_filter.load(run.corpus, "b", ngrams)
    kept = [TEXTS[doc_id] for doc_id in TRAIN if doc_id not in (DROPPED, DUPLICATE)]
    expected = BloomFilter(found.n_blocks, found.blocks_per_item, ngrams.identity)
    expected.add(ngrams.hash(kept).hashes)
    assert np.array_equal(found.words, expected.words)
    assert record["n_bits"] == found.n_bits
    for other in (Overlap(n=9), Overlap(unit="words")):
        asked = f"has 8-grams of tokens, asked for were {other.n}-grams of {other.unit}; set overlap"
        with pytest.raises(UserError, match=asked):
            bloom_filter.load(run.corpus, "b", index.ngrams(other))
    with pytest.raises(UserError, match="another vocabulary"):
        bloom_filter.load(run.corpus, "b", replace(ngrams, tokenizer="another"))
    with pytest.raises(UserError, match=r"batch 'other' .* is missing"):
        bloom_filter.load(run.corpus, "other", ngrams)
    place = Path(run.corpus.path(bloom_filter.name("b")))
    whole = place.read_bytes()
    for damaged, message in ((whole[:-1], "not whole"), (b"no filter", "not a Bloom filter")):
        place.write_bytes(damaged)
        with pytest.raises(UserError, match=f"{message}.*--evidence"):
            bloom_filter.load(run.corpus, "b", ngrams)
    place.write_bytes(whole)
    for text in ("{", "{}"):
        Path(run.corpus.path(bloom_filter.name("b", "json"))).write_text(text)
        with pytest.raises(UserError, match=r"'b'.*--evidence"):
            bloom_filter.load(run.corpus, "b", ngrams)


def test_nothing_is_done_twice_and_a_lost_filter_is_made_again(
    client: Client, tmp_path: Path, quiz: str
) -> None:
    run = prepare(client, tmp_path / "corpus", quiz, 2)
    overlap.run(run)
    names = [*(f"overlap/b/part-{n:05d}.parquet" for n in range(2)), bloom_filter.name("b")]
    paths = [Path(run.corpus.path(name)) for name in names]
    before = [path.stat().st_mtime_ns for path in paths]
    overlap.run(run)
    assert [path.stat().st_mtime_ns for path in paths] == before
    whole = paths[-1].read_bytes()
    paths[-1].unlink()
    overlap.run(run)
    assert paths[-1].read_bytes() == whole
    Path(quiz).write_text(json.dumps({"question": QUIZ["found"]}) + "\n")
    overlap.run(run)
    assert all(path.stat().st_mtime_ns > time for path, time in zip(paths[:2], before[:2], strict=True))


def test_command_agrees_by_filter_and_by_scan(
    client: Client, tmp_path: Path, quiz: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare(client, tmp_path / "corpus", quiz, 3)
    overlap.run(run)
    scheduler = ["--scheduler", client.scheduler.address]
    arguments = [run.corpus.url, "--benchmark", quiz, "--output"]
    with pytest.raises(UserError, match="no batch of this corpus is committed yet"):
        contamination.main([*arguments, str(tmp_path / "none")])
    commit(run)
    contamination.main([*arguments, str(tmp_path / "filter")])
    contamination.main([*arguments, str(tmp_path / "scan"), "--evidence", *scheduler])
    by_filter, by_scan = (
        json.loads((tmp_path / how / "report.json").read_text()) for how in ("filter", "scan")
    )
    stage = run.corpus.read_json("reports/b/contamination.json")
    assert stage is not None
    for value in (by_filter, by_scan):
        assert value["benchmarks"][0]["corpus"] == stage["benchmarks"][0]["corpus"]
        assert value["benchmarks"][0]["histogram"] == stage["benchmarks"][0]["histogram"]
    assert by_scan["benchmarks"] == stage["benchmarks"]
    assert by_scan["documents"] == stage["documents"]
    assert by_filter["benchmarks"][0]["worst"][0]["evidence"][0]["example"]["text"] == QUIZ["found"]
    assert "quiz" in capsys.readouterr().out


def test_samples_stand_beside_the_held_out_split(client: Client, tmp_path: Path, quiz: str) -> None:
    run = prepare(client, tmp_path / "corpus", quiz, 3)
    overlap.run(run)
    commit(run)
    trained = [TEXTS[doc_id] for doc_id in TRAIN if doc_id not in (DROPPED, DUPLICATE)]
    made = [trained[3], f"{trained[4]} {TEXTS[DROPPED]}", TEXTS[DROPPED]]
    path = tmp_path / "generated.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in made))
    contamination.main([run.corpus.url, "--samples", str(path), "--output", str(tmp_path / "out")])
    value = json.loads((tmp_path / "out" / "report.json").read_text())
    assert value["benchmarks"] == []
    assert [b["name"] for b in value["samples"]] == ["generated", "held-out split"]

    encoder = tokenizer.load("gpt2")

    def grams(text: str) -> list[tuple[int, ...]]:
        tokens = encoder.encode(f" {text}")
        return [tuple(tokens[i : i + 8]) for i in range(len(tokens) - 7)]

    known = {gram for text in trained for gram in grams(text)}
    held_out = [text for doc_id, text in TEXTS.items() if doc_id not in TRAIN]
    for texts, found in zip((made, held_out), value["samples"], strict=True):
        shares = [sum(g in known for g in grams(text)) / len(grams(text)) for text in texts]
        curve = [100 * sum(100 * share <= at for share in shares) / len(shares) for at in range(101)]
        assert found["cdf"] == pytest.approx(curve, abs=1e-3)
        assert curve[0] < 100
        assert found["corpus"]["examples"]["total"] == len(texts)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<polyline") == 2
    assert "held-out split" in page


def test_without_benchmarks_and_in_words(client: Client, tmp_path: Path, quiz: str) -> None:
    records = []
    for partitions in (1, 2):
        run = prepare(client, tmp_path / str(partitions), quiz, partitions)
        run = Run(run.corpus, run.batch, Settings(overlap=Overlap(unit="words")), client, run.progress)
        overlap.run(run)
        seal = Table(run.corpus, "overlap", "b").sealed()
        assert seal is not None
        assert seal.counts == {"overlap": {OK: 38}}
        report = run.corpus.read_json("reports/b/contamination.json")
        assert report is not None
        records.append(report["filters"][0])
    assert records[0] == records[1]
    words = len({word for text in TEXTS.values() for word in text.split()})
    assert 400 < records[0]["real_words"]["words"] <= words
    assert (records[0]["real_words"]["tried"], records[0]["real_words"]["found"]) == (10_000_000, 0)
    markdown = Path(run.corpus.path("reports/b/contamination.md")).read_text()
    assert "0 of 10,000,000 random n-grams of" in markdown


def test_sample_of_words_is_the_same_in_any_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bloom_filter, "SAMPLE", 7)
    monkeypatch.setattr(bloom_filter, "CHARACTERS", 20)
    rows = pa.table({"doc_id": list(TEXTS), "text": list(TEXTS.values()), "url": list(TEXTS)})
    samples = []
    for size in (1, 9, 40):
        sample = bloom_filter.SAMPLED.empty_table()
        for start in reversed(range(0, 40, size)):
            sample = bloom_filter._lowest(sample, rows.slice(start, size))
        samples.append(sample.to_pydict())
    assert samples[0] == samples[1] == samples[2]
    assert samples[0]["doc_id"] == sorted(TEXTS)[:7]
    assert samples[0]["text"][0] == TEXTS[min(TEXTS)][:20]


def test_check_names_what_is_wrong(tmp_path: Path, quiz: str) -> None:
    def settings(**values: Any) -> Overlap:
        return Overlap(benchmarks=[Benchmark(path=quiz, **values)])

    overlap.check(settings(train=quiz))
    for wrong, message in (
        ({"path": str(tmp_path / "gone.jsonl")}, "gone.jsonl"),
        ({"path": quiz, "fields": ["answer"]}, "no field 'answer'"),
        ({"path": quiz, "train": str(tmp_path / "gone.jsonl")}, "train: .*gone.jsonl"),
    ):
        with pytest.raises(UserError, match=message):
            overlap.check(Overlap(benchmarks=[Benchmark(**wrong)]))  # type: ignore[arg-type]
