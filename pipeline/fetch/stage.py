"""The stage `fetch`: the links of a partition, whole hosts, to pages and one WARC file."""

from functools import partial

import pyarrow.compute as pc

from pipeline.fetch import fetch
from pipeline.settings import Fetch
from pipeline.stage import Output, Partition, Run, map_partitions
from pipeline.tables import OK


def run(run: Run) -> None:
    """Makes `pages` and the WARC files beside it."""
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
    warc = partition.scratch / f"part-{partition.number:05d}.warc.gz"
    table, counts = fetch(links, settings, warc, batch=partition.batch, on_outcome=partition.tick)
    return Output(table, {"fetch": dict(counts)}, {f"pages/{partition.batch}/warc/{warc.name}": warc})
