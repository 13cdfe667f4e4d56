"""A batch whose pages come from WARC files (`--pages`): captures listed, placed beside their links, copied.

Without other sources the captures are the submissions, too: everything in the files is a link, as on a list.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.batch.stage import Output, Partition, Run, frame, map_partitions, place, to_arrow, write
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK, SUBMISSIONS
from pipeline.errors import UserError
from pipeline.fetch.archives import captures as archive
from pipeline.links.placing import partition_of
from pipeline.settings import Fetch, fingerprint

SCHEME = "warc:"
ROWS = 50_000  # captures in a row group
PLACED = archive.CAPTURES.append(pa.field("place", pa.int64()))


def paths(run: Run) -> list[str]:
    """The WARC files among the inputs of a batch, in a fixed order."""
    inputs = sorted(run.corpus.batches()[run.batch]["inputs"], key=lambda item: str(item["digest"]))
    return [item["path"] for item in inputs if item["path"].startswith(SCHEME)]


def check(path: str) -> None:
    """Raises UserError unless there is an HTTP response in a file."""
    counts: Counter[str] = Counter()
    try:
        if next(archive.captures(path, counts), None) is not None:
            return
    except Exception as error:  # each filesystem raises errors of its own library
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    what = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
    raise UserError(f"{path}: not one HTTP response in it ({what or 'no WARC records'})")


def capture(run: Run, digests: Sequence[str]) -> None:
    """Makes `captures`: a partition for each file."""
    map_partitions(
        run,
        "captures",
        partial(listed, paths=paths(run)),
        into="captures",
        inputs=list(digests),
        settings=None,
    )


def listed(partition: Partition, paths: list[str]) -> Output:
    """The captures of a file. Holds ROWS of them."""
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
    """The captures of file `number` as submissions if they come alone; else they are only counted."""
    seal = Table(partition.corpus, "captures", partition.batch).sealed()
    if seal is None:
        raise RuntimeError("captures come before submissions")
    counts.update(seal.parts[number].counts["captures"])
    if not alone:
        counts["capture"] += counts.pop(OK, 0)
        return
    table = Table(partition.corpus, "captures", partition.batch)
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
    """Makes `pages` and its WARC files from the captures of the links."""
    links = run.sealed("links")
    captures = run.sealed("captures")
    settings = run.settings.fetch
    count = len(links.parts)
    pieces = [
        (run.table("captures"), number, group)
        for number, part in enumerate(captures.parts)
        for group in range(part.row_groups)
    ]
    rows = frame(partial(placed, partitions=count), pieces, PLACED)
    key = fingerprint(["located", count, [part.checksum for part in captures.parts]])
    located = write(run, "located", place(rows, "place", count), gather, into="located", key=key)
    map_partitions(
        run,
        "fetch",
        partial(pages, settings=settings),
        into="pages",
        inputs=[
            [link.checksum, found.checksum] for link, found in zip(links.parts, located.parts, strict=True)
        ],
        settings=settings.identity(),
    )


def placed(piece: tuple[Table, int, int], partitions: int) -> pa.Table:
    """A row group of captures with the partition that its host's links are in."""
    table, number, group = piece
    rows = table.read(number, row_group=group)
    hosts = rows["host"].combine_chunks().dictionary_encode()
    numbers = [partition_of(host, partitions) for host in hosts.dictionary.to_pylist()]
    return rows.append_column("place", pa.array(numbers, pa.int64()).take(hosts.indices))


def gather(rows: pd.DataFrame, partition: Partition) -> Output:
    """A partition of captures, sorted."""
    table = to_arrow(rows, archive.CAPTURES)
    return Output(
        table.sort_by([("link_id", "ascending"), ("path", "ascending"), ("offset", "ascending")]), {}
    )


def pages(partition: Partition, settings: Fetch) -> Output:
    """Copies the captures of the links that passed."""
    links = partition.read("links")
    links = links.filter(pc.equal(links["reason"], OK))
    warc = partition.scratch / f"part-{partition.number:05d}.warc.gz"
    table, counts = archive.fetch(
        links, partition.read("located"), settings, warc, batch=partition.batch, on_outcome=partition.tick
    )
    return Output(table, {"fetch": dict(counts)}, {f"pages/{partition.batch}/warc/{warc.name}": warc})
