"""The chain on Dask: keepers, batches, and that nothing but the documents decides."""

import random
from collections.abc import Iterator

import dask
import pandas as pd
import pyarrow as pa
import pytest
from dask import dataframe as dd
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import decisions, minhash
from dedup.words import text_hash

WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    configuration = {
        "scheduler": "synchronous",
        "dataframe.shuffle.method": "tasks",
        "dataframe.convert-string": False,
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


def document(doc_id: str, text: str, *, batch: int = 0, karma: int | None = 1, url: str = "") -> dict:  # type: ignore[type-arg]
    rows, shingles = minhash.sketch([text])
    return {
        "doc_id": doc_id,
        "batch": batch,
        "karma": karma,
        "url": url or f"http://host.example/{doc_id}",
        "text_hash": text_hash(text),
        "signature": minhash.to_bytes(rows)[0].as_py(),
        "n_shingles": int(shingles[0]),
    }


def partitioned(documents: list[dict], size: int) -> dd.DataFrame:  # type: ignore[type-arg]
    starts = range(0, max(1, len(documents)), size)
    parts = [pa.Table.from_pylist(documents[i : i + size], decisions.DOCUMENTS) for i in starts]
    return dd.from_map(decisions.frame, parts, meta=decisions.frame(decisions.DOCUMENTS.empty_table()))


def decided(  # type: ignore[type-arg]
    documents: list[dict], earlier: list[dict] | None = None, *, size: int = 3, **options: float
) -> pd.DataFrame:
    before = partitioned(earlier, size) if earlier is not None else None
    result = decisions.decide(partitioned(documents, size), before, **options).compute()
    assert result["doc_id"].tolist() == [row["doc_id"] for row in documents]
    return result.astype(object).where(result.notna(), None).set_index("doc_id")


def test_every_dropped_document_names_its_keeper_and_the_similarity() -> None:
    text = prose(1)
    result = decided(
        [
            document("original", text, karma=9),
            document("other", prose(2)),
            document("shouted", text.upper() + "!", karma=5),
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
        ({"batch": 1, "karma": 1}, {"batch": 2, "karma": 9}),
        ({"karma": 3, "url": "http://z.example/"}, {"karma": 2, "url": "http://a.example/"}),
        ({"karma": -1}, {"karma": None}),
        ({"url": "http://a.example/"}, {"url": "http://b.example/"}),
        ({"doc_id": "a", "url": "http://a.example/"}, {"doc_id": "z", "url": "http://a.example/"}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_keeper_is_first_by_batch_karma_url_and_id(better: dict, worse: dict, turned: bool) -> None:  # type: ignore[type-arg]
    text = prose(3)
    pair = [
        document(**{"doc_id": "m", "text": text, **better}),
        document(**{"doc_id": "n", "text": text, **worse}),
    ]
    result = decided(pair[::-1] if turned else pair, size=1)
    assert set(result["keeper"]) == {pair[0]["doc_id"]}


def test_documents_without_words_are_never_duplicates() -> None:
    result = decided([document("a", ""), document("b", "…"), document("c", ""), document("d", "!")])
    assert set(result["reason"]) == {"ok"}


def test_a_text_shorter_than_a_shingle_has_duplicates() -> None:
    result = decided([document("a", "only three words", karma=2), document("b", "Only three words.")])
    assert result["reason"].tolist() == ["ok", "exact_duplicate"]


def test_earlier_batches_keep_theirs_whatever_the_karma() -> None:
    text = prose(4)
    earlier = [document("old", text, batch=0, karma=1), document("unrelated", prose(5), batch=0)]
    new = [document("new", edited(text, 10), batch=1, karma=99), document("fresh", prose(6), batch=1)]
    result = decided(new, earlier)
    assert result["keeper"].to_dict() == {"new": "old", "fresh": "fresh"}
    assert result["keeper_batch"].to_dict() == {"new": 0, "fresh": 1}


def test_the_same_id_in_an_earlier_batch_is_a_duplicate() -> None:
    text = prose(7)
    result = decided([document("same", text, batch=1)], [document("same", text, batch=0)])
    assert result["reason"].tolist() == ["exact_duplicate"]
    assert result["keeper_batch"].tolist() == [0]


def test_a_chain_is_one_cluster_and_the_similarity_to_its_keeper_is_told() -> None:
    text = prose(8, 300)
    chain = [text]
    for step in range(6):
        chain.append(edited(chain[-1], *range(40 * step, 40 * step + 36, 9)))
    result = decided([document(str(i), t, karma=9 - i) for i, t in enumerate(chain)], size=2)
    assert set(result["keeper"]) == {"0"}
    assert result["similarity"]["6"] < 0.7


def test_a_batch_without_documents() -> None:
    assert decided([]).empty


def test_many_edges_take_the_distributed_way_to_the_same_clusters() -> None:
    documents = [document(f"{i:02}", edited(prose(i % 3), i), karma=i % 5) for i in range(30)]
    assert decided(documents, edges_at_once=7).equals(decided(documents))


@settings(max_examples=6, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(6, 40))
def test_order_and_partitions_do_not_matter(rng: random.Random, size: int) -> None:
    documents = [
        document(f"{i:02}", edited(prose(i % 8), *range(i % 6)), karma=i % 4 or None) for i in range(36)
    ]
    expected = decided(documents, size=36)
    assert set(expected["reason"]) == {"ok", "exact_duplicate", "near_duplicate"}
    rng.shuffle(documents)
    assert decided(documents, size=size).sort_index().equals(expected)


def test_two_processes_and_p2p_decide_the_same() -> None:
    documents = [document(f"{i:02}", edited(prose(i % 7), *range(i % 5)), karma=i % 4) for i in range(40)]
    expected = decided(documents[20:], documents[:20], size=5)
    with (
        dask.config.set({"scheduler": None, "dataframe.shuffle.method": None}),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        assert decided(documents[20:], documents[:20], size=5).equals(expected)
        assert decided(documents[20:], documents[:20], size=5, edges_at_once=9).equals(expected)
