"""Connected components of a graph of documents, given as edges between int64 node numbers."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from dask import dataframe as dd
from scipy.sparse import coo_array, csgraph

from dedup.minhash.signatures import mix

Persist = Callable[[dd.DataFrame, str], dd.DataFrame]  # computes and holds an intermediate frame of this name

AT_ONCE = 2_000_000  # edges handled in one task, about 100 bytes each

EDGES = pd.DataFrame({"low": np.empty(0, np.int64), "high": np.empty(0, np.int64)})
MEMBERS = pd.DataFrame({"node": np.empty(0, np.int64), "component": np.empty(0, np.int64)})


def components(edges: pd.DataFrame) -> pd.DataFrame:
    """Columns `node`, `component` (int64, the lowest node of the component), a row for each node of `edges`.

    edges: columns `low`, `high`, int64, in any order, repeats allowed.
    """
    pairs = edges[["low", "high"]].to_numpy()
    nodes, numbered = np.unique(pairs, return_inverse=True)
    low, high = numbered.reshape(pairs.shape).T
    graph = coo_array((np.ones(len(pairs), np.bool_), (low, high)), shape=(len(nodes), len(nodes)))
    _, labels = csgraph.connected_components(graph, directed=False)
    lowest = np.unique(labels, return_index=True)[1]  # nodes are sorted: the first of a label is its lowest
    return pd.DataFrame({"node": nodes, "component": nodes[lowest[labels]]})


def persisted(frame: dd.DataFrame, name: str) -> dd.DataFrame:
    """The plain `Persist`: without waiting."""
    return frame.persist()


def connected(edges: dd.DataFrame, at_once: int = AT_ONCE, persist: Persist = persisted) -> dd.DataFrame:
    """`components` of a graph of any size; a node may be named by several partitions. Runs the graph.

    edges: columns `low` < `high`, int64, persisted. persist: how each round is computed and held.

    Up to `at_once` edges are one task's work. More are split over partitions of about that size and brought
    to stars by alternating large-star and small-star steps (Kiveris, Lattanzi, Mirrokni, Rastogi,
    Vassilvitskii: Connected Components in MapReduce and Beyond, 2014): rounds of two shuffles, 16 bytes an
    edge, until nothing changes, proved to be O(log² nodes), a handful in practice. A process holds its
    partitions' edges, among them all neighbours of a node: 16 bytes each.
    """
    partitions = -(-len(edges) // at_once)
    if partitions <= 1:
        # `repartition` can wait for itself: the scheduler may be in this process, and up to Python 3.11 a
        # functools.cached_property has one lock for all objects
        whole = edges.shuffle("low", npartitions=1) if edges.npartitions > 1 else edges
        return persist(whole.map_partitions(components, meta=MEMBERS), "clusters")
    known = None
    while (seen := _checksum(edges)) != known:
        known = seen
        both = edges.map_partitions(_both_ways, meta=EDGES)
        large = both.shuffle("low", npartitions=partitions).map_partitions(_large_star, meta=EDGES)
        small = large.shuffle("high", npartitions=partitions).map_partitions(_small_star, meta=EDGES)
        edges = persist(small, "clusters")
    return persist(edges.map_partitions(_star_members, meta=MEMBERS), "clusters")


def _both_ways(edges: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([edges, edges.rename(columns={"low": "high", "high": "low"})], ignore_index=True)


def _large_star(edges: pd.DataFrame) -> pd.DataFrame:
    """Links each neighbour above a node (`low`, here any end of an edge) in its neighbourhood."""
    lowest = np.minimum(edges["low"], edges.groupby("low")["high"].transform("min"))
    stars = pd.DataFrame({"low": lowest, "high": edges["high"]})[edges["high"] > edges["low"]]
    return stars.drop_duplicates(ignore_index=True)


def _small_star(edges: pd.DataFrame) -> pd.DataFrame:
    """Links each node and its lower neighbours to the lowest of them."""
    lowest = edges.groupby("high")["low"].transform("min")
    stars = pd.DataFrame(
        {"low": np.concatenate([lowest, lowest]), "high": np.concatenate([edges["low"], edges["high"]])}
    )
    return stars[stars["low"] < stars["high"]].drop_duplicates(ignore_index=True)


def _star_members(stars: pd.DataFrame) -> pd.DataFrame:
    members = stars.set_axis(["component", "node"], axis=1)[["node", "component"]]
    centres = members.assign(node=members["component"])
    return pd.concat([members, centres], ignore_index=True).drop_duplicates(ignore_index=True)


def _checksum(edges: dd.DataFrame) -> tuple[int, int]:
    """Of the edges as a multiset: their number, and the sum of their hashes modulo 2⁶⁴."""
    sums = edges.map_partitions(_partial_checksum, meta={"edges": np.uint64, "sum": np.uint64}).compute()
    return int(sums["edges"].sum()), int(sums["sum"].sum())


def _partial_checksum(edges: pd.DataFrame) -> pd.DataFrame:
    low, high = (edges[name].to_numpy().view(np.uint64) for name in ("low", "high"))
    total = mix(low ^ mix(high)).sum(dtype=np.uint64)
    return pd.DataFrame({"edges": [np.uint64(len(edges))], "sum": [total]})
