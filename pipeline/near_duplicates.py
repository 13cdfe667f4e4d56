"""Near-duplicates: signatures of the documents, and which are kept, in this batch and against earlier ones.

Two tables: `signatures`, a row for each document that passed the quality rules, which later batches compare
theirs with; and `duplicates`, the decision for each of its rows, in the same partitions and order.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dedup import decisions, lsh, minhash
from dedup.words import text_hash
from pipeline.errors import UserError
from pipeline.partitions import Table
from pipeline.settings import NearDuplicates, fingerprint
from pipeline.stage import Output, Partition, Run, frame, map_partitions, to_arrow, write
from pipeline.tables import DUPLICATES, OK

STAGE = "near_duplicates"
SIGNATURES = pa.schema([field for field in decisions.DOCUMENTS if field.name != "batch"])


@dataclass(frozen=True)
class Part:
    """A partition of signatures; `batch` is its batch's place in the order of commits."""

    signatures: Table
    number: int
    batch: int
    duplicates: Table | None = None  # of an earlier batch: only what it has kept counts


def check(settings: NearDuplicates) -> None:
    """Raises UserError if there is no banding for the settings."""
    try:
        lsh.parameters(settings.threshold, settings.num_perm)
    except ValueError as error:
        raise UserError(f"near_duplicates.threshold, near_duplicates.num_perm: {error}") from error


def run(run: Run) -> None:
    """Makes `signatures` and `duplicates`. Raises UserError if earlier batches used other parameters."""
    settings = run.settings.near_duplicates
    earlier = run.corpus.committed()
    for batch in earlier:
        _check(run, batch, settings)
    signatures = map_partitions(
        run,
        "signatures",
        partial(sign, settings=settings),
        into="signatures",
        inputs=[part.checksum for part in run.sealed("documents").parts],
        settings=parameters(settings),
    )
    before = [run.sealed(table, batch).key for batch in earlier for table in ("signatures", "duplicates")]
    key = fingerprint(
        [STAGE, settings.identity(), [part.checksum for part in signatures.parts], earlier, before]
    )
    if run.table("duplicates").sealed(key):
        return
    known = [
        Part(run.table("signatures", batch), number, order, run.table("duplicates", batch))
        for order, batch in enumerate(earlier)
        for number in range(len(run.sealed("signatures", batch).parts))
    ]
    new = [Part(run.table("signatures"), number, len(earlier)) for number in range(len(signatures.parts))]
    decided = decisions.decide(
        frame(read, new, decisions.DOCUMENTS),
        frame(read, known, decisions.DOCUMENTS) if known else None,
        threshold=settings.threshold,
        num_perm=settings.num_perm,
    )
    write(run, STAGE, decided, partial(convert, batches=[*earlier, run.batch]), into="duplicates", key=key)


def parameters(settings: NearDuplicates) -> dict[str, int]:
    """What a signature depends on: batches that are compared must agree in it."""
    return {"num_perm": settings.num_perm, "shingle": settings.shingle, "seed": settings.seed}


def sign(partition: Partition, settings: NearDuplicates) -> Output:
    """The signatures of a partition's documents."""
    documents = partition.read("documents", ["doc_id", "url", "karma", "text", "reason"])
    documents = documents.filter(pc.equal(documents["reason"], OK))
    rows, shingles = minhash.sketch(documents["text"], **parameters(settings))
    columns = {
        "doc_id": documents["doc_id"],
        "karma": documents["karma"],
        "url": documents["url"],
        "text_hash": pa.array([text_hash(text.as_py()) for text in documents["text"]], pa.binary()),
        "signature": minhash.to_bytes(rows),
        "n_shingles": shingles,
    }
    return Output(pa.table(columns, schema=SIGNATURES), {})


def read(part: Part) -> pa.Table:
    """A partition of signatures, as `dedup.decisions` wants it."""
    rows = part.signatures.read(part.number)
    if part.duplicates:
        rows = rows.filter(pc.equal(part.duplicates.read(part.number, ["reason"])["reason"], OK))
    return rows.append_column("batch", pa.repeat(pa.scalar(part.batch, pa.int64()), len(rows))).select(
        decisions.DOCUMENTS.names
    )


def convert(decided: pd.DataFrame, partition: Partition, batches: Sequence[str]) -> Output:
    """A partition of the decisions as it is stored, batches by their names."""
    names = [batches[order] for order in decided["keeper_batch"]]
    rows = to_arrow(decided.assign(keeper_batch=names), DUPLICATES)
    return Output(rows, {STAGE: dict(Counter(rows["reason"].to_pylist()))})


def _check(run: Run, batch: str, settings: NearDuplicates) -> None:
    recorded = NearDuplicates.model_validate(run.corpus.batches()[batch]["settings"][STAGE])
    if parameters(recorded) != parameters(settings):
        raise UserError(
            f"near_duplicates: batch '{batch}' of {run.corpus.url} has signatures of {parameters(recorded)}, "
            f"this run of {parameters(settings)}; they cannot be compared: use the same settings"
        )
