"""Connected components, in one task and in many."""

from collections.abc import Iterator

import dask
import numpy as np
import pandas as pd
import pytest
from dask import dataframe as dd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dedup.minhash import clusters, components

EDGES = st.lists(
    st.tuples(st.integers(0, 25), st.integers(0, 25)).filter(lambda e: e[0] != e[1]), max_size=40
)


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    with dask.config.set({"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}):
        yield


def frame(edges: list[tuple[int, int]]) -> pd.DataFrame:
    ordered = [(min(edge), max(edge)) for edge in edges]
    return pd.DataFrame(ordered, columns=["low", "high"], dtype=np.int64)


def by_hand(edges: list[tuple[int, int]]) -> dict[int, int]:
    component = {node: node for edge in edges for node in edge}
    for _ in component:
        for a, b in edges:
            component[a] = component[b] = min(component[a], component[b])
    return component


@given(EDGES)
def test_components(edges: list[tuple[int, int]]) -> None:
    found = components.connected_components(frame(edges))
    assert dict(found.itertuples(index=False, name=None)) == by_hand(edges)
    assert found["node"].is_unique


def test_node_numbers_may_be_large() -> None:
    found = components.connected_components(frame([(2**60, 2**60 + 1), (5, 2**61)]))
    assert found["component"].tolist() == [5, 2**60, 2**60, 5]


@settings(max_examples=8)
@given(EDGES.filter(bool), st.integers(1, 30))
@example([(i, i + 1) for i in range(40)], 9)  # a long chain needs the most rounds
@example([(0, i) for i in range(1, 40)], 9)
@example([], 1)
def test_connected_in_parts(edges: list[tuple[int, int]], max_edges: int) -> None:
    parts = dd.from_pandas(frame(edges), npartitions=min(3, max(1, len(edges)))).persist()
    found = clusters.distributed_components(parts, max(max_edges, len(edges) // 4)).compute()
    assert dict(found.itertuples(index=False, name=None)) == by_hand(edges)
    assert len(found.drop_duplicates()) == len(by_hand(edges))
