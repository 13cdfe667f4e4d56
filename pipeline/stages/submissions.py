"""The stage `submissions`: reads the inputs of a batch, writes `submissions`, one partition for each input.

Inputs are dumps and lists of URLs, Reddit's API (by way of the table `reddit_chunks`), WARC files
(`captures`) and the links that the batch before has left for later.
"""

import hashlib
from collections import Counter
from functools import partial
from typing import Any

import fsspec
import pyarrow.parquet as pq

from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.schemas import SUBMISSIONS
from pipeline.errors import as_user_error
from pipeline.settings import Settings, Submissions
from pipeline.stages import archives as archive_stage
from pipeline.submissions import deferred, reddit
from pipeline.submissions.reddit_store import Store
from pipeline.submissions.sources import read

__all__ = ["identify", "read_input", "run"]

EDGE = 64 * 1024  # bytes at each end of a file that tell it from another of the same size


def identify(path: str, settings: Settings) -> dict[str, Any]:
    """What identifies an input: `{"path", "bytes", "digest"}`, the digest from its size and its two ends.

    Raises UserError if the file is missing, cannot be read, or has no record, and as `reddit.identify`.
    """
    if path.startswith(reddit.SCHEME):
        return reddit.identify(path, settings)
    if path.startswith(archive_stage.SCHEME):
        archive_stage.check(path.removeprefix(archive_stage.SCHEME))
    else:
        for _ in read(path, rows=1, counts=Counter()):
            break
    with (
        as_user_error(f"{path}: cannot be read", Exception),
        fsspec.open(path.removeprefix(archive_stage.SCHEME), "rb") as file,
    ):
        head = file.read(EDGE)
        size = file.seek(0, 2)
        file.seek(max(0, size - EDGE))
        digest = hashlib.blake2b(head + file.read(), digest_size=16).hexdigest()
    return {"path": path, "bytes": size, "digest": digest}


def run(run: Run) -> None:
    """Makes `submissions`: a partition for each input of the batch, in the order of their digests.

    The links that the last committed batch has left for later are one more input, unless pages come from WARC
    files: no link is asked for then, and they stay for the batch after.
    """
    inputs = sorted(run.corpus.batches()[run.batch]["inputs"], key=lambda item: str(item["digest"]))
    archives = archive_stage.paths(run)
    if not archives and (waiting := deferred.source(run.corpus)):
        inputs.append(waiting)
    for item in inputs:
        if item["path"].startswith(reddit.SCHEME):
            steps = reddit.steps(item["path"], run.settings.reddit)
            with run.progress.stage("reddit", total=len(steps), unit="readings") as progress:
                reddit.collect(
                    run.corpus, run.batch, item["path"], run.settings.reddit, run.settings.fetch, progress
                )
    if archives:
        archive_stage.capture(run, [item["digest"] for item in inputs if item["path"] in archives])
    map_partitions(
        run,
        "submissions",
        partial(read_input, paths=[item["path"] for item in inputs], rows=run.settings.submissions.rows),
        into="submissions",
        inputs=[[item["bytes"], item["digest"]] for item in inputs],
        settings=Submissions.identity(run.settings.submissions),
    )


def read_input(partition: Partition, paths: list[str], rows: int) -> Output:
    """A partition of `submissions`: one input, as row groups of `rows` records; holds one row group."""
    counts: Counter[str] = Counter()
    target = partition.scratch / "submissions.parquet"
    with pq.ParquetWriter(target, SUBMISSIONS, compression="zstd") as writer:
        path = paths[partition.number]
        if path.startswith(archive_stage.SCHEME):
            archives = [name for name in paths if name.startswith(archive_stage.SCHEME)]
            others = [name for name in paths if not name.startswith((archive_stage.SCHEME, deferred.SCHEME))]
            alone, number = not others, archives.index(path)
            archive_stage.submissions(partition, number, counts, alone=alone, writer=writer)
        elif path.startswith(reddit.SCHEME):
            for table in Store(partition.corpus, partition.batch).chunks(counts):
                writer.write_table(table)
        elif path.startswith(deferred.SCHEME):
            for table in deferred.submissions(partition.corpus, path, counts):
                writer.write_table(table)
        else:
            for batch in read(path, rows=rows, counts=counts):
                writer.write_batch(batch)
    return Output(target, {"submissions": dict(counts)})
