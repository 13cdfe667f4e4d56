"""Near-duplicates among documents, on Dask: which are kept, and which one stands for those that are not.

    signatures -> buckets -> candidate pairs -> verified pairs -> components -> keeper -> decisions

Documents stay in the partitions that they come in. They are numbered `partition · 2³² + row`, and what moves
between partitions, through Dask's shuffle, are numbers, and signatures of candidates and keepers only. The
partitions are read four times instead of held. Documents without words are kept, never compared.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from dask import dataframe as dd
from numpy.typing import NDArray

from dedup import clusters, lsh, minhash

OK, EXACT, NEAR = "ok", "exact_duplicate", "near_duplicate"

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("batch", pa.int64()),  # smaller is earlier
        ("karma", pa.int64()),  # or null
        ("url", pa.string()),  # canonical
        ("text_hash", pa.binary()),  # `dedup.words.text_hash`
        ("signature", pa.binary()),  # `dedup.minhash.to_bytes`
        ("n_shingles", pa.int64()),
    ]
)

DECISIONS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("keeper", pa.string()),  # doc_id of the cluster's keeper, its own for a document that is kept
        ("keeper_batch", pa.int64()),
        ("keeper_url", pa.string()),
        (
            "similarity",
            pa.float32(),
        ),  # estimated Jaccard similarity with the keeper, null for a kept document
        ("reason", pa.string()),  # OK, EXACT or NEAR
    ]
)

ROWS = 1 << 32  # node = partition · ROWS + row
_PAIRS = clusters.EDGES.assign(partition=np.empty(0, np.int64))


def frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas with Arrow's own types, the form that Dask's shuffle keeps as it is."""
    result: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return result


def decide(
    documents: dd.DataFrame,
    earlier: dd.DataFrame | None = None,
    *,
    threshold: float = 0.7,
    num_perm: int = 128,
    edges_at_once: int = clusters.AT_ONCE,
) -> dd.DataFrame:
    """A row of DECISIONS for each row of `documents`, in the same partitions and the same order.

    documents: rows of DOCUMENTS, Arrow types (`frame`). earlier: the same for the documents that earlier
    batches have kept; they are never dropped. Runs the graph, all but its last step.

    Two documents are linked if they share a bucket (`dedup.lsh`) and their signatures agree in at least
    `threshold` of the positions. A cluster is a connected component of links, so that a member may be less
    similar to its keeper than the threshold: both resemble a third. The keeper is the first by batch, then
    karma (higher first, null last), then URL, then doc_id. The decisions depend on the documents alone, not
    on their order, the partitions or the workers.

    What moves, by Dask's shuffle: (bands + 1) · 24 bytes a document, then 24 + 4 · num_perm bytes a candidate
    pair, 16 bytes a verified pair and round of `clusters.connected`, and about 4 · num_perm + 200 bytes for
    each partition that a cluster touches. No process holds more than its partitions of these, and workers
    spill them to disk.
    """
    everything = documents if earlier is None else dd.concat([earlier, documents])
    known = everything.npartitions - documents.npartitions
    numbers = dd.from_map(_number, range(everything.npartitions), meta=_number(0))

    def at_documents(function: Any, meta: pd.DataFrame, *others: Any) -> dd.DataFrame:
        return everything.map_partitions(
            function, numbers, *others, num_perm=num_perm, meta=meta, align_dataframes=False
        )

    def place(rows: dd.DataFrame) -> dd.DataFrame:
        divisions = tuple(range(everything.npartitions + 1))
        return rows.set_index("partition", divisions=divisions, drop=False).persist()

    edges = _verified(at_documents, place, lsh.parameters(threshold, num_perm), threshold, known * ROWS)
    members = clusters.connected(edges, edges_at_once)
    members = place(members.map_partitions(_locate, meta=_locate(clusters.MEMBERS)))
    first = at_documents(_first, _FIRST, members)
    keepers = place(first.shuffle("component").map_partitions(_keepers, meta=_FIRST))
    return documents.map_partitions(
        _decide,
        members.partitions[known:],
        keepers.partitions[known:],
        num_perm=num_perm,
        meta=frame(DECISIONS.empty_table()),
        align_dataframes=False,
    )


def _verified(
    at_documents: Callable[..., dd.DataFrame],
    place: Callable[[dd.DataFrame], dd.DataFrame],
    parameters: tuple[int, int],
    threshold: float,
    first_new: int,
) -> dd.DataFrame:
    """The edges between documents that are similar enough; what led to them is let go."""
    buckets = at_documents(_buckets, _BUCKETS, *parameters)
    pairs = place(buckets.shuffle("bucket").map_partitions(_candidates, first_new, meta=_PAIRS))
    halves = place(at_documents(_sign, _HALVES, pairs))
    return at_documents(_verify, clusters.EDGES, halves, threshold).persist()


