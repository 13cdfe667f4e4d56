"""Bands, buckets and candidate pairs."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.minhash import lsh


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.5, (25, 5)), (0.7, (14, 9)), (0.8, (9, 13)), (0.9, (5, 25))]
)
def test_parameters_are_datasketch_s(threshold: float, expected: tuple[int, int]) -> None:
    assert lsh.optimal_banding(threshold) == expected


@pytest.mark.parametrize(("threshold", "num_perm"), [(0.99, 128), (0.7, 4), (1.5, 128)])
def test_a_threshold_without_bands_is_refused(threshold: float, num_perm: int) -> None:
    with pytest.raises(ValueError, match=f"{num_perm} permutations for a threshold of {threshold}"):
        lsh.optimal_banding(threshold, num_perm)


def test_documents_share_a_bucket_for_each_band_that_agrees() -> None:
    signatures = np.arange(24, dtype=np.uint32).reshape(2, 12)
    signatures[1, 3:9] = signatures[0, 3:9]
    rows = lsh.bucket_rows(np.array([5, 7]), signatures, np.array([1, 2]), bands=4, rows=3)
    assert rows.groupby("node")["bucket"].nunique().to_dict() == {5: 5, 7: 5}
    shared = rows.groupby("bucket")["node"].agg(set)
    assert sum(nodes == {5, 7} for nodes in shared) == 2


def test_equal_values_in_different_bands_share_nothing() -> None:
    signatures = np.array([[1, 2, 3, 4], [3, 4, 1, 2]], np.uint32)
    rows = lsh.bucket_rows(np.array([0, 1]), signatures, np.array([1, 2]), bands=2, rows=2)
    assert lsh.candidate_pairs(rows).empty


def frame(rows: list[tuple[int, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["bucket", "node", "text_key"], dtype=np.int64)


def pairs(edges: pd.DataFrame) -> set[tuple[int, int]]:
    assert not edges.duplicated().any()
    return set(edges.itertuples(index=False, name=None))


@given(
    st.lists(st.tuples(st.integers(100, 104), st.integers(0, 30), st.just(0)), max_size=40, unique=True),
    st.randoms(use_true_random=False),
)
def test_small_buckets_give_all_their_pairs(rows: list[tuple[int, int, int]], rng: object) -> None:
    texts = {node: 1000 + node for _, node, _ in rows}
    rows = [(bucket, node, texts[node]) for bucket, node, _ in rows]
    sizes: dict[int, set[int]] = {}
    for bucket, node, _ in rows:
        sizes.setdefault(bucket, set()).add(node)
    expected = {
        pair
        for nodes in sizes.values()
        if len(nodes) <= lsh.HUBS + 1
        for pair in combinations(sorted(nodes), 2)
    }
    rng.shuffle(rows)  # type: ignore[attr-defined]
    found = pairs(lsh.candidate_pairs(frame(rows)))
    assert expected <= found
    assert all(low < high for low, high in found)


def test_copies_are_linked_to_one_that_stands_for_them() -> None:
    copies = [(bucket, node, 9) for bucket in (9, 100, 101) for node in range(1000)]
    other = [(100, 5000, 8)]
    assert pairs(lsh.candidate_pairs(frame(copies + other))) == {(0, node) for node in range(1, 1000)} | {
        (0, 5000)
    }


def test_a_huge_bucket_costs_linear_work_and_stays_connected() -> None:
    size = 20_000
    edges = lsh.candidate_pairs(frame([(1, node, 10 + node) for node in range(size)]))
    assert len(edges) <= size * lsh.HUBS
    assert set(edges["low"]) | set(edges["high"]) == set(range(size))


def test_the_candidates_of_a_huge_bucket_depend_on_the_texts_only() -> None:
    rng = np.random.default_rng(0)
    texts = rng.permutation(100) + 10
    named = {
        frozenset((texts[a], texts[b]))
        for a, b in pairs(lsh.candidate_pairs(frame([(1, n, t) for n, t in enumerate(texts)])))
    }
    turned = texts[::-1]
    again = {
        frozenset((turned[a], turned[b]))
        for a, b in pairs(lsh.candidate_pairs(frame([(1, n, t) for n, t in enumerate(turned)])))
    }
    assert named == again


def test_pairs_of_two_earlier_documents_are_left_out() -> None:
    rows = frame([(1, node, 10 + node) for node in range(4)])
    assert pairs(lsh.candidate_pairs(rows, first_new=3)) == {(0, 3), (1, 3), (2, 3)}


def test_no_rows_no_pairs() -> None:
    assert lsh.candidate_pairs(frame([])).empty


def test_similarity_is_the_share_of_equal_positions() -> None:
    left = np.array([[1, 2, 3, 4], [1, 1, 1, 1]], np.uint32)
    assert lsh.similarity(left, left[::-1]).tolist() == [0.25, 0.25]


def test_the_s_curve() -> None:
    assert lsh.candidate_probability(0.0, 14, 9) == 0
    assert lsh.candidate_probability(1.0, 14, 9) == 1
    assert lsh.candidate_probability(0.7, 14, 9) == pytest.approx(1 - (1 - 0.7**9) ** 14)
