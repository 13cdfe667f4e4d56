"""The steps of `decisions`, each the work of one task: frames of one partition in, one frame out.

`group` is a frame of `partitioning.from_groups`. Nodes, buckets, components and hashes are int64.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dedup.minhash import index, lsh, signatures
from dedup.minhash.components import EDGES
from dedup.minhash.parameters import Parameters
from dedup.minhash.partitioning import NODES_PER_PARTITION, Grouping, read_rows
from dedup.minhash.tables import DECISIONS, DOCUMENTS, EXACT, NEAR, OK, DocumentPartition, to_pandas

__all__ = [
    "BEST",
    "BUCKETS",
    "ID_HASHES",
    "PAIRS_WITH_EVIDENCE",
    "best_of_partitions",
    "bucket_range_of",
    "buckets_of_group",
    "candidate_pairs",
    "decisions_of_partition",
    "group_of",
    "id_hashes",
    "id_range_of",
    "keepers",
    "kept_buckets",
    "new_members",
    "new_partition_of",
    "repeated_ids",
    "verified",
    "with_low_evidence",
]

ID_HASHES = pd.DataFrame({name: np.empty(0, np.int64) for name in ("first", "second", "node")})
BUCKETS = pd.DataFrame({name: np.empty(0, np.int64) for name in ("bucket", "node", "text_key")})
PAIRS_WITH_EVIDENCE = EDGES.assign(evidence=pd.Series([], dtype=pd.ArrowDtype(pa.binary())))
BEST = to_pandas(DOCUMENTS.empty_table()).assign(
    batch=np.empty(0, np.int64), component=np.empty(0, np.int64), partition=np.empty(0, np.int64)
)


def group_of(column: str, grouping: Grouping, rows: pd.DataFrame) -> NDArray[np.int64]:
    """The group of each row's node in `column`: shape (rows,), int64."""
    return grouping.group_of(rows[column])


def new_partition_of(grouping: Grouping, rows: pd.DataFrame) -> NDArray[np.int64]:
    """The partition of the new batch that each row belongs to: shape (rows,), int64, from 0."""
    partition = rows["partition"] if "partition" in rows else rows["node"] // NODES_PER_PARTITION
    return partition.to_numpy(np.int64) - grouping.earlier