_HALVES = _PAIRS.assign(signature=pd.Series([], dtype=pd.ArrowDtype(pa.binary())))
_BUCKETS = pd.DataFrame({name: np.empty(0, np.int64) for name in ("bucket", "node", "text_key")})
_FIRST = frame(DOCUMENTS.empty_table()).assign(
    component=np.empty(0, np.int64), partition=np.empty(0, np.int64)
)


def _number(partition: int) -> pd.DataFrame:
    return pd.DataFrame({"partition": np.array([partition], np.int64)})


def _row(nodes: pd.Series) -> NDArray[np.int64]:
    return np.asarray(nodes % ROWS, np.int64)


def _signatures(documents: pd.DataFrame, num_perm: int) -> NDArray[np.uint32]:
    return minhash.from_bytes(pa.array(documents["signature"], pa.binary()), num_perm)


def _buckets(
    documents: pd.DataFrame, number: pd.DataFrame, bands: int, rows: int, *, num_perm: int
) -> pd.DataFrame:
    node = int(number["partition"].iloc[0]) * ROWS + np.arange(len(documents), dtype=np.int64)
    filled = documents["n_shingles"].to_numpy(np.int64) > 0
    documents = documents[filled]
    keys = np.frombuffer(b"".join(value[:8] for value in documents["text_hash"]), "<i8")
    return lsh.bucket_rows(node[filled], _signatures(documents, num_perm), keys, bands, rows)


def _candidates(buckets: pd.DataFrame, first_new: int) -> pd.DataFrame:
    pairs = lsh.candidates(buckets, first_new)
    return pairs.assign(partition=pairs["low"] // ROWS)


def _sign(
    documents: pd.DataFrame, number: pd.DataFrame, pairs: pd.DataFrame, *, num_perm: int
) -> pd.DataFrame:
    """The pairs with the signature of the low node, bound for the partition of the high one."""
    pairs = pairs.drop_duplicates(ignore_index=True)
    signature = documents["signature"].take(_row(pairs["low"])).reset_index(drop=True)
    return pairs.assign(partition=pairs["high"] // ROWS, signature=signature)


def _verify(
    documents: pd.DataFrame, number: pd.DataFrame, halves: pd.DataFrame, threshold: float, *, num_perm: int
) -> pd.DataFrame:
    rows = _row(halves["high"])
    left, right = _signatures(halves, num_perm), _signatures(documents, num_perm)[rows]
    return halves.loc[lsh.similarity(left, right) >= threshold, ["low", "high"]].reset_index(drop=True)


def _locate(members: pd.DataFrame) -> pd.DataFrame:
    return members.assign(partition=members["node"] // ROWS)


def _first(
    documents: pd.DataFrame, number: pd.DataFrame, members: pd.DataFrame, *, num_perm: int
) -> pd.DataFrame:
    """Of each component, the partition's first document by the order of keepers."""
    members = members.drop_duplicates("node")
    own = documents.take(_row(members["node"])).reset_index(drop=True)
    own = own.assign(component=members["component"].to_numpy(), partition=members["partition"].to_numpy())
    return _in_order(own).drop_duplicates("component", ignore_index=True)


def _keepers(firsts: pd.DataFrame) -> pd.DataFrame:
    """The keeper of each component, once for each partition that has members of it."""
    touched = firsts[["component", "partition"]]
    keepers = _in_order(firsts).drop_duplicates("component").drop(columns="partition")
    return keepers.merge(touched, on="component")[list(firsts.columns)]


def _in_order(documents: pd.DataFrame) -> pd.DataFrame:
    return documents.sort_values(["batch", "karma", "url", "doc_id"], ascending=[True, False, True, True])


def _decide(
    documents: pd.DataFrame,
    members: pd.DataFrame,
    keepers: pd.DataFrame,
    *,
    num_perm: int,
) -> pd.DataFrame:
    columns = ["doc_id", "batch", "url", "text_hash", "signature"]
    pool = pd.concat([documents[columns], keepers[columns]], ignore_index=True)
    position = pd.Series(np.arange(len(documents), len(pool)), index=keepers["component"].to_numpy())
    members = members.drop_duplicates("node")
    chosen = np.arange(len(documents))
    chosen[_row(members["node"])] = position.loc[members["component"]].to_numpy()
    keeper = pool.take(chosen).reset_index(drop=True)

    own = documents.reset_index(drop=True)
    dropped = ((own["doc_id"] != keeper["doc_id"]) | (own["batch"] != keeper["batch"])).to_numpy(bool)
    exact = (own["text_hash"] == keeper["text_hash"]).to_numpy(bool)
    similarity = lsh.similarity(_signatures(own, num_perm), _signatures(keeper, num_perm))
    decisions = pd.DataFrame(
        {
            "doc_id": own["doc_id"],
            "keeper": keeper["doc_id"],
            "keeper_batch": keeper["batch"],
            "keeper_url": keeper["url"],
            "similarity": pd.Series(similarity).where(dropped),
            "reason": np.select([~dropped, exact], [OK, EXACT], NEAR),
        }
    )
    return frame(pa.Table.from_pandas(decisions, DECISIONS, preserve_index=False))
