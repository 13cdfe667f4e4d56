"""The stage `fetch`: reads `links`, writes `pages` and, for each partition, one WARC file.

A partition of links has all links of its hosts.
Where pages come from WARC files instead of the network, `archives` does the work.
"""

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pyarrow.compute as pc

from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK
from pipeline.fetch import fetch
from pipeline.fetch.frontier import shared
from pipeline.links.urls import filter_identity
from pipeline.settings import Fetch, Links
from pipeline.stages import archives, final_urls

__all__ = ["fetch_pages", "run"]


def run(run: Run) -> None:
    """Makes `fetched` with its WARC files, then `final_urls` and `pages`."""
    if archives.paths(run):
        archives.run(run)
    else:
        _crawl(run)
    final_urls.run(run)


def _crawl(run: Run) -> None:
    """Makes `fetched` and its WARC files; the partition with the longest queue of one host starts first."""
    links, settings, filters = run.sealed("links"), run.settings.fetch, run.settings.links
    for pattern, base in settings.connect_to.items():
        what = f"requests for the hosts {pattern!r} go to {base}, not to the real web"
        print(f"warning: fetch.connect_to: {what}", file=sys.stderr)
    map_partitions(
        run,
        "fetch",
        partial(fetch_pages, settings=settings, filters=filters, until=time.time() + settings.batch_time),
        into="fetched",
        inputs=[part.checksum for part in links.parts],
        settings=[settings.identity(), filter_identity(filters)],
        weights=[part.facts.get("longest_queue", 0) for part in links.parts],
    )


def fetch_pages(partition: Partition, settings: Fetch, filters: Links, until: float) -> Output:
    """A partition of `fetched`: fetches the links that passed. until: Unix time at which the stage is to end.

    As soon as the process has room for the links, the task leaves its slot in the worker to the next one.
    """
    links = partition.read("links")
    links = links.filter(pc.equal(links["reason"], OK))
    name = f"part-{partition.number:05d}.warc.gz"
    warc = _unfinished(partition) / name
    with shared(settings, filters) as frontier, frontier.admitted(len(links), partition.cancelled):
        partition.leave_slot()
        fetch_to = partial(
            fetch,
            links,
            settings,
            batch=partition.batch,
            filters=filters,
            on_outcome=partition.tick,
            until=until,
            frontier=frontier,
            cancelled=partition.cancelled,
        )
        try:
            table, counts = fetch_to(warc)
        except BlockingIOError:  # a worker that the scheduler has given up still writes it
            warc = partition.scratch / name
            table, counts = fetch_to(warc)
    # The commit moves this name away; the other stays with its journal, in case the commit is cut off.
    whole = warc.with_name("whole.warc.gz")
    whole.unlink(missing_ok=True)
    whole.hardlink_to(warc)
    return Output(table, {"fetch": dict(counts)}, {f"pages/{partition.batch}/warc/{name}": whole})


def _unfinished(partition: Partition) -> Path:
    """The directory of a partition's unfinished WARC file: a fetch that was killed goes on from there.

    In a local corpus it is among the WARC files, and is removed when the table is sealed. For a corpus on an
    object store it is on the worker's disk: a partition is continued only on the same machine, and
    directories of committed partitions are removed when the next partition begins.
    """
    corpus = partition.corpus
    if corpus.is_local:
        directory = Path(corpus.path(f"pages/{partition.batch}/warc/unfinished-{partition.number:05d}"))
    else:
        base = Path(tempfile.gettempdir()) / f"webtext-{corpus.id}"
        for left in base.glob("*/*"):
            tables = (Table(corpus, name, left.parent.name) for name in ("fetched", "pages"))
            if any(corpus.exists(f"{table.directory}/_manifests/{left.name}.json") for table in tables):
                shutil.rmtree(left, ignore_errors=True)
        directory = base / partition.batch / f"{partition.number:05d}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
