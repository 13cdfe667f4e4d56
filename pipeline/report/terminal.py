"""On the terminal: the funnel as a table, the closing lines of a run, and the plan of a dry run."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Counts, Table
from pipeline.corpus.schemas import OK
from pipeline.settings import Settings

__all__ = ["closing", "funnel_table", "plan"]


def funnel_table(batch: str, counts: Counts) -> Grid:
    """The funnel of a batch: what each stage was given, what it passed on, and why it dropped the rest."""
    grid = Grid(title=f"batch {batch}", title_justify="left")
    grid.add_column("stage")
    grid.add_column("in", justify="right")
    grid.add_column("out", justify="right")
    grid.add_column("dropped", overflow="fold")
    for stage, reasons in counts.items():
        dropped = [
            f"{row['reason']} {row['count']:,}"
            for row in funnel.rows(batch, {stage: reasons})
            if row["reason"] != OK
        ]
        grid.add_row(stage, f"{sum(reasons.values()):,}", f"{reasons.get(OK, 0):,}", ", ".join(dropped))
    return grid


def closing(console: Console, corpus: Corpus, batch: str) -> None:
    """Prints the last lines of a run: the funnel, and where shards and report are."""
    counts = funnel.funnel(corpus, batch)
    console.print(funnel_table(batch, counts))
    record = corpus.batches().get(batch, {})
    if record.get("state") == "committed":
        lines = {
            "shards": [f"shards/train/{batch}", f"shards/heldout/{batch}"],
            "report": [f"reports/{batch}/report.html"],
        }
    else:
        lines = {"stopped after": [next(reversed(counts), "nothing")]}
    for name, values in lines.items():
        for value in values:
            shown = f"{corpus.url.rstrip('/')}/{value}" if "/" in value else value
            console.print(f"{name:<8} {shown}", soft_wrap=True, highlight=False)


def plan(
    console: Console,
    inputs: Sequence[Mapping[str, Any]],
    corpus_url: str,
    batch: str,
    settings: Settings,
    stages: Mapping[str, str],
) -> None:
    """Prints what a run would do.

    inputs: mappings with `path` and `bytes`. stages: the name of each, and of the table that it makes.
    """
    corpus = Corpus(corpus_url)
    exists = corpus.exists("corpus.json")
    record = corpus.batches().get(batch) if exists else None
    state = record["state"] if record else "new"
    console.print(f"corpus   {corpus_url} ({'exists' if exists else 'would be made'})", highlight=False)
    console.print(f"batch    {batch} ({state})", highlight=False)
    for item in inputs:
        console.print(f"input    {item['path']} ({item['bytes']:,} bytes)", soft_wrap=True, highlight=False)
    defaults = Settings().model_dump()
    for section, values in settings.model_dump().items():
        for key, value in values.items():
            if value != defaults[section][key]:
                console.print(f"setting  {section}.{key} = {value!r}", soft_wrap=True, highlight=False)
    for stage, table in stages.items():
        done = state == "committed" or (exists and Table(corpus, table, batch).sealed() is not None)
        console.print(f"stage    {stage} ({'done' if done else 'to do'})", highlight=False)
    console.print("nothing was written (--dry-run)", highlight=False)