def bucket_range_of(ranges: int, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Which of `ranges` ranges each row's bucket lies in: shape (rows,), int64."""
    return index.bucket_range(rows["bucket"].to_numpy(np.int64), ranges)


def id_range_of(ranges: int, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Which of `ranges` ranges each row's hash of the id lies in: shape (rows,), int64."""
    return index.bucket_range(rows["first"].to_numpy(np.int64), ranges)


def id_hashes(group: pd.DataFrame) -> pd.DataFrame:
    """The 128-bit BLAKE2b of each doc_id, in columns `first` and `second`, and its `node`.

    Raises ValueError for a null.
    """
    found = [ID_HASHES]
    for number, documents in zip(group["partition"], group["documents"], strict=True):
        ids = documents.read(["doc_id"])["doc_id"]
        if ids.null_count:
            raise ValueError(f"{ids.null_count} of {len(ids)} documents of a partition have no doc_id")
        digests = b"".join(
            hashlib.blake2b(doc_id.encode(), digest_size=16).digest() for doc_id in ids.to_pylist()
        )
        halves = np.frombuffer(digests, "<i8").reshape(-1, 2)
        nodes = number * NODES_PER_PARTITION + np.arange(len(ids))
        found.append(pd.DataFrame({"first": halves[:, 0], "second": halves[:, 1], "node": nodes}))
    return pd.concat(found, ignore_index=True)


def repeated_ids(hashes: pd.DataFrame) -> pd.DataFrame:
    """Pairs of nodes with the same id, columns `low` and `high`: the first node of an id, and the next."""
    hashes = hashes.sort_values(["first", "second", "node"], ignore_index=True)
    groups = hashes.groupby(["first", "second"])["node"]
    low, high = hashes["node"].to_numpy(np.int64), groups.shift(-1, fill_value=-1).to_numpy(np.int64)
    return pd.DataFrame({"low": low, "high": high})[high >= 0].reset_index(drop=True)


def buckets_of_group(group: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """The buckets of all documents of a group: the columns of `lsh.bucket_rows`."""
    parts: Any = zip(group["documents"], group["partition"], strict=True)
    return _concat((_buckets(part, number, None, parameters) for part, number in parts), BUCKETS)


def kept_buckets(group: pd.DataFrame, decided: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """The buckets of the kept documents of a partition. group: of this partition only."""
    part = group.iloc[0]
    is_kept = (decided["reason"] == OK).to_numpy(bool)
    return _buckets(part["documents"], part["partition"], is_kept, parameters)


def _buckets(
    documents: DocumentPartition, partition: int, chosen: NDArray[np.bool_] | None, parameters: Parameters
) -> pd.DataFrame:
    rows = documents.read(["text_hash", "signature", "n_shingles"])
    has_words = rows["n_shingles"].to_numpy() > 0
    wanted = np.flatnonzero(has_words if chosen is None else has_words & chosen)
    rows = rows.take(wanted)
    return lsh.bucket_rows(
        partition * NODES_PER_PARTITION + wanted,
        signatures.from_bytes(rows["signature"], parameters.num_perm),
        lsh.text_keys(rows["text_hash"]),
        *parameters.banding,
    )


def candidate_pairs(
    buckets: pd.DataFrame, files: pd.DataFrame, first_new: int, parameters: Parameters
) -> pd.DataFrame:
    """The candidate pairs, `low` and `high`, of a range of buckets, with what the index has in these buckets.

    files: a frame of `partitioning.index_files`. first_new: the lowest node of the new batch.
    """
    wanted = np.unique(buckets["bucket"].to_numpy(np.int64))
    earlier = []
    each: Any = zip(files["file"], files["first_partition"], strict=True)
    for file, first_partition in each:
        rows = index.matching_rows(file, wanted, parameters)
        earlier.append(rows.assign(node=rows["node"] + first_partition * NODES_PER_PARTITION))
    return lsh.candidate_pairs(pd.concat([buckets, *earlier], ignore_index=True), first_new)


def with_low_evidence(group: pd.DataFrame, pairs: pd.DataFrame, column: str) -> pd.DataFrame:
    """The pairs with `column` of the low node as `evidence` (binary). pairs: those whose low node is here."""
    pairs, low = read_rows(group, pairs.drop_duplicates(ignore_index=True), "low", [column])
    return PAIRS_WITH_EVIDENCE if low is None else pairs.assign(evidence=to_pandas(low)[column])


def verified(group: pd.DataFrame, pairs: pd.DataFrame, column: str, parameters: Parameters) -> pd.DataFrame:
    """The pairs that are similar enough, `low` and `high`. pairs: those whose high node is here."""
    pairs, high = read_rows(group, pairs, "high", [column])
    if high is None:
        return EDGES
    sides = _binary(pairs["evidence"]), high[column]
    if column == "signature":
        similarity = lsh.similarity(*(signatures.from_bytes(side, parameters.num_perm) for side in sides))
    else:
        similarity = lsh.jaccard(*sides)
    return pairs.loc[similarity >= parameters.threshold, ["low", "high"]].reset_index(drop=True)


def best_of_partitions(group: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """The best document of each component in each partition of the group: the columns of BEST.

    members: columns `node` and `component`, of nodes of this group.
    """
    members, documents = read_rows(group, members.drop_duplicates("node"), "node", DOCUMENTS.names)
    if documents is None:
        return BEST
    partition = members["node"].to_numpy(np.int64) // NODES_PER_PARTITION
    batch = group.set_index("partition")["batch"].loc[partition].to_numpy()
    found = to_pandas(documents).assign(batch=batch, component=members["component"], partition=partition)
    return _best_first(found).drop_duplicates(["component", "partition"])


def keepers(best: pd.DataFrame, grouping: Grouping) -> pd.DataFrame:
    """The keeper of each component, once for each new partition that has members of it: the columns of BEST.

    best: all rows of `best_of_partitions` for the components of this partition.
    """
    affected = best.loc[best["partition"] >= grouping.earlier, ["component", "partition"]]
    keepers = _best_first(best).drop_duplicates("component").drop(columns="partition")
    return keepers.merge(affected, on="component")[list(best.columns)]


def _best_first(documents: pd.DataFrame) -> pd.DataFrame:
    return documents.sort_values(["batch", "priority", "url", "doc_id"], ascending=[True, False, True, True])


def new_members(members: pd.DataFrame, grouping: Grouping) -> pd.DataFrame:
    """The rows of `members` whose node belongs to the new batch."""
    return members[members["node"] >= grouping.earlier * NODES_PER_PARTITION].reset_index(drop=True)


def decisions_of_partition(
    group: pd.DataFrame, members: pd.DataFrame, keepers: pd.DataFrame, parameters: Parameters
) -> pd.DataFrame:
    """A row of DECISIONS per document of a partition, in its order.

    group: of this partition only. members: its documents that have near-duplicates, `node` and `component`.
    keepers: the keepers of those components, the columns of BEST.
    """
    documents, batch = group["documents"].iloc[0], group["batch"].iloc[0]
    own = to_pandas(documents.read(["doc_id", "url", "text_hash"])).assign(batch=batch)
    pool = pd.concat([own, keepers[list(own.columns)]], ignore_index=True)
    position = pd.Series(np.arange(len(own), len(pool)), index=keepers["component"].to_numpy())
    members = members.drop_duplicates("node")
    chosen = np.arange(len(own))
    chosen[members["node"].to_numpy() % NODES_PER_PARTITION] = position.loc[members["component"]].to_numpy()
    keeper = pool.take(chosen).reset_index(drop=True)

    dropped = ((own["doc_id"] != keeper["doc_id"]) | (own["batch"] != keeper["batch"])).to_numpy(bool)
    exact = (own["text_hash"] == keeper["text_hash"]).to_numpy(bool)
    rows = np.flatnonzero(dropped)
    similarity = np.full(len(own), np.nan, np.float32)
    if len(rows):
        theirs = _binary(keepers["signature"].take(chosen[rows] - len(own)))
        ours = documents.read(["signature"], rows)["signature"]
        similarity[rows] = lsh.similarity(
            *(signatures.from_bytes(side, parameters.num_perm) for side in (ours, theirs))
        )
    decisions = pd.DataFrame(
        {
            "doc_id": own["doc_id"],
            "keeper": keeper["doc_id"],
            "keeper_batch": keeper["batch"],
            "keeper_url": keeper["url"],
            "similarity": pd.Series(similarity),
            "reason": np.select([~dropped, exact], [OK, EXACT], NEAR),
        }
    )
    return to_pandas(pa.Table.from_pandas(decisions, DECISIONS, preserve_index=False))


def _concat(parts: Iterable[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([empty, *parts], ignore_index=True)


def _binary(column: pd.Series) -> pa.ChunkedArray:
    return pa.Table.from_pandas(column.to_frame("value"), preserve_index=False)["value"]
