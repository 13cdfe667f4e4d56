"""Near-duplicates: signatures of the documents, and which of them are kept, earlier batches considered.

Three tables: `signatures`, a row per document that passed the quality rules, with the schema
`dedup.minhash.tables.DOCUMENTS` (karma is the priority); `duplicates`, the decision for each of its rows, in
the same partitions and order; and `buckets`, the index of the documents that are kept
(`dedup.minhash.index`), by which later batches find them. A batch counts for later ones once it is committed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.minhash import decisions, index
from dedup.minhash import s_curve as scurve
from dedup.minhash import signatures as minhash
from dedup.minhash.parameters import Parameters
from dedup.minhash.tables import DOCUMENTS, Batch
from dedup.words import text_hashes
from pipeline.batch import frames, stage
from pipeline.batch.stage import Output, Partition, Run
from pipeline.corpus.partitions import Seal, Table
from pipeline.corpus.schemas import DUPLICATES, OK
from pipeline.errors import UserError
from pipeline.settings import NearDuplicates, fingerprint

__all__ = ["check", "parameters", "run", "s_curve"]

STAGE = "near_duplicates"
SAMPLE = 4  # documents of a partition that the S-curve is observed on
ROWS_PER_FILE = 500_000  # of the index: 12 MB


@dataclass(frozen=True)
class Part:
    """A partition of signatures, as `dedup.minhash.decisions` reads it."""

    signatures: Table
    documents: Table
    number: int
    shingle: int

    def read(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pa.Table:
        """Columns of all rows or of some; `shingles` is computed from the texts."""
        if "shingles" not in columns:
            table = self.signatures.read(self.number, columns)
            return table if rows is None else table.take(rows)
        documents = self.documents.read(self.number, ["text", "reason"])
        texts = documents.filter(pc.equal(documents["reason"], OK))["text"]
        texts = texts if rows is None else texts.take(rows)
        return pa.table({"shingles": minhash.shingle_sets(texts, shingle=self.shingle)})


@dataclass(frozen=True)
class IndexFile:
    """A file of the index."""

    table: Table
    number: int

    def open(self) -> BinaryIO:
        """Opens it for reading."""
        corpus = self.table.corpus
        return cast(BinaryIO, corpus.fs.open(corpus.path(self.table.part(self.number)), "rb"))


def check(settings: NearDuplicates) -> None:
    """Raises UserError if no banding fits the settings."""
    try:
        _ = parameters(settings).banding
    except ValueError as error:
        raise UserError(f"near_duplicates.threshold, near_duplicates.num_perm: {error}") from error


def parameters(settings: NearDuplicates) -> Parameters:
    """The parameters that the settings name."""
    return Parameters(settings.threshold, settings.num_perm, settings.seed, settings.shingle)


def run(run: Run) -> None:
    """Makes `signatures`, `duplicates` and `buckets`.

    Raises UserError if the index of an earlier batch has other parameters.
    """
    settings = run.settings.near_duplicates
    earlier = run.corpus.committed()
    for batch in earlier:
        _check(run, batch, settings)
    signatures = stage.map_partitions(
        run,
        "signatures",
        partial(sign, settings=settings),
        into="signatures",
        inputs=[part.checksum for part in run.sealed("documents").parts],
        settings=[_sketching(settings), parameters(settings).banding],
    )
    with stage.lost_workers_as_user_error(STAGE):
        duplicates = _decide(run, settings, earlier, signatures)
        _index(run, settings, signatures, duplicates)


def _decide(run: Run, settings: NearDuplicates, earlier: Sequence[str], signatures: Seal) -> Seal:
    before = [run.sealed(table, batch).key for batch in earlier for table in ("signatures", "buckets")]
    key = fingerprint(
        [STAGE, settings.identity(), [part.checksum for part in signatures.parts], earlier, before]
    )
    if seal := run.table("duplicates").sealed(key):
        return seal
    decided = decisions.decide(
        _parts(run, run.batch, settings),
        [Batch(_parts(run, batch, settings), _files(run, batch)) for batch in earlier],
        parameters=parameters(settings),
        verify=settings.verify,
        persist=partial(frames.persist, run, STAGE),
    )
    converted = partial(convert, batches=[*earlier, run.batch])
    return frames.write_frame(run, STAGE, decided, converted, into="duplicates", key=key)


def _index(run: Run, settings: NearDuplicates, signatures: Seal, duplicates: Seal) -> None:
    key = fingerprint(
        [
            "buckets",
            parameters(settings).identity,
            [part.checksum for part in (*signatures.parts, *duplicates.parts)],
        ]
    )
    if run.table("buckets").sealed(key):
        return
    rows = duplicates.counts.get(STAGE, {}).get(OK, 0) * (parameters(settings).banding[0] + 1)
    reasons = frames.read_frame(
        partial(_reasons, run.table("duplicates")),
        range(len(duplicates.parts)),
        pa.schema([DUPLICATES.field("reason")]),
    )
    buckets = decisions.kept_buckets(
        _parts(run, run.batch, settings),
        reasons,
        frames.partitions_for(rows, ROWS_PER_FILE),
        parameters(settings),
    )
    stored = partial(store, parameters=parameters(settings))
    frames.write_frame(run, f"{STAGE}: index", buckets, stored, into="buckets", key=key)


def _parts(run: Run, batch: str, settings: NearDuplicates) -> list[Part]:
    signatures, documents = run.table("signatures", batch), run.table("documents", batch)
    count = len(run.sealed("signatures", batch).parts)
    return [Part(signatures, documents, number, settings.shingle) for number in range(count)]


def _files(run: Run, batch: str) -> list[IndexFile]:
    return [
        IndexFile(run.table("buckets", batch), number)
        for number in range(len(run.sealed("buckets", batch).parts))
    ]


def _reasons(duplicates: Table, number: int) -> pa.Table:
    return duplicates.read(number, ["reason"])


def _sketching(settings: NearDuplicates) -> dict[str, int]:
    return {"num_perm": settings.num_perm, "shingle": settings.shingle, "seed": settings.seed}


def sign(partition: Partition, settings: NearDuplicates) -> Output:
    """The signatures of a partition's documents: schema `dedup.minhash.tables.DOCUMENTS`."""
    documents = partition.read("documents", ["doc_id", "url", "karma", "text", "reason"])
    documents = documents.filter(pc.equal(documents["reason"], OK))
    rows, shingles = minhash.signatures_and_counts(documents["text"], **_sketching(settings))
    columns = {
        "doc_id": documents["doc_id"],
        "priority": documents["karma"].cast(pa.float64()),
        "url": documents["url"],
        "text_hash": text_hashes(documents["text"]),
        "signature": minhash.to_bytes(rows),
        "n_shingles": shingles,
    }
    sample = scurve.planted(text.as_py() for text in documents["text"][:SAMPLE])
    facts = {"s_curve": scurve.observe(sample, parameters(settings)).tolist()}
    return Output(pa.table(columns, schema=DOCUMENTS), {}, facts=facts)


