"""The stage `fetch`: reads `links`, writes `pages` and, for each partition, one WARC file.

A partition of links has all links of its hosts.
Where pages come from WARC files instead of the network, `archives` does the work.
"""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.deferred_hosts import DeferredHosts
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.partitions import Seal, Table
from pipeline.corpus.schemas import OK
from pipeline.errors import RunAgain
from pipeline.fetch import fetch
from pipeline.fetch.frontier import Frontier, shared
from pipeline.fetch.outcome import TRANSIENT, UNTRIED
from pipeline.links.urls import filter_identity
from pipeline.settings import Fetch, Links
from pipeline.stages import archives, final_urls

__all__ = ["fetch_pages", "run", "too_many_failed"]


def run(run: Run) -> None:
    """Makes `fetched` with its WARC files, then `final_urls` and `pages`.

    Raises RunAgain if more than `max_failed_share` of the links have failed for reasons that may pass. The
    next call, which finds `fetched` complete, fetches these again first; and so it does with the outcomes
    `run.retry`.
    """
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

    def fetched(again: frozenset[str]) -> Seal:
        until = time.time() + settings.batch_time
        return map_partitions(
            run,
            "fetch",
            partial(fetch_pages, settings=settings, filters=filters, until=until, again=again),
            into="fetched",
            inputs=[part.checksum for part in links.parts],
            settings=[settings.identity(), filter_identity(filters)],
            weights=[part.facts.get("longest_queue", 0) for part in links.parts],
            again=(lambda part: not again.isdisjoint(part.counts["fetch"])) if again else None,
        )

    before = run.table("fetched").sealed()
    pages = fetched(frozenset())
    stopped = before == pages and too_many_failed(pages.counts["fetch"], settings)
    if again := run.retry or (UNTRIED | TRANSIENT if stopped else frozenset()):
        pages = fetched(again)
    if failed := too_many_failed(pages.counts["fetch"], settings):
        raise RunAgain(
            f"batch '{run.batch}': {failed}, more than fetch.max_failed_share={settings.max_failed_share:g}; "
            "it is not committed. See whether the network and its name server work, and give the same "
            "command again: it asks for these links once more (to go on without them: "
            "--set fetch.max_failed_share=1)"
        )


def too_many_failed(counts: Mapping[str, int], settings: Fetch) -> str:
    """Says how many links failed for reasons that may pass, if more than `max_failed_share` did; else "".

    counts: of links by outcome. Those for which there was no time count neither way.
    """
    failed = {reason: counts[reason] for reason in {*TRANSIENT, "no_network"} & counts.keys()}
    tried = sum(counts.values()) - counts.get("deferred", 0)
    if sum(failed.values()) <= settings.max_failed_share * tried:
        return ""
    worst = sorted(failed.items(), key=lambda item: (-item[1], item[0]))[:4]
    shown = ", ".join(f"{reason} {count:,}" for reason, count in worst)
    return f"{sum(failed.values()):,} of {tried:,} links failed for reasons that may pass ({shown})"


def fetch_pages(
    partition: Partition,
    settings: Fetch,
    filters: Links,
    until: float,
    again: frozenset[str] = frozenset(),
) -> Output:
    """A partition of `fetched`: fetches the links that passed. until: Unix time at which the stage is to end.

    again: outcomes. If there are any, and the partition is committed, only the links that ended so are
    fetched, into a further WARC file; those that are not tried even now keep the outcome that they had.
    """
    links = partition.read("links")
    links = links.filter(pc.equal(links["reason"], OK))
    manifest = (
        Table(partition.corpus, "fetched", partition.batch).manifest(partition.number) if again else None
    )
    with shared(settings, filters) as frontier:
        fetched = partial(_fetch, partition, settings, filters, until, frontier)
        if manifest is None:
            table, file = fetched(links, f"part-{partition.number:05d}")
            kept: dict[str, int] = {}
        else:
            kept = {name: size for name, size in manifest.files.items() if name.endswith(".warc.gz")}
            before = partition.read("fetched")
            failed = pc.is_in(before["reason"], value_set=pa.array(sorted(again)))
            table, file = fetched(links.filter(failed), f"part-{partition.number:05d}-again-{len(kept)}")
            tried = table.filter(pc.invert(pc.is_in(table["reason"], value_set=pa.array(sorted(UNTRIED)))))
            settled = before.filter(pc.invert(pc.is_in(before["doc_id"], value_set=tried["doc_id"])))
            table = pa.concat_tables([settled, tried])
            table = table.take(pc.index_in(before["doc_id"], value_set=table["doc_id"]))
        facts = {"deferred": DeferredHosts.of(table, frontier.spacing).facts()}
    counts = Counter(table["reason"].to_pylist())
    return Output(table, {"fetch": dict(counts)}, file, facts, kept)


def _fetch(
    partition: Partition,
    settings: Fetch,
    filters: Links,
    until: float,
    frontier: Frontier,
    links: pa.Table,
    stem: str,
) -> tuple[pa.Table, dict[str, Path]]:
    """Fetches links into a WARC file `stem`.warc.gz. Returns their pages, and the file as `Output.files`.

    As soon as the process has room for the links, the task leaves its slot in the worker to the next one.
    """
    warc = _unfinished(partition, stem) / f"{stem}.warc.gz"
    with frontier.admitted(len(links), partition.cancelled):
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
            table, _ = fetch_to(warc)
        except BlockingIOError:  # a worker that the scheduler has given up still writes it
            warc = partition.scratch / warc.name
            table, _ = fetch_to(warc)
    # The commit moves this name away; the other stays with its journal, in case the commit is cut off.
    whole = warc.with_name("whole.warc.gz")
    whole.unlink(missing_ok=True)
    whole.hardlink_to(warc)
    return table, {f"pages/{partition.batch}/warc/{warc.name}": whole}


def _unfinished(partition: Partition, stem: str) -> Path:
    """The directory of the unfinished `stem`.warc.gz: a fetch that was killed goes on from there.

    In a local corpus it is among the WARC files, and is removed when the table is sealed. For a corpus on an
    object store it is on the worker's disk: a partition is continued only on the same machine, and
    directories of committed partitions are removed when the next partition begins.
    """
    corpus = partition.corpus
    if corpus.is_local:
        directory = Path(corpus.path(f"pages/{partition.batch}/warc/unfinished-{stem}"))
    else:
        base = Path(tempfile.gettempdir()) / f"webtext-{corpus.id}"
        for left in base.glob("*/part-*"):
            of, number = left.parent.name, int(left.name.split("-")[1])
            fetched = Table(corpus, "fetched", of).manifest(number)
            if fetched:
                stored = f"pages/{of}/warc/{left.name}.warc.gz" in fetched.files
            else:  # removed when the batch was committed
                stored = Table(corpus, "pages", of).manifest(number) is not None
            if stored:
                shutil.rmtree(left, ignore_errors=True)
        directory = base / partition.batch / stem
    directory.mkdir(parents=True, exist_ok=True)
    return directory
