"""The stage `fetch` where pages come from WARC files (`--pages`), not from the network.

Before `submissions`, `capture` writes `captures`: what HTTP responses are in the files. Then `run` reads it
and `links`, and writes `located` (the captures in the partitions of their links) and `pages` with its WARC
files. Without other sources the captures are the submissions too: everything in the files is a link, as on a
list.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.batch.frames import PARTITION, read_frame, shuffle, to_arrow, write_frame
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK, SUBMISSIONS
from pipeline.errors import UserError, as_user_error
from pipeline.fetch.archives import captures as archive
from pipeline.links.placing import partitions_of
from pipeline.links.urls import filter_identity
from pipeline.settings import Fetch, Links, fingerprint
from pipeline.submissions.deferred import WARC

__all__ = ["SCHEME", "capture", "check", "copy_captures", "list_captures", "paths", "run", "submissions"]

SCHEME = WARC
ROWS = 50_000  # captures in a row group
COLUMNS = archive.CAPTURES.append(PARTITION)
ORDER = [("link_id", "ascending"), ("path", "ascending"), ("offset", "ascending")]


def paths(run: Run) -> list[str]:
    """The WARC files among the inputs of a batch, in a fixed order."""
    inputs = sorted(run.corpus.batches()[run.batch]["inputs"], key=lambda item: str(item["digest"]))
    return [item["path"] for item in inputs if item["path"].startswith(SCHEME)]


def check(path: str) -> None:
    """Raises UserError unless the file can be read and has an HTTP response in it."""
    counts: Counter[str] = Counter()
    with as_user_error(f"{path}: cannot be read", Exception):
        if next(archive.captures(path, counts), None) is not None:
            return
    what = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
    raise UserError(f"{path}: not one HTTP response in it ({what or 'no WARC records'})")


def capture(run: Run, digests: Sequence[str]) -> None:
    """Makes `captures`: a partition for each WARC file of the batch. digests: identify the files."""
    map_partitions(
        run,
        "captures",
        partial(list_captures, paths=paths(run)),
        into="captures",
        inputs=list(digests),
        settings=None,
    )


def list_captures(partition: Partition, paths: list[str]) -> Output:
    """The captures of one file; holds ROWS of them."""
    counts: Counter[str] = Counter()
    target = partition.scratch / "captures.parquet"
    found = archive.captures(paths[partition.number].removeprefix(SCHEME), counts)
    with pq.ParquetWriter(target, archive.CAPTURES, compression="zstd") as writer:
        while rows := list(islice(found, ROWS)):
            writer.write_table(archive.table(rows))
    return Output(target, {"captures": dict(counts)})


def submissions(
    partition: Partition, number: int, counts: Counter[str], *, alone: bool, writer: pq.ParquetWriter
) -> None:
    """Writes the captures of file `number` as submissions, or only counts them.

    alone: whether the batch has no other sources; only then are captures submissions. counts: is added to.
    """
    table = Table(partition.corpus, "captures", partition.batch)
    counts.update(table.complete().parts[number].counts["captures"])
    if not alone:
        counts["capture"] += counts.pop(OK, 0)
        return
    for captures in table.stream(number):
        size = captures.num_rows
        known = {
            "url": captures["url"],
            "origin": pa.repeat("list", size),
            "is_self": pa.repeat(False, size),
            "over_18": pa.repeat(False, size),
        }
        known |= dict.fromkeys(("submission_id", "subreddit"), pa.repeat("", size))
        columns = [known.get(field.name, pa.nulls(size, field.type)) for field in SUBMISSIONS]
        writer.write_table(pa.table(columns, schema=SUBMISSIONS))


def run(run: Run) -> None:
    """Makes `located`, then `fetched` and its WARC files from the captures of the links."""
    links = run.sealed("links")
    captures = run.sealed("captures")
    settings, filters = run.settings.fetch, run.settings.links
    count = len(links.parts)
    pieces = [
        (run.table("captures"), number, group)
        for number, part in enumerate(captures.parts)
        for group in range(part.row_groups)
    ]
    rows = read_frame(partial(_read, partitions=count), pieces, COLUMNS)
    key = fingerprint(["located", count, [part.checksum for part in captures.parts]])
    located = write_frame(run, "located", shuffle(rows, count), _sorted, into="located", key=key)
    map_partitions(
        run,
        "fetch",
        partial(copy_captures, settings=settings, filters=filters),
        into="fetched",
        inputs=[
            [link.checksum, found.checksum] for link, found in zip(links.parts, located.parts, strict=True)
        ],
        settings=[settings.identity(), filter_identity(filters)],
    )


def _read(piece: tuple[Table, int, int], partitions: int) -> pa.Table:
    """A row group of `captures`, with the partition that the links of their host are in."""
    table, number, group = piece
    rows = table.read(number, row_group=group)
    return rows.append_column(PARTITION, partitions_of(rows["host"], partitions))


def _sorted(rows: pd.DataFrame, partition: Partition) -> Output:
    return Output(to_arrow(rows, archive.CAPTURES).sort_by(ORDER), {})


def copy_captures(partition: Partition, settings: Fetch, filters: Links) -> Output:
    """A partition of `fetched`: the captures of the links that passed, copied into one WARC file."""
    links = partition.read("links")
    links = links.filter(pc.equal(links["reason"], OK))
    warc = partition.scratch / f"part-{partition.number:05d}.warc.gz"
    table, counts = archive.fetch(
        links,
        partition.read("located"),
        settings,
        warc,
        batch=partition.batch,
        filters=filters,
        on_outcome=partition.tick,
    )
    return Output(table, {"fetch": dict(counts)}, {f"pages/{partition.batch}/warc/{warc.name}": warc})
