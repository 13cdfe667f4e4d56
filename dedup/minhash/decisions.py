"""Near-duplicates among documents, on Dask: which are kept, and which one stands for those that are not.

    signatures -> buckets -> candidate pairs -> verified pairs -> components -> keeper -> decisions

Documents stay on storage, in the partitions that they come in. A document's number is
`partition · 2³² + row`, earlier batches first, and what moves, through Dask's shuffle, are numbers, and the
signatures of candidates and keepers only. Earlier batches are read where their index (`index`) has a
bucket of the new one, and nowhere else. Documents without words are kept, never compared.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from dask import dataframe as dd

from dedup.minhash import clusters, placement, steps
from dedup.minhash.clusters import Persist, persisted
from dedup.minhash.documents import DECISIONS, Batch, Documents, frame
from dedup.minhash.index import Parameters
from dedup.minhash.placement import Numbers, spread

Verify = Literal["signature", "exact"]


def decide(
    documents: Sequence[Documents],
    earlier: Sequence[Batch] = (),
    *,
    parameters: Parameters,
    verify: Verify = "signature",
    edges_at_once: int = clusters.AT_ONCE,
    home: int = placement.HOME,
    persist: Persist = persisted,
) -> dd.DataFrame:
    """A row of DECISIONS for each of the new `documents`, in the same partitions and the same order.

    earlier: what earlier batches have kept is never dropped. home: of how many partitions a task has the
    documents (one task for all, and few shuffles, where there are no more). persist: how an intermediate
    frame is computed and held (given its name, for a progress bar). Runs the graph, all but its last step.
    Raises `index.ForeignIndexError`, from a task, for an index of other parameters.

    Two documents are linked if they share a bucket (`dedup.minhash.lsh`) and their similarity is at least the
    threshold: that of their signatures, or the exact one of their sets of shingles. A cluster is a connected
    component of links, so that a member may be less similar to its keeper than the threshold: both resemble a
    third. The keeper is the first by batch, then karma (higher first, null last), then URL, then doc_id. The
    decisions depend on the documents alone, not on their order, the partitions or the workers.

    What moves, by Dask's shuffle: (bands + 1) · 32 bytes a document, then 24 + 4 · num_perm bytes a candidate
    pair (exact: 24 + 4 · shingles), 16 bytes a verified pair and round of `clusters.connected`, and about
    4 · num_perm + 200 bytes for each partition that a cluster touches. No process holds more than its
    partitions of these, and workers spill them to disk.
    """
    if not documents:
        return dd.from_pandas(frame(DECISIONS.empty_table()), npartitions=1)
    numbers = Numbers(sum(len(batch.documents) for batch in earlier), len(documents), home)
    old = [(order, part) for order, batch in enumerate(earlier) for part in batch.documents]
    new = [(len(earlier), part) for part in documents]
    everywhere = placement.at_homes(
        [*placement.homes(old, 0, numbers.size_before), *placement.homes(new, numbers.earlier, numbers.size)]
    )
    slots = placement.at_slots(earlier, numbers.slots)
    edges = _verified(everywhere, slots, numbers, parameters, verify, persist)
    members = clusters.connected(edges, edges_at_once, persist)

    asked = persist(spread(members, partial(steps.home, "node", numbers), numbers.homes), "members")
    first = everywhere.map_partitions(steps.first, asked, meta=steps.FIRST, align_dataframes=False)
    together = first.shuffle("component") if numbers.homes > 1 else first
    keepers = together.map_partitions(steps.keepers, numbers, meta=steps.FIRST)
    told = persist(spread(keepers, partial(steps.new_partition, numbers), numbers.new), "keepers")
    members = members.map_partitions(steps.new_members, numbers, meta=clusters.MEMBERS)
    members = persist(spread(members, partial(steps.new_partition, numbers), numbers.new), "members")
    return placement.at_homes(placement.homes(new, numbers.earlier, 1)).map_partitions(
        steps.decide, members, told, parameters, meta=frame(DECISIONS.empty_table()), align_dataframes=False
    )


def kept(
    documents: Sequence[Documents], decided: dd.DataFrame, files: int, parameters: Parameters
) -> dd.DataFrame:
    """What the index of a batch holds: `files` partitions, each to become one file (`index.table`).

    decided: a row for each of the documents, in the same partitions, with the column `reason` of DECISIONS.
    What moves is (bands + 1) · 32 bytes a document; no process holds more than its partitions.
    """
    homes = placement.at_homes(placement.homes([(0, part) for part in documents], 0, 1))
    buckets = homes.map_partitions(
        steps.kept_buckets, decided[["reason"]], parameters, meta=steps.BUCKETS, align_dataframes=False
    )
    return spread(buckets, partial(steps.share, files), files)


def _verified(
    everywhere: dd.DataFrame,
    slots: dd.DataFrame,
    numbers: Numbers,
    parameters: Parameters,
    verify: Verify,
    persist: Persist,
) -> dd.DataFrame:
    """The edges between documents that are similar enough; what led to them is let go."""
    evidence = "signature" if verify == "signature" else "shingles"
    new = everywhere.partitions[numbers.homes_before :]
    buckets = new.map_partitions(steps.buckets, parameters, meta=steps.BUCKETS)
    pairs = spread(buckets, partial(steps.share, numbers.slots), numbers.slots).map_partitions(
        steps.candidates,
        slots,
        numbers.earlier * placement.ROWS,
        parameters,
        meta=clusters.EDGES,
        align_dataframes=False,
    )
    pairs = persist(spread(pairs, partial(steps.home, "low", numbers), numbers.homes), "candidates")
    halves = everywhere.map_partitions(steps.sign, pairs, evidence, meta=steps.HALVES, align_dataframes=False)
    halves = persist(spread(halves, partial(steps.home, "high", numbers), numbers.homes), "signatures")
    edges = everywhere.map_partitions(
        steps.verify, halves, evidence, parameters, meta=clusters.EDGES, align_dataframes=False
    )
    return persist(edges, "verification")
