"""A batch on its way through all stages, from its inputs to its commit."""

import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from rich.console import Console

from pipeline import command, fetch
from pipeline.batch import funnel
from pipeline.batch.cluster import connect
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Run
from pipeline.corpus.files import Corpus
from pipeline.corpus.lock import alone
from pipeline.errors import UserError
from pipeline.report import batch as report
from pipeline.report import card, terminal
from pipeline.settings import Settings
from pipeline.stages import archives, documents, links, near_duplicates, overlap, shards, submissions
from pipeline.stages import fetch as fetching
from pipeline.submissions import reddit

# What runs together, and the table that is complete when it is done.
STAGES: tuple[tuple[tuple[str, ...], Callable[[Run], None], str], ...] = (
    (("submissions",), submissions.run, "submissions"),
    (("links",), links.run, "links"),
    (("fetch",), fetching.run, "pages"),
    (("extract", "language", "quality"), documents.run, "documents"),
    (("near_duplicates",), near_duplicates.run, "buckets"),
    (("overlap",), overlap.run, "overlap"),
    (("shards",), shards.run, "published"),
)
INTERMEDIATE = (
    "candidates",
    "tokens",
    "reddit_chunks",
    "captures",
    "located",
)  # not needed once a batch is committed


def sources(files: Sequence[str], subreddits: Sequence[str], warcs: Sequence[str]) -> list[str]:
    """What a batch is made from: dumps and lists as they are named, and the others with their schemes."""
    asked = [reddit.source(subreddits)] if subreddits else []
    return [*files, *asked, *(archives.SCHEME + path for path in warcs)]


def batch_name(sources: Sequence[str]) -> str:
    """The default name of a batch: its first file's, without endings, and how many more there are."""
    first = sorted(sources)[0]
    if first.startswith(reddit.SCHEME):  # what Reddit says changes from day to day
        first += time.strftime("-%Y-%m-%d", time.gmtime())
    stem = re.sub(r"(\.[A-Za-z]\w*)+$", "", PurePosixPath(first).name)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "batch"
    return name if len(sources) == 1 else f"{name}-and-{len(sources) - 1}-more"


def crawl(
    sources: Sequence[str],
    corpus_url: str,
    batch: str,
    settings: Settings,
    until: str | None = None,
    dry_run: bool = False,
) -> None:
    """Runs a batch to its commit, or to the end of the stage `until`, alone in the corpus. Raises UserError.

    All that can be wrong with the request is found before anything is written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", batch):
        raise UserError(
            f"--batch {batch}: expected letters, digits, '.', '_', '-', and one of the first two first"
        )
    inputs = [submissions.identify(source, settings) for source in sources]
    if not any(source.startswith(archives.SCHEME) for source in sources):
        fetch.check(settings.fetch)
    near_duplicates.check(settings.near_duplicates)
    overlap.check(settings.overlap)
    shards.check(settings.shards)
    if dry_run:
        tables = {name: table for names, _, table in STAGES for name in names}
        terminal.plan(Console(), inputs, corpus_url, batch, settings, tables)
        return
    with connect(settings.cluster) as client, alone(corpus := Corpus.create(corpus_url)):
        record = corpus.batches().get(batch)
        if record and _contents(record["inputs"]) != _contents(inputs):
            others = command.named([item["path"] for item in record["inputs"]])
            raise UserError(
                f"batch '{batch}' was begun with other submissions ({others}); "
                "choose another --batch, or give the same files"
            )
        if record and record["state"] == "committed":
            print(f"batch '{batch}' is committed already; nothing to do", file=sys.stderr)
        else:
            record = {"state": "running", "inputs": inputs, "settings": settings.model_dump(mode="json")}
            record["settings"]["fetch"].pop("contact")
            corpus.write_json(f"batches/{batch}.json", record)
            run = Run(corpus, batch, settings, client, Progress(client))
            seconds: dict[str, float] = {}
            record["seconds"] = seconds
            for names, stage, _ in STAGES:
                started = time.monotonic()
                stage(run)
                seconds[names[-1]] = round(time.monotonic() - started, 3)
                if until in names:
                    break
            else:
                commit(run, record)
    terminal.closing(Console(), corpus, batch)


def commit(run: Run, record: dict[str, Any]) -> None:
    """Checks that the funnel is conserved, writes report and card, marks the batch committed."""
    counts = funnel.funnel(run.corpus, run.batch)
    funnel.check(counts)
    report.write(run, counts, documents.languages(run), near_duplicates.s_curve(run))
    sequence = len(run.corpus.committed()) + 1
    committed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    done = {**record, "state": "committed", "sequence": sequence, "committed": committed, "funnel": counts}
    earlier = {name: run.corpus.batches()[name] for name in run.corpus.committed()}
    card.write(run.corpus, {**earlier, run.batch: done}, run.settings.fetch.contact)
    run.corpus.write_json(f"batches/{run.batch}.json", done)
    for table in INTERMEDIATE:
        run.corpus.remove(run.table(table).directory)


def _contents(inputs: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(item["digest"] for item in inputs)
