"""The steps of `decisions`, each the work of one task: frames of one partition in, one frame out."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dedup.minhash import clusters, index, lsh, signatures
from dedup.minhash.documents import DECISIONS, DOCUMENTS, EXACT, NEAR, OK, Documents, frame
from dedup.minhash.index import Parameters
from dedup.minhash.placement import ROWS, Numbers, gather

BUCKETS = pd.DataFrame({name: np.empty(0, np.int64) for name in ("bucket", "node", "text_key")})
HALVES = clusters.EDGES.assign(evidence=pd.Series([], dtype=pd.ArrowDtype(pa.binary())))
FIRST = frame(DOCUMENTS.empty_table()).assign(
    batch=np.empty(0, np.int64), component=np.empty(0, np.int64), partition=np.empty(0, np.int64)
)


def home(column: str, numbers: Numbers, rows: pd.DataFrame) -> NDArray[np.int64]:
    """The home of each row's document."""
    return numbers.home(rows[column])


def new_partition(numbers: Numbers, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Which of the new partitions each row is about."""
    partition = rows["partition"] if "partition" in rows else rows["node"] // ROWS
    return partition.to_numpy(np.int64) - numbers.earlier


def share(shares: int, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Which share of the buckets each row belongs to."""
    return index.share(rows["bucket"].to_numpy(np.int64), shares)


def _together(parts: Iterable[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([empty, *parts], ignore_index=True)


def _binary(column: pd.Series) -> pa.ChunkedArray:
    return pa.Table.from_pandas(column.to_frame("value"), preserve_index=False)["value"]


def buckets(home: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """The buckets of all documents of a home."""
    parts: Any = zip(home["documents"], home["partition"], strict=True)
    return _together((_buckets_of(part, number, None, parameters) for part, number in parts), BUCKETS)


def kept_buckets(home: pd.DataFrame, decided: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """The buckets of the documents of a partition that are kept."""
    part = home.iloc[0]
    is_kept = (decided["reason"] == OK).to_numpy(bool)
    return _buckets_of(part["documents"], part["partition"], is_kept, parameters)


def _buckets_of(
    documents: Documents, partition: int, chosen: NDArray[np.bool_] | None, parameters: Parameters
) -> pd.DataFrame:
    rows = documents.read(["text_hash", "signature", "n_shingles"])
    filled = rows["n_shingles"].to_numpy() > 0
    wanted = np.flatnonzero(filled if chosen is None else filled & chosen)
    rows = rows.take(wanted)
    return lsh.bucket_rows(
        partition * ROWS + wanted,
        signatures.from_bytes(rows["signature"], parameters.num_perm),
        lsh.text_keys(rows["text_hash"]),
        *parameters.banding,
    )


def candidates(
    buckets: pd.DataFrame, slot: pd.DataFrame, first_new: int, parameters: Parameters
) -> pd.DataFrame:
    """The candidate pairs of a share of the buckets, with what the index has in it."""
    wanted = np.unique(buckets["bucket"].to_numpy(np.int64))
    before = []
    files: Any = zip(slot["file"], slot["base"], strict=True)
    for file, base in files:
        rows = index.touched(file, wanted, parameters)
        before.append(rows.assign(node=rows["node"] + base * ROWS))
    return lsh.candidates(pd.concat([buckets, *before], ignore_index=True), first_new)


def sign(home: pd.DataFrame, pairs: pd.DataFrame, column: str) -> pd.DataFrame:
    """The pairs with the evidence of the low node, bound for the home of the high one."""
    pairs, low = gather(home, pairs.drop_duplicates(ignore_index=True), "low", [column])
    return HALVES if low is None else pairs.assign(evidence=frame(low)[column])


def verify(home: pd.DataFrame, halves: pd.DataFrame, column: str, parameters: Parameters) -> pd.DataFrame:
    """The pairs that are similar enough."""
    halves, high = gather(home, halves, "high", [column])
    if high is None:
        return clusters.EDGES
    sides = _binary(halves["evidence"]), high[column]
    if column == "signature":
        similarity = lsh.similarity(*(signatures.from_bytes(side, parameters.num_perm) for side in sides))
    else:
        similarity = lsh.jaccard(*sides)
    return halves.loc[similarity >= parameters.threshold, ["low", "high"]].reset_index(drop=True)


def first(home: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Of each component, each partition's first document by the order of keepers."""
    members, documents = gather(home, members.drop_duplicates("node"), "node", DOCUMENTS.names)
    if documents is None:
        return FIRST
    partition = members["node"].to_numpy(np.int64) // ROWS
    batch = home.set_index("partition")["batch"].loc[partition].to_numpy()
    found = frame(documents).assign(batch=batch, component=members["component"], partition=partition)
    return _in_order(found).drop_duplicates(["component", "partition"])


def keepers(firsts: pd.DataFrame, numbers: Numbers) -> pd.DataFrame:
    """The keeper of each component, once for each new partition that has members of it."""
    touched = firsts.loc[firsts["partition"] >= numbers.earlier, ["component", "partition"]]
    keepers = _in_order(firsts).drop_duplicates("component").drop(columns="partition")
    return keepers.merge(touched, on="component")[list(firsts.columns)]


def _in_order(documents: pd.DataFrame) -> pd.DataFrame:
    return documents.sort_values(["batch", "karma", "url", "doc_id"], ascending=[True, False, True, True])


def new_members(members: pd.DataFrame, numbers: Numbers) -> pd.DataFrame:
    """Those of the new batch."""
    return members[members["node"] >= numbers.earlier * ROWS].reset_index(drop=True)


def decide(
    home: pd.DataFrame, members: pd.DataFrame, keepers: pd.DataFrame, parameters: Parameters
) -> pd.DataFrame:
    """The decisions about a partition, from its members and the keepers of their components."""
    documents, batch = home["documents"].iloc[0], home["batch"].iloc[0]
    own = frame(documents.read(["doc_id", "url", "text_hash"])).assign(batch=batch)
    pool = pd.concat([own, keepers[list(own.columns)]], ignore_index=True)
    position = pd.Series(np.arange(len(own), len(pool)), index=keepers["component"].to_numpy())
    members = members.drop_duplicates("node")
    chosen = np.arange(len(own))
    chosen[members["node"].to_numpy() % ROWS] = position.loc[members["component"]].to_numpy()
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
    return frame(pa.Table.from_pandas(decisions, DECISIONS, preserve_index=False))
