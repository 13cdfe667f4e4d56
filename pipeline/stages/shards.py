"""The stage `shards`: kept documents to token ids, to shards of the training set and the held-out split.

Reads `documents`, `duplicates` and `overlap`; writes `tokens` (the kept documents as token ids), the shards
with their manifests, and `published` (which document is in which shard). Each document goes to the shard that
holds its range of the hash space: what is in a shard depends on the documents alone, not on partitions or
workers.
"""

from collections.abc import Mapping
from functools import partial

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.frames import PARTITION, read_frame, shuffle, to_arrow, write_frame
from pipeline.batch.kept import kept_documents
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK
from pipeline.errors import as_user_error
from pipeline.settings import Shards, fingerprint
from shards import manifest, placement, tokenizer, writer

__all__ = ["check", "run", "tokenize", "write_shard"]

SPLITS = ("train", "heldout")
TOKENS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("batch", pa.string()),
        ("tokens", pa.large_binary()),  # little-endian ids, end-of-text included
        ("heldout", pa.bool_()),
    ]
)
COLUMNS = TOKENS.append(PARTITION)


def check(settings: Shards) -> None:
    """Raises UserError if the tokenizer cannot be loaded."""
    with as_user_error("shards.tokenizer"):
        tokenizer.load(settings.tokenizer)


def run(run: Run) -> None:
    """Makes `tokens`, the shards with their manifests, and `published`."""
    settings = run.settings.shards
    tokens = map_partitions(
        run,
        "tokenize",
        partial(tokenize, settings=settings),
        into="tokens",
        inputs=run.checksums("documents", "duplicates", "overlap"),
        settings=[settings.tokenizer, settings.heldout],
    )
    totals = {split: sum(part.facts[split] for part in tokens.parts) for split in SPLITS}
    counts = {split: placement.shard_count(totals[split], settings.tokens_per_shard) for split in SPLITS}
    key = fingerprint(["shards", settings.identity(), [part.checksum for part in tokens.parts]])
    read = partial(_read, table=run.table("tokens"), counts=counts)
    rows = shuffle(read_frame(read, range(len(tokens.parts)), COLUMNS), sum(counts.values()))
    convert = partial(write_shard, counts=counts, settings=settings)
    seal = write_frame(run, "shards", rows, convert, into="published", key=key)
    files = [(part.facts["split"], manifest.ShardFile(**part.facts["file"])) for part in seal.parts]
    encoder = tokenizer.load(settings.tokenizer)
    token_format = manifest.TokenFormat(
        tokenizer=encoder.name,
        vocabulary=encoder.checksum,
        dtype=encoder.dtype.name,
        end_of_text=encoder.end_of_text,
    )
    for split in SPLITS:
        written = manifest.Manifest.of(
            token_format,
            split=split,
            batch=run.batch,
            files=[file for of, file in files if of == split],
        )
        run.corpus.write_text(f"shards/{split}/{run.batch}/{manifest.NAME}", written.dumps())


def tokenize(partition: Partition, settings: Shards) -> Output:
    """A partition of `tokens`: the kept documents as token ids, each with its split."""
    encoder = tokenizer.load(settings.tokenizer)
    rows = kept_documents(partition, ["doc_id", "url", "text"])
    tokens = writer.tokenize(rows["text"], encoder)
    lengths = pc.divide(pc.binary_length(tokens), encoder.dtype.itemsize)
    heldout = placement.is_heldout(rows["doc_id"], settings.heldout)
    n_heldout = int(lengths.to_numpy()[heldout].sum())
    columns = {
        "doc_id": rows["doc_id"],
        "url": rows["url"],
        "batch": pa.repeat(pa.scalar(partition.batch, pa.string()), len(rows)),
        "tokens": tokens,
        "heldout": pa.array(heldout),
    }
    facts = {"train": int(lengths.to_numpy().sum()) - n_heldout, "heldout": n_heldout}
    return Output(pa.table(columns, schema=TOKENS), {}, facts=facts)


def _read(number: int, table: Table, counts: Mapping[str, int]) -> pa.Table:
    """A partition of `tokens`, every document with the number of its shard: those of `train` come first."""
    rows = table.read(number)
    train, heldout = (placement.shard_of(rows["doc_id"], counts[split]) for split in SPLITS)
    numbers = np.where(rows["heldout"].to_numpy(), counts["train"] + heldout, train)
    return rows.append_column(PARTITION, pa.array(numbers, pa.int64()))


def write_shard(
    documents: pd.DataFrame, partition: Partition, counts: Mapping[str, int], settings: Shards
) -> Output:
    """Writes one shard, and returns the rows of `published` for its documents."""
    index = partition.number
    split, index = ("train", index) if index < counts["train"] else ("heldout", index - counts["train"])
    path = partition.scratch / placement.file_name(split, index, counts[split])
    rows = to_arrow(documents, TOKENS).sort_by("doc_id")
    writer.write_shard(
        rows,
        path,
        tokenizer=tokenizer.load(settings.tokenizer),
        split=split,
        tokens_per_row_group=settings.tokens_per_row_group,
    )
    _, file = manifest.describe(str(path))
    name = f"shards/{split}/{partition.batch}/{file.name}"
    published = pa.table(
        {"doc_id": rows["doc_id"], "shard": pa.repeat(pa.scalar(name, pa.string()), len(rows))}
    )
    return Output(
        published,
        {"shards": {OK: len(rows)}},
        {name: path},
        {"split": split, "file": msgspec.structs.asdict(file)},
    )
