"""Near-duplicates in a corpus, on Dask: which documents are kept, and which stand for the others.

    signatures -> buckets -> candidate pairs -> verified pairs -> components -> keepers -> decisions

Documents stay on storage, in the partitions they come in. What moves through Dask's shuffle are node numbers
(`dedup.minhash.partitioning`), and the signatures of candidates and keepers only. Of earlier batches only
those documents are read that share a bucket with a new one, found by their index (`dedup.minhash.index`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from dask import dataframe as dd

from dedup.minhash import clusters, components, partitioning, steps
from dedup.minhash.clusters import Persist, persist_in_background
from dedup.minhash.parameters import Parameters
from dedup.minhash.partitioning import NODES_PER_PARTITION, Grouping, repartition_by
from dedup.minhash.tables import DECISIONS, Batch, DocumentPartition, DuplicateIdError, to_pandas

__all__ = ["Verify", "decide", "kept_buckets"]

Verify = Literal["signature", "exact"]


def decide(
    documents: Sequence[DocumentPartition],
    earlier: Sequence[Batch] = (),
    *,
    parameters: Parameters,
    verify: Verify = "signature",
    max_edges: int = clusters.MAX_EDGES,
    group_size: int = partitioning.GROUP_SIZE,
    persist: Persist = persist_in_background,
) -> dd.DataFrame:
    """Returns a row of DECISIONS per row of `documents`, in the same partitions and the same order.

    documents: the new batch; doc_ids must be unique within it. earlier: batches before it, oldest first; what
    they kept is never dropped. verify: whether the similarity of a candidate pair is estimated from the
    signatures, or computed from the sets of shingles. max_edges: edges that one task handles when clusters
    are formed. group_size: partitions that one task reads (with no more than that, one task reads them all
    and little is shuffled). persist: how intermediate frames are computed and held.

    Computes everything but the last step, which is left to the caller. Raises DuplicateIdError, and, from a
    task, `index.ForeignIndexError` for an index with other parameters.

    Two documents are linked if they share a bucket (`dedup.minhash.lsh`) and their similarity is at least the
    threshold. A cluster is a connected component of links, so a member can be less similar to its keeper than
    the threshold, if others link them. The keeper is the first by batch, priority (highest first, null last),
    URL (null last), doc_id. Documents without words are kept and never compared. The decisions depend on the
    documents alone, not on their order, the partitions or the workers.

    Dask's shuffle moves 32 bytes per document to check the ids, (bands + 1) * 32 bytes per document, then 24
    + 4 * num_perm bytes per candidate pair (exact: 24 + 4 * shingles), 16 bytes per verified pair and round
    of `clusters.distributed_components`, and about 4 * num_perm + 200 bytes for each partition that a cluster
    touches. No process holds more than its partitions of these, and workers spill them to disk.
    """
    if not documents:
        return dd.from_pandas(to_pandas(DECISIONS.empty_table()), npartitions=1)
    grouping = Grouping(sum(len(batch.documents) for batch in earlier), len(documents), group_size)
    old_parts = [(order, part) for order, batch in enumerate(earlier) for part in batch.documents]
    new_parts = [(len(earlier), part) for part in documents]
    groups = partitioning.from_groups(
        [
            *partitioning.groups_of(old_parts, 0, grouping.earlier_size),
            *partitioning.groups_of(new_parts, grouping.earlier, grouping.size),
        ]
    )
    _check_ids(documents, groups, grouping, persist)
    files = partitioning.index_files(earlier, grouping.bucket_ranges)
    edges = _verified_pairs(groups, files, grouping, parameters, verify, persist)
    members = clusters.distributed_components(edges, max_edges, persist)

    by_group = persist(
        repartition_by(members, partial(steps.group_of, "node", grouping), grouping.groups), "members"
    )
    best = groups.map_partitions(steps.best_of_partitions, by_group, meta=steps.BEST, align_dataframes=False)
    by_component = best.shuffle("component") if grouping.groups > 1 else best
    keepers = by_component.map_partitions(steps.keepers, grouping, meta=steps.BEST)
    new_partition = partial(steps.new_partition_of, grouping)
    keepers = persist(repartition_by(keepers, new_partition, grouping.new), "keepers")
    members = members.map_partitions(steps.new_members, grouping, meta=components.MEMBERS)
    members = persist(repartition_by(members, new_partition, grouping.new), "members")
    return partitioning.from_groups(partitioning.groups_of(new_parts, grouping.earlier, 1)).map_partitions(
        steps.decisions_of_partition,
        members,
        keepers,
        parameters,
        meta=to_pandas(DECISIONS.empty_table()),
        align_dataframes=False,
    )


def kept_buckets(
    documents: Sequence[DocumentPartition], decided: dd.DataFrame, files: int, parameters: Parameters
) -> dd.DataFrame:
    """The buckets of the documents that are kept, in `files` partitions: one per index file (`index.table`).

    decided: a row per row of `documents`, in the same partitions, with the column `reason` of DECISIONS.
    Returns the columns of `lsh.bucket_rows`. Moves (bands + 1) * 32 bytes per document; no process holds more
    than its partitions.
    """
    parts = partitioning.from_groups(partitioning.groups_of([(0, part) for part in documents], 0, 1))
    buckets = parts.map_partitions(
        steps.kept_buckets, decided[["reason"]], parameters, meta=steps.BUCKETS, align_dataframes=False
    )
    return repartition_by(buckets, partial(steps.bucket_range_of, files), files)


def _check_ids(
    documents: Sequence[DocumentPartition], groups: dd.DataFrame, grouping: Grouping, persist: Persist
) -> None:
    """Raises DuplicateIdError if two new documents have the same id."""
    ids = groups.partitions[grouping.earlier_groups :].map_partitions(steps.id_hashes, meta=steps.ID_HASHES)
    ranges = grouping.new_groups
    ids = repartition_by(ids, partial(steps.id_range_of, ranges), ranges)
    repeated = persist(ids.map_partitions(steps.repeated_ids, meta=components.EDGES), "ids").compute()
    if len(repeated):
        pair = repeated.sort_values(["high", "low"]).iloc[0].tolist()
        base = grouping.earlier * NODES_PER_PARTITION
        first, second = (divmod(node - base, NODES_PER_PARTITION) for node in pair)
        doc_id = documents[first[0]].read(["doc_id"])["doc_id"][first[1]].as_py()
        raise DuplicateIdError(doc_id, first, second)


def _verified_pairs(
    groups: dd.DataFrame,
    files: dd.DataFrame,
    grouping: Grouping,
    parameters: Parameters,
    verify: Verify,
    persist: Persist,
) -> dd.DataFrame:
    """The edges between documents that are similar enough. What led to them is released on return."""
    column = "signature" if verify == "signature" else "shingles"
    new = groups.partitions[grouping.earlier_groups :]
    buckets = new.map_partitions(steps.buckets_of_group, parameters, meta=steps.BUCKETS)
    ranges = grouping.bucket_ranges
    pairs = repartition_by(buckets, partial(steps.bucket_range_of, ranges), ranges).map_partitions(
        steps.candidate_pairs,
        files,
        grouping.earlier * NODES_PER_PARTITION,
        parameters,
        meta=components.EDGES,
        align_dataframes=False,
    )
    pairs = persist(
        repartition_by(pairs, partial(steps.group_of, "low", grouping), grouping.groups), "candidates"
    )
    pairs = groups.map_partitions(
        steps.with_low_evidence, pairs, column, meta=steps.PAIRS_WITH_EVIDENCE, align_dataframes=False
    )
    pairs = persist(
        repartition_by(pairs, partial(steps.group_of, "high", grouping), grouping.groups),
        "candidate signatures",
    )
    edges = groups.map_partitions(
        steps.verified, pairs, column, parameters, meta=components.EDGES, align_dataframes=False
    )
    return persist(edges, "verification")
