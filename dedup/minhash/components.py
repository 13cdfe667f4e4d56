"""Connected components of a graph of documents that fits in memory."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csgraph

__all__ = ["EDGES", "MEMBERS", "connected_components"]

EDGES = pd.DataFrame({"low": np.empty(0, np.int64), "high": np.empty(0, np.int64)})
MEMBERS = pd.DataFrame({"node": np.empty(0, np.int64), "component": np.empty(0, np.int64)})


def connected_components(edges: pd.DataFrame) -> pd.DataFrame:
    """Columns `node` and `component` (int64, the lowest node of the component), one row per node of `edges`.

    edges: columns `low` and `high`, int64, in any order, repeats allowed.
    """
    pairs = edges[["low", "high"]].to_numpy()
    nodes, numbered = np.unique(pairs, return_inverse=True)
    low, high = numbered.reshape(pairs.shape).T
    graph = coo_array((np.ones(len(pairs), np.bool_), (low, high)), shape=(len(nodes), len(nodes)))
    _, labels = csgraph.connected_components(graph, directed=False)
    lowest = np.unique(labels, return_index=True)[1]  # nodes are sorted: the first of a label is its lowest
    return pd.DataFrame({"node": nodes, "component": nodes[lowest[labels]]})
