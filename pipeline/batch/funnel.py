"""The funnel: how many rows each stage passed on, and how many it dropped for which reason."""

from itertools import pairwise
from typing import TypedDict

from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Counts, Table, add_counts
from pipeline.corpus.schemas import OK

__all__ = ["STAGES", "TABLES", "Row", "check", "funnel", "rows"]

STAGES = (
    "submissions",
    "links",
    "fetch",
    "extract",
    "language",
    "quality",
    "near_duplicates",
    "overlap",
    "shards",
)
# The tables whose counts make the funnel.
TABLES = ("submissions", "candidates", "links", "pages", "documents", "duplicates", "overlap", "published")


class Row(TypedDict):
    """One line of the funnel; `reason` is `ok` for the rows that the next stage gets."""

    batch: str
    stage: str
    reason: str
    count: int


def funnel(corpus: Corpus, batch: str) -> Counts:
    """The counts of a batch by stage and reason, in the order of the chain, as far as tables are complete.

    For a committed batch they come from its record: tables may have been removed since.
    """
    record = corpus.batches().get(batch, {})
    if record.get("state") == "committed":
        counts: Counts = record["funnel"]
    else:
        seals = [Table(corpus, name, batch).sealed() for name in TABLES]
        counts = add_counts(seal.counts for seal in seals if seal)
    return {stage: counts[stage] for stage in STAGES if stage in counts}


def rows(batch: str, counts: Counts) -> list[Row]:
    """The funnel as lines: for each stage `ok` first, then the other reasons by falling count."""
    return [
        Row(batch=batch, stage=stage, reason=reason, count=count)
        for stage, reasons in counts.items()
        for reason, count in sorted(reasons.items(), key=lambda item: (item[0] != OK, -item[1], item[0]))
    ]


def check(counts: Counts) -> None:
    """Raises AssertionError unless every stage accounts for all rows that the one before it passed on."""
    for before, stage in pairwise(counts):
        given, found = counts[before].get(OK, 0), sum(counts[stage].values())
        if given != found:
            raise AssertionError(f"{stage} accounts for {found} rows, but {before} passed on {given}")
