"""The chain of stages: a batch from its request to its commit.

Reads and writes no table itself; `STEPS` names the table that each stage completes.
"""

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from rich.console import Console

from pipeline import command, fetch
from pipeline.batch import funnel
from pipeline.batch.cluster import connect
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Run
from pipeline.corpus.files import Corpus
from pipeline.corpus.lock import exclusive
from pipeline.corpus.schemas import OK
from pipeline.errors import UserError
from pipeline.fetch.outcome import REASONS, TRANSIENT, UNTRIED
from pipeline.report import batch as report
from pipeline.report import card, terminal
from pipeline.settings import Settings
from pipeline.stages import archives, documents, links, near_duplicates, overlap, shards, submissions
from pipeline.stages import fetch as fetching
from pipeline.submissions import reddit

__all__ = ["STEPS", "batch_name", "commit", "crawl", "sources"]


class Step(NamedTuple):
    """A function of the chain, the stages of the funnel that it runs, and the table that it completes."""

    stages: tuple[str, ...]
    run: Callable[[Run], None]
    table: str


STEPS = (
    Step(("submissions",), submissions.run, "submissions"),
    Step(("links",), links.run, "links"),
    Step(("fetch",), fetching.run, "pages"),
    Step(("extract", "language", "quality"), documents.run, "documents"),
    Step(("near_duplicates",), near_duplicates.run, "buckets"),
    Step(("overlap",), overlap.run, "overlap"),
    Step(("shards",), shards.run, "published"),
)
# Tables that only later stages of the same batch read: removed at the commit.
INTERMEDIATE = ("reddit_chunks", "captures", "candidates", "located", "fetched", "tokens")


def sources(files: Sequence[str], subreddits: Sequence[str], warcs: Sequence[str]) -> list[str]:
    """The sources of a batch: files as they were named, subreddits and WARC files with a scheme."""
    from_reddit = [reddit.source(subreddits)] if subreddits else []
    return [*files, *from_reddit, *(archives.SCHEME + path for path in warcs)]


def batch_name(sources: Sequence[str]) -> str:
    """The default name of a batch: that of its first source, without endings, and how many more there are."""
    first = sorted(sources)[0]
    if first.startswith(reddit.SCHEME):  # what Reddit lists changes from day to day
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
    retry: Sequence[str] | None = None,
) -> None:
    """Runs a batch to its commit, or to the end of the stage `until`; no other run may be in the corpus.

    dry_run: prints what would be done, and writes nothing. retry: outcomes of the fetch whose links are
    fetched again; an empty sequence stands for all that may pass.
    Raises RunAgain as `fetch.run`, and UserError; whatever is wrong with the request is found before anything
    is written.
    """
    inputs = _check(sources, batch, settings)
    again = _outcomes(sources, retry)
    if dry_run:
        tables = {stage: step.table for step in STEPS for stage in step.stages}
        terminal.plan(Console(), inputs, corpus_url, batch, settings, tables)
        return
    with connect(settings.cluster) as client, exclusive(corpus := Corpus.create(corpus_url)):
        record = _begin(corpus, batch, inputs, settings)
        if record["state"] == "committed" and again:
            raise UserError(
                f"batch '{batch}' is committed, and --retry is for one that is not; the next batch asks once "
                "more for the links that failed for reasons that may pass"
            )
        if record["state"] == "committed":
            print(f"batch '{batch}' is committed already; nothing to do", file=sys.stderr)
        else:
            run = Run(corpus, batch, settings, client, Progress(client), again)
            record["seconds"] = _run_stages(run, until)
            if until is None:
                commit(run, record)
    terminal.closing(Console(), corpus, batch)


def _check(sources: Sequence[str], batch: str, settings: Settings) -> list[dict[str, Any]]:
    """The inputs of a batch (`submissions.identify`). Raises UserError if the request cannot be fulfilled."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", batch):
        raise UserError(
            f"--batch {batch}: a name of letters, digits, '.', '_' and '-' that begins with a letter or digit"
        )
    inputs = [submissions.identify(source, settings) for source in sources]
    if not any(source.startswith(archives.SCHEME) for source in sources):
        fetch.check(settings.fetch)
    near_duplicates.check(settings.near_duplicates)
    overlap.check(settings.overlap)
    shards.check(settings.shards)
    return inputs


def _outcomes(sources: Sequence[str], retry: Sequence[str] | None) -> frozenset[str]:
    """The outcomes that --retry names. Raises UserError."""
    if retry is None:
        return frozenset()
    if any(source.startswith(archives.SCHEME) for source in sources):
        raise UserError("--retry: the pages come from WARC files, no link was asked for")
    known = REASONS.keys() - {OK}
    if unknown := sorted(set(retry) - known):
        raise UserError(f"--retry {unknown[0]}: no such outcome; there are {', '.join(sorted(known))}")
    return frozenset(retry) or TRANSIENT | UNTRIED


def _begin(
    corpus: Corpus, batch: str, inputs: Sequence[dict[str, Any]], settings: Settings
) -> dict[str, Any]:
    """The record of a batch, written anew unless it is committed.

    Raises UserError if the batch was begun with other inputs.
    """
    record = corpus.batches().get(batch)
    if record and _contents(record["inputs"]) != _contents(inputs):
        others = command.named([item["path"] for item in record["inputs"]])
        raise UserError(
            f"batch '{batch}' was begun with other submissions ({others}); "
            "choose another --batch, or give the same files"
        )
    if record and record["state"] == "committed":
        return record
    record = {"state": "running", "inputs": inputs, "settings": settings.model_dump(mode="json")}
    record["settings"]["fetch"].pop("contact")
    corpus.write_json(f"batches/{batch}.json", record)
    return record


def _run_stages(run: Run, until: str | None) -> dict[str, float]:
    """Runs the stages in their order, up to `until`. Returns the seconds that each took."""
    seconds = {}
    for step in STEPS:
        started = time.monotonic()
        step.run(run)
        seconds[step.stages[-1]] = round(time.monotonic() - started, 3)
        if until in step.stages:
            break
    return seconds


def commit(run: Run, record: Mapping[str, Any]) -> None:
    """Checks that no row was lost, writes report and card, and marks the batch as committed."""
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
