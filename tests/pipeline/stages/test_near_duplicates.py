"""The stage: signatures and decisions of a batch, against earlier batches, whatever the partitions."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from distributed import Client

from dedup.minhash import signatures
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Run
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import DOCUMENTS, DUPLICATES
from pipeline.errors import UserError
from pipeline.settings import NearDuplicates, Settings
from pipeline.stages import near_duplicates

TEXT = " ".join(f"word{number * number % 97}" for number in range(150))
OTHER = " ".join(f"term{number * number % 89}" for number in range(150))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(str(tmp_path / "corpus"))


def row(doc_id: str, text: str | None, karma: int | None = 3, reason: str = "ok") -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "url": f"http://host.example/{doc_id}",
        "karma": karma,
        "text": text,
        "reason": reason,
    }


def begin(
    corpus: Corpus, client: Client, batch: str, parts: list[list[dict[str, Any]]], **options: Any
) -> Run:
    run = Run(corpus, batch, Settings(near_duplicates=NearDuplicates(**options)), client, Progress(client))
    table = run.table("documents")
    manifests = [
        table.commit(number, pa.Table.from_pylist(rows, DOCUMENTS), key="k", counts={})
        for number, rows in enumerate(parts)
    ]
    table.seal("k", manifests)
    return run


def commit(run: Run) -> None:
    record = {
        "state": "committed",
        "sequence": len(run.corpus.committed()) + 1,
        "settings": run.settings.model_dump(mode="json"),
    }
    run.corpus.write_json(f"batches/{run.batch}.json", record)


def decided(run: Run) -> dict[str, tuple[str, str, str]]:
    near_duplicates.run(run)
    seal = run.sealed("duplicates")
    tables = [run.table("duplicates").read(number) for number in range(len(seal.parts))]
    rows = pa.concat_tables(tables)
    assert rows.schema.remove_metadata() == DUPLICATES
    assert sum(seal.counts["near_duplicates"].values()) == len(rows)
    return {r["doc_id"]: (r["reason"], r["keeper"], r["keeper_batch"]) for r in rows.to_pylist()}


def test_batches_one_after_the_other(corpus: Corpus, client: Client) -> None:
    first = begin(
        corpus,
        client,
        "2017-11",
        [
            [row("a", TEXT, karma=3), row("dropped", TEXT, karma=99, reason="too_short"), row("b", OTHER)],
            [row("c", TEXT.upper(), karma=7), row("nothing", None, reason="empty")],
            [],
        ],
    )
    assert decided(first) == {
        "a": ("exact_duplicate", "c", "2017-11"),
        "b": ("ok", "b", "2017-11"),
        "c": ("ok", "c", "2017-11"),
    }
    commit(first)

    second = begin(
        corpus, client, "2017-10", [[row("d", TEXT + " end", karma=50), row("e", "some new words")]]
    )
    expected = {"d": ("near_duplicate", "c", "2017-11"), "e": ("ok", "e", "2017-10")}
    assert decided(second) == expected
    stored = Path(corpus.path(second.table("duplicates").part(0)))
    before = stored.stat().st_mtime_ns, stored.read_bytes()
    assert decided(second) == expected
    assert (stored.stat().st_mtime_ns, stored.read_bytes()) == before, "made once"
    commit(second)

    third = begin(
        corpus, client, "2017-12", [[row("f", "Some NEW words"), row("g", TEXT), row("h", "x y z")]]
    )
    assert decided(third) == {
        "f": ("exact_duplicate", "e", "2017-10"),
        "g": ("exact_duplicate", "c", "2017-11"),
        "h": ("ok", "h", "2017-12"),
    }


def test_the_s_curve_of_a_batch(corpus: Corpus, client: Client) -> None:
    run = begin(
        corpus, client, "b", [[row("a", TEXT)], [row("b", OTHER), row("c", None, reason="empty")], []]
    )
    near_duplicates.run(run)
    picture = near_duplicates.s_curve(run)
    assert picture.startswith("<svg")
    assert "pairs are candidates" in picture


def test_an_uncommitted_batch_does_not_count(corpus: Corpus, client: Client) -> None:
    decided(begin(corpus, client, "begun", [[row("a", TEXT)]]))
    assert decided(begin(corpus, client, "next", [[row("b", TEXT)]])) == {"b": ("ok", "b", "next")}


def test_a_batch_without_documents(corpus: Corpus, client: Client) -> None:
    assert decided(begin(corpus, client, "b", [[row("a", None, reason="empty")]])) == {}


def test_signatures_are_datasketch_s(corpus: Corpus, client: Client) -> None:
    run = begin(corpus, client, "b", [[row("a", TEXT)]], num_perm=64, seed=7, shingle=3)
    near_duplicates.run(run)
    stored = Table(corpus, "signatures", "b").read(0)
    expected = signatures.minhash_signatures([TEXT], num_perm=64, seed=7, shingle=3)
    assert stored["signature"].to_pylist() == [expected[0].astype("<u4").tobytes()]


def test_an_index_of_other_parameters_is_refused(corpus: Corpus, client: Client) -> None:
    first = begin(corpus, client, "first", [[row("a", TEXT)]], num_perm=64)
    decided(first)
    commit(first)
    with pytest.raises(UserError, match=r"batch 'first'.*num_perm=64.*this run has.*num_perm=128"):
        near_duplicates.run(begin(corpus, client, "second", [[row("b", TEXT)]]))
    with pytest.raises(
        UserError, match=r"batch 'first'.*made with bands=8, rows=8; this run has bands=5, rows=11"
    ):
        near_duplicates.run(begin(corpus, client, "third", [[row("b", TEXT)]], num_perm=64, threshold=0.8))
    assert decided(begin(corpus, client, "fourth", [[row("b", TEXT)]], num_perm=64)) == {
        "b": ("exact_duplicate", "a", "first")
    }


def test_exact_similarity(corpus: Corpus, client: Client) -> None:
    parts = [[row("x", None, reason="empty"), row("a", TEXT, karma=9)], [row("b", TEXT + " end")]]
    assert decided(begin(corpus, client, "b", parts, verify="exact"))["b"] == ("near_duplicate", "a", "b")


def test_the_index_holds_what_is_kept_and_is_made_again_if_it_is_lost(corpus: Corpus, client: Client) -> None:
    run = begin(corpus, client, "b", [[row("a", TEXT)], [row("b", TEXT + " end"), row("c", OTHER)]])
    reasons = decided(run)
    assert reasons["b"][0] == "near_duplicate"
    stored = run.table("buckets").read(0)
    assert set(stored["node"].to_pylist()) == {0, 2**32 + 1}
    assert len(stored) == 2 * 15
    path = Path(corpus.path(run.table("buckets").part(0)))
    content = path.read_bytes()
    path.unlink()
    Path(corpus.path("buckets/b/_manifests/table.json")).unlink()
    assert decided(run) == reasons
    assert path.read_bytes() == content


def test_a_threshold_without_bands_is_refused() -> None:
    near_duplicates.check(NearDuplicates())
    with pytest.raises(
        UserError, match=r"near_duplicates\.threshold.*4 permutations for a threshold of 0\.9"
    ):
        near_duplicates.check(NearDuplicates(threshold=0.9, num_perm=4))
