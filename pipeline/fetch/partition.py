"""The links of a partition, politely asked for one by one, each to exactly one outcome."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from pipeline.fetch import agent
from pipeline.fetch.archives.journal import Journal
from pipeline.fetch.archives.warc import WarcFile
from pipeline.fetch.frontier import Frontier
from pipeline.fetch.job import Job
from pipeline.fetch.pages import Pages
from pipeline.fetch.redirects import FILTERS
from pipeline.links.urls import filter_identity
from pipeline.settings import Fetch, Links, fingerprint

__all__ = ["fetch"]


def fetch(
    links: pa.Table,
    settings: Fetch,
    warc: Path,
    *,
    batch: str,
    filters: Links = FILTERS,
    on_outcome: Callable[[str], None] | None = None,
    until: float | None = None,
    frontier: Frontier | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[pa.Table, Counter[str]]:
    """Fetches links and stores every exchange.

    links: rows of `schemas.LINKS`; all those of a host belong in one call. filters: what the targets of
    redirects are judged by, before they are requested. warc: the .warc.gz to write. What
    was killed is continued by the same call: a journal beside the WARC tells what is finished. on_outcome:
    called with the reason of each link as it comes, from many threads. until: Unix time after which no
    request begins and what is left is `deferred`; by default in `batch_time` seconds. frontier: shared with
    other calls of the process; by default one of its own. cancelled: asked twice a second. Returns
    `schemas.PAGES`, a row for each link in the order of `links`, and the number of links by reason
    (outcome.REASONS).

    A redirect to another host joins that host's queue, with its robots.txt and spacing. Where that belongs to
    the partition of another process of this machine, both take turns by the machine's `TurnTable`. Memory:
    about 1 kB a link, the rules of each host, and about 2 MiB a thread of bodies and records. Raises
    UserError as `agent.check` does, `frontier.Cancelled`, OSError if the WARC cannot be written, and of these
    BlockingIOError if another process or call is writing it.
    """
    agent.check(settings)
    left = settings.batch_time if until is None else until - time.time()
    work = fingerprint([links["link_id"].to_pylist(), settings.identity(), filter_identity(filters)])
    with Journal(warc.with_name(warc.name + ".journal")) as journal:
        done = journal.resume(work, warc.stat().st_size if warc.exists() else 0)
        end = max((entry.end for entry in done), default=0)
        found = Pages(links, on_outcome)
        for entry in done:
            found.note(entry.index, entry.row)
        with WarcFile(warc, agent.warcinfo(settings, batch), end) as file:
            job = Job(found, file, warc.name, journal, time.monotonic() + left)
            if frontier is not None:
                frontier.run(job, cancelled)
            else:
                with closing(Frontier(settings, filters)) as own:
                    own.run(job, cancelled)
    return found.table(), found.counts
