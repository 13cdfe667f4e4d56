"""The stage `fetch`: the links of a partition, whole hosts, to pages and one WARC file."""

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import pyarrow.compute as pc

from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.schemas import OK
from pipeline.fetch import fetch
from pipeline.settings import Fetch
from pipeline.stages import archives


def run(run: Run) -> None:
    """Makes `pages` and the WARC files beside it."""
    if archives.paths(run):
        archives.run(run)
        return
    for pattern, base in run.settings.fetch.connect_to.items():
        what = f"requests for the hosts {pattern!r} go to {base}, not to the real web"
        print(f"warning: fetch.connect_to: {what}", file=sys.stderr)
    map_partitions(
        run,
        "fetch",
        partial(pages, settings=run.settings.fetch),
        into="pages",
        inputs=[part.checksum for part in run.sealed("links").parts],
        settings=run.settings.fetch.identity(),
    )


def pages(partition: Partition, settings: Fetch) -> Output:
    """Fetches the links that passed."""
    links = partition.read("links")
    links = links.filter(pc.equal(links["reason"], OK))
    name = f"part-{partition.number:05d}.warc.gz"
    make = partial(fetch, links, settings, batch=partition.batch, on_outcome=partition.tick)
    warc = _unfinished(partition) / name
    try:
        table, counts = make(warc)
    except BlockingIOError:  # a worker that the scheduler has lost still has it
        warc = partition.scratch / name
        table, counts = make(warc)
    # The commit moves this name away; the other stays with its journal, in case the commit is cut off.
    whole = warc.with_name("whole.warc.gz")
    whole.unlink(missing_ok=True)
    whole.hardlink_to(warc)
    return Output(table, {"fetch": dict(counts)}, {f"pages/{partition.batch}/warc/{name}": whole})


def _unfinished(partition: Partition) -> Path:
    """Where the fetch of a partition goes on after its process was killed.

    In a local corpus it lies among the WARC files, and goes when the table is sealed. For one on an object
    store it lies on the worker's disk: a partition is continued only on the same machine, and what is left of
    committed ones goes when the next begins.
    """
    corpus = partition.corpus
    if corpus.is_local:
        directory = Path(corpus.path(f"pages/{partition.batch}/warc/unfinished-{partition.number:05d}"))
    else:
        base = Path(tempfile.gettempdir()) / f"webtext-{corpus.id}"
        for left in base.glob("*/*"):
            if corpus.exists(f"pages/{left.parent.name}/index/_manifests/{left.name}.json"):
                shutil.rmtree(left, ignore_errors=True)
        directory = base / partition.batch / f"{partition.number:05d}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
