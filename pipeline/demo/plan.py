"""The demo's submissions and what must become of them: plan.csv, with a row for each line of the dump.

url, score, subreddit and title are those of the submission (an empty title: that of the page). marks: `self`,
`over_18`, `promoted`, `deleted` (the author), `broken` (the line is cut off), `again` (repeats the submission
before, as where two dumps overlap). stage and reason: where the link ends, and why; `shards` and `ok` if it
is kept. Rows whose URLs have the same canonical form are one link, and have the same stage and reason.
"""

import csv
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.batch.funnel import STAGES
from pipeline.corpus.schemas import OK
from pipeline.links import urls

__all__ = ["HERE", "Fate", "Submission", "funnel", "links", "submissions"]

HERE = Path(__file__).parent


class Fate(NamedTuple):
    """The stage at which a link ends, and the reason."""

    stage: str
    reason: str


class Submission(NamedTuple):
    """A row of the plan."""

    url: str
    score: int | None
    subreddit: str
    title: str
    marks: frozenset[str]
    fate: Fate


@cache
def submissions() -> tuple[Submission, ...]:
    """The rows of the plan, in the order of the dump."""
    with (HERE / "plan.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Submission(
                row["url"],
                int(row["score"]) if row["score"] else None,
                row["subreddit"],
                row["title"],
                frozenset(row["marks"].split()),
                Fate(row["stage"], row["reason"]),
            )
            for row in csv.DictReader(file)
        )


@cache
def links() -> dict[str, Fate]:
    """The fate of every link that reaches the stage `links`, by canonical URL.

    Submissions that link to nothing (self posts, other schemes, broken lines) are not in it.
    """
    fates = {}
    for submission in submissions():
        url = urls.canonical(submission.url)
        if url and submission.fate.stage != "submissions" and "self" not in submission.marks:
            fates[url] = submission.fate
    return fates


def funnel() -> dict[str, Counter[str]]:
    """The planned counts by stage and reason, as in `pipeline.batch.funnel`; of `shards` only `ok`."""
    counts: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    seen = set()
    for submission in submissions():
        stage, reason = submission.fate
        if stage == "submissions":
            counts[stage][reason] += 1
            continue
        counts["submissions"][OK] += 1
        url = urls.canonical(submission.url)
        if "again" in submission.marks:
            counts["links"]["repeated_submission"] += 1
        elif stage == "links":
            counts[stage][reason] += 1
        elif url in seen:
            counts["links"]["same_url"] += 1
        seen.add(url)
    for stage, reason in links().values():
        if stage == "links":
            continue
        passed = STAGES[STAGES.index("links") : STAGES.index(stage)]
        for before in passed:
            counts[before][OK] += 1
        counts[stage][reason] += 1
    return counts