def s_curve(run: Run) -> str:
    """The S-curve with what was observed of it on copies of the batch's own documents: an SVG element."""
    parts = [part.facts["s_curve"] for part in run.sealed("signatures").parts]
    return scurve.svg(np.sum(parts, axis=0), parameters(run.settings.near_duplicates))


def convert(decided: pd.DataFrame, partition: Partition, batches: Sequence[str]) -> Output:
    """A partition of the decisions as it is stored: schema DUPLICATES, batches by name."""
    names = [batches[order] for order in decided["keeper_batch"]]
    rows = frames.to_arrow(decided.assign(keeper_batch=names), DUPLICATES)
    return Output(rows, {STAGE: dict(Counter(rows["reason"].to_pylist()))})


def store(buckets: pd.DataFrame, partition: Partition, parameters: Parameters) -> Output:
    """A file of the index."""
    path = partition.scratch / "buckets.parquet"
    pq.write_table(index.table(buckets, parameters), path, **index.WRITE_OPTIONS)
    return Output(path, {})


def _check(run: Run, batch: str, settings: NearDuplicates) -> None:
    try:
        with _files(run, batch)[0].open() as file:
            index.check(pq.read_schema(file).metadata, parameters(settings))
    except index.ForeignIndexError as error:
        raise UserError(
            f"near_duplicates: batch '{batch}' of {run.corpus.url}: {error}; use its settings"
        ) from error
