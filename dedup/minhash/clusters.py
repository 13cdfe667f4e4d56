"""Connected components of a graph of documents of any size, on Dask: the clusters of near-duplicates."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from dask import dataframe as dd

from dedup.minhash.components import EDGES, MEMBERS, connected_components
from dedup.minhash.signatures import mix

__all__ = ["MAX_EDGES", "Persist", "distributed_components", "persist_in_background"]

# Computes an intermediate frame and holds it in the cluster's memory. The string names it, for a progress
# bar.
Persist = Callable[[dd.DataFrame, str], dd.DataFrame]

MAX_EDGES = 2_000_000  # of one task, about 100 bytes each


def persist_in_background(frame: dd.DataFrame, name: str) -> dd.DataFrame:
    """The default `Persist`: Dask's own, which does not wait."""
    return frame.persist()


def distributed_components(
    edges: dd.DataFrame, max_edges: int = MAX_EDGES, persist: Persist = persist_in_background
) -> dd.DataFrame:
    """`connected_components` of a Dask frame; several partitions may hold rows of a node. Computes `edges`.

    edges: columns `low` < `high`, int64, persisted. persist: how each round is computed and held.

    Up to `max_edges` edges are handled by one task. More are split over partitions of about that size and
    reduced to stars by alternating large-star and small-star steps (Kiveris, Lattanzi, Mirrokni, Rastogi,
    Vassilvitskii: Connected Components in MapReduce and Beyond, 2014): rounds of two shuffles, 16 bytes an
    edge, until nothing changes, proved to be O(log² nodes), a handful in practice. A process holds the
    edges of its partitions, 16 bytes each; all edges of a node are in one partition.
    """
    partitions = -(-len(edges) // max_edges)
    if partitions <= 1:
        # `repartition` can wait for itself: the scheduler may be in this process, and up to Python 3.11 a
        # functools.cached_property has one lock for all objects
        whole = edges.shuffle("low", npartitions=1) if edges.npartitions > 1 else edges
        return persist(whole.map_partitions(connected_components, meta=MEMBERS), "clusters")
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
    """Links each higher neighbour of a node (column `low`) to the lowest node of its neighbourhood."""
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
    """A checksum of the edges as a multiset: their number, and the sum of their hashes modulo 2⁶⁴."""
    sums = edges.map_partitions(_partial_checksum, meta={"edges": np.uint64, "sum": np.uint64}).compute()
    return int(sums["edges"].sum()), int(sums["sum"].sum())


def _partial_checksum(edges: pd.DataFrame) -> pd.DataFrame:
    low, high = (edges[name].to_numpy().view(np.uint64) for name in ("low", "high"))
    total = mix(low ^ mix(high)).sum(dtype=np.uint64)
    return pd.DataFrame({"edges": [np.uint64(len(edges))], "sum": [total]})
