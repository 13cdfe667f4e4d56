"""The chain on Dask: keepers, batches, and that nothing but the documents decides."""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dedup.minhash import decisions, index, signatures
from dedup.minhash.parameters import Parameters
from dedup.minhash.tables import DOCUMENTS, Batch, DuplicateIdError
from dedup.words import text_hash

WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    configuration = {
        "scheduler": "synchronous",
        "dataframe.shuffle.method": "tasks",
    }
    with dask.config.set(configuration):
        yield


def prose(seed: int, words: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def edited(text: str, *positions: int) -> str:
    words = text.split()
    for position in positions:
        words[position] = f"edit{position}"
    return " ".join(words)


def document(doc_id: str, text: str, *, priority: float | None = 1, url: str | None = "") -> dict[str, Any]:
    rows, shingles = signatures.signatures_and_counts([text])
    return {
        "doc_id": doc_id,
        "priority": priority,
        "url": f"http://host.example/{doc_id}" if url == "" else url,
        "text_hash": text_hash(text),
        "signature": signatures.to_bytes(rows)[0].as_py(),
        "n_shingles": int(shingles[0]),
        "shingles": signatures.shingle_sets([text])[0].as_py(),
    }


@dataclass(frozen=True)
class Partition:
    table: pa.Table

    def read(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pa.Table:
        selected = self.table.select(columns)
        return selected if rows is None else selected.take(rows)


@dataclass(frozen=True)
class File:
    content: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)


def partitioned(documents: list[dict[str, Any]], size: int) -> list[Partition]:
    schema = DOCUMENTS.append(pa.field("shingles", pa.binary()))
    starts = range(0, max(1, len(documents)), size)
    return [Partition(pa.Table.from_pylist(documents[i : i + size], schema)) for i in starts]


def batches(
    *sequence: list[dict[str, Any]],
    size: int = 3,
    files: int = 2,
    threshold: float = 0.7,
    group_size: int = 1,
    **options: Any,
) -> list[pd.DataFrame]:
    """Decides one batch after the other, each with the indices of those before it."""
    parameters = Parameters(threshold)
    earlier: list[Batch] = []
    results = []
    for documents in sequence:
        parts = partitioned(documents, size)
        decided = decisions.decide(
            parts, earlier, parameters=parameters, group_size=group_size, **options
        ).persist()
        kept = decisions.kept_buckets(parts, decided, files, parameters)
        stored = []
        for rows in kept.to_delayed():
            sink = io.BytesIO()
            pq.write_table(index.table(rows.compute(), parameters), sink, **index.WRITE_OPTIONS)
            stored.append(File(sink.getvalue()))
        assert len(stored) == files
        earlier.append(Batch(parts, stored))
        result = decided.compute()
        assert result["doc_id"].tolist() == [row["doc_id"] for row in documents]
        results.append(result.astype(object).where(result.notna(), None).set_index("doc_id"))
    return results


def decided(
    documents: list[dict[str, Any]], earlier: list[dict[str, Any]] | None = None, **options: Any
) -> pd.DataFrame:
    return batches(*([earlier] if earlier is not None else []), documents, **options)[-1]


def test_every_dropped_document_names_its_keeper_and_the_similarity() -> None:
    text = prose(1)
    result = decided(
        [
            document("original", text, priority=9),
            document("other", prose(2)),
            document("shouted", text.upper() + "!", priority=5),
            document("edited", edited(text, 60)),
        ]
    )
    assert result["reason"].to_dict() == {
        "original": "ok",
        "other": "ok",
        "shouted": "exact_duplicate",
        "edited": "near_duplicate",
    }
    assert result["keeper"].to_dict() == {
        "original": "original",
        "other": "other",
        "shouted": "original",
        "edited": "original",
    }
    assert result["similarity"]["shouted"] == 1.0
    assert 0.7 <= result["similarity"]["edited"] < 1.0
    assert result["similarity"]["original"] is None
    assert result["keeper_url"]["edited"] == "http://host.example/original"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"priority": 3, "url": "http://z.example/"}, {"priority": 2, "url": "http://a.example/"}),
        ({"priority": 0.75}, {"priority": 0.5}),
        ({"priority": -1}, {"priority": None}),
        ({"url": "http://a.example/"}, {"url": "http://b.example/"}),
        ({"doc_id": "a", "url": "http://a.example/"}, {"doc_id": "z", "url": "http://a.example/"}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_keeper_is_first_by_batch_priority_url_and_id(
    better: dict[str, Any], worse: dict[str, Any], turned: bool
) -> None:
    text = prose(3)
    pair = [
        document(**{"doc_id": "m", "text": text, **better}),
        document(**{"doc_id": "n", "text": text, **worse}),
    ]
    result = decided(pair[::-1] if turned else pair, size=1)
    assert set(result["keeper"]) == {pair[0]["doc_id"]}


def test_documents_need_no_url() -> None:
    text = prose(3)
    pair = [document("a", text, url=None), document("b", text, url="http://host.example/b")]
    assert set(decided(pair, size=1)["keeper"]) == {"b"}
    result = decided([document("b", text, url=None), document("a", text, url=None)], size=1)
    assert set(result["keeper"]) == {"a"}
    assert set(result["keeper_url"]) == {None}


@pytest.mark.parametrize(("size", "group_size"), [(1, 1), (2, 1), (9, 8)])
def test_an_id_that_is_not_unique_is_refused(size: int, group_size: int) -> None:
    documents = [document(doc_id, prose(number)) for number, doc_id in enumerate(["a", "b", "c", "b", "a"])]
    with pytest.raises(DuplicateIdError, match="doc_id 'b' is not unique") as raised:
        batches([document("b", "of an earlier batch")], documents, size=size, group_size=group_size)
    assert (raised.value.first, raised.value.second) == (divmod(1, size), divmod(3, size))
    assert f"row {3 % size} of partition {3 // size}" in str(raised.value)


def test_a_document_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 documents of a partition have no doc_id"):
        decided([document("a", "one"), document("b", "two") | {"doc_id": None}])


@pytest.mark.parametrize("convert_string", [True, False])
def test_dask_s_conversion_of_strings_changes_nothing(convert_string: bool) -> None:
    earlier, new = crowd(40)[:20], crowd(40)[20:]
    expected = decided(new, earlier)
    with dask.config.set({"dataframe.convert-string": convert_string}):
        assert decided(new, earlier).equals(expected)


def test_documents_without_words_are_never_duplicates() -> None:
    result = decided([document("a", ""), document("b", "…"), document("c", ""), document("d", "!")])
    assert set(result["reason"]) == {"ok"}


def test_a_text_shorter_than_a_shingle_has_duplicates() -> None:
    result = decided([document("a", "only three words", priority=2), document("b", "Only three words.")])
    assert result["reason"].tolist() == ["ok", "exact_duplicate"]


def test_earlier_batches_keep_theirs_whatever_the_priority() -> None:
    text = prose(4)
    earlier = [document("old", text, priority=1), document("unrelated", prose(5))]
    new = [document("new", edited(text, 10), priority=99), document("fresh", prose(6))]
    result = decided(new, earlier)
    assert result["keeper"].to_dict() == {"new": "old", "fresh": "fresh"}
    assert result["keeper_batch"].to_dict() == {"new": 0, "fresh": 1}


def test_the_same_id_in_an_earlier_batch_is_a_duplicate() -> None:
    text = prose(7)
    result = decided([document("same", text)], [document("same", text)])
    assert result["reason"].tolist() == ["exact_duplicate"]
    assert result["keeper_batch"].tolist() == [0]


def test_a_chain_is_one_cluster_and_the_similarity_to_its_keeper_is_told() -> None:
    text = prose(8, 300)
    chain = [text]
    for step in range(6):
        chain.append(edited(chain[-1], *range(40 * step, 40 * step + 36, 9)))
    result = decided([document(str(i), t, priority=9 - i) for i, t in enumerate(chain)], size=2)
    assert set(result["keeper"]) == {"0"}
    assert result["similarity"]["6"] < 0.7


def test_a_batch_without_documents() -> None:
    assert decided([]).empty


def test_many_edges_take_the_distributed_way_to_the_same_clusters() -> None:
    documents = [document(f"{i:02}", edited(prose(i % 3), i), priority=i % 5) for i in range(30)]
    assert decided(documents, max_edges=7).equals(decided(documents))


@settings(max_examples=4)
@given(st.randoms(use_true_random=False), st.integers(9, 40), st.sampled_from([1, 2, 8]))
def test_order_and_partitions_do_not_matter(rng: random.Random, size: int, group_size: int) -> None:
    documents = [
        document(f"{i:02}", edited(prose(i % 8), *range(i % 6)), priority=i % 4 or None) for i in range(36)
    ]
    expected = decided(documents, size=36)
    assert set(expected["reason"]) == {"ok", "exact_duplicate", "near_duplicate"}
    rng.shuffle(documents)
    assert decided(documents, size=size, group_size=group_size).sort_index().equals(expected)


def crowd(count: int) -> list[dict[str, Any]]:
    return [
        document(f"{i:03}", edited(prose(i % 11), *range(i % 6)), priority=i % 4 or None)
        for i in range(count)
    ]


def test_partitions_of_earlier_batches_do_not_matter() -> None:
    documents = crowd(45)
    expected = batches(documents[:15], documents[15:30], documents[30:], size=15)
    for result, wanted in zip(
        batches(documents[:15], documents[15:30], documents[30:], size=4, files=3), expected, strict=True
    ):
        assert result.equals(wanted)


@pytest.mark.parametrize("cuts", [(20,), (5, 6)])
def test_one_batch_or_several_keep_the_same_documents(cuts: tuple[int, ...]) -> None:
    """Where earlier documents are also better ones, and no later one links two clusters."""
    documents = [document(f"{i:03}", edited(prose(i % 7), i % 6), priority=1000 - i) for i in range(40)]
    together = decided(documents, size=10)
    parts = [documents[a:b] for a, b in zip((0, *cuts), (*cuts, 40), strict=True)]
    results = pd.concat(batches(*parts, size=20))
    assert results["keeper"].equals(together["keeper"])
    assert ((results["reason"] == "ok") == (together["reason"] == "ok")).all()


@pytest.fixture(scope="module")
def big() -> list[dict[str, Any]]:
    """A boilerplate page of which each batch has many versions, and other documents around it."""
    page = prose(99, 400)
    return crowd(30) + [document(f"page{i:03}", edited(page, i, i + 1), priority=i) for i in range(60)]


def test_a_later_version_of_a_boilerplate_page_finds_the_kept_one(big: list[dict[str, Any]]) -> None:
    first, second = batches(big[:60], big[60:], size=30)
    assert (first["reason"] != "ok").sum() > 25
    assert set(second["keeper"]) == {"page029"}
    assert set(second["keeper_batch"]) == {0}


def test_exact_similarity_decides_where_it_is_asked_for() -> None:
    text = prose(12, 200)
    pairs = [[document("a", text), document("b", edited(text, *range(0, n * 17, 17)))] for n in (1, 3, 5, 7)]
    for pair in pairs:
        a, b = (set(np.frombuffer(row["shingles"], "<u4").tolist()) for row in pair)
        exact = len(a & b) / len(a | b)
        alike = decided(pair, verify="exact")["reason"]["b"] == "near_duplicate"
        if exact > 0.9 or exact < 0.7:
            assert alike == (exact >= 0.7)
        assert not alike or exact >= 0.7


def test_an_index_of_other_parameters_is_refused() -> None:
    documents = [document("a", prose(1))]
    parts = partitioned(documents, 1)
    parameters = Parameters(0.8)
    kept = decisions.kept_buckets(
        parts, decisions.decide(parts, parameters=parameters), 1, parameters
    ).compute()
    sink = io.BytesIO()
    pq.write_table(index.table(kept, parameters), sink)
    earlier = [Batch(parts, [File(sink.getvalue())])]
    with pytest.raises(index.ForeignIndexError, match=r"bands=9, rows=13; this run has bands=14, rows=9"):
        decisions.decide(parts, earlier, parameters=Parameters(0.7)).compute()


@pytest.mark.parametrize("workers", [1, 4])
def test_processes_and_p2p_decide_the_same(workers: int, big: list[dict[str, Any]]) -> None:
    expected = batches(big[20:], big[:20], size=20)
    with (
        dask.config.set({"scheduler": None, "dataframe.shuffle.method": None}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        for options in ({"group_size": 8}, {"max_edges": 30}):
            for result, wanted in zip(batches(big[20:], big[:20], size=20, **options), expected, strict=True):
                assert result.equals(wanted)
