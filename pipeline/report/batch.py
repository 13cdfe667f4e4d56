"""The report of a batch: one self-contained HTML page with the funnel, the languages, and how it was made."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import yaml

from pipeline import templates
from pipeline.batch import funnel
from pipeline.batch.deferred_hosts import DeferredHosts
from pipeline.batch.stage import Run
from pipeline.corpus.partitions import Counts
from pipeline.corpus.schemas import OK
from pipeline.language import foreign_paragraphs
from pipeline.language.foreign_paragraphs import LanguageSummary

__all__ = ["Bar", "bars", "duration", "render", "write"]

WIDTH = 1000  # of the picture's bars, in SVG units


@dataclass(frozen=True)
class Bar:
    """One stage in the picture of the funnel.

    given, kept: rows that the stage was given, and passed on. segments: of (reason, count, x, width), the
    latter two in units of WIDTH; what is passed on comes first.
    """

    stage: str
    given: int
    kept: int
    segments: list[tuple[str, int, float, float]]


def write(run: Run, counts: Counts, languages: LanguageSummary, s_curve: str) -> None:
    """Writes report.html, funnel.json and languages.json to reports/<batch>/ in the corpus.

    counts: of the funnel, by stage and reason. s_curve: an SVG element, inserted as it is.
    """
    directory = f"reports/{run.batch}"
    run.corpus.write_json(f"{directory}/languages.json", languages)
    run.corpus.write_json(f"{directory}/funnel.json", {"funnel": funnel.rows(run.batch, counts)})
    run.corpus.write_text(f"{directory}/report.html", render(run, counts, languages, s_curve))


def render(run: Run, counts: Counts, languages: LanguageSummary, s_curve: str) -> str:
    """The page as HTML; arguments as in `write`."""
    settings: dict[str, Any] = run.settings.model_dump(mode="json")
    settings.pop("cluster")
    settings["fetch"].pop("contact")
    names = ("webtext-pipeline", "trafilatura", "langdetect", "datasketch", "tiktoken", "pyarrow", "dask")
    deferred = [part.facts["deferred"] for part in run.sealed("fetched").parts if "deferred" in part.facts]
    environment = templates.environment("pipeline.report", autoescape=True, duration=duration)
    template = environment.get_template("batch.html")
    return template.render(
        batch=run.batch,
        corpus=run.corpus.id,
        bars=bars(counts),
        width=WIDTH,
        rows=funnel.rows(run.batch, counts),
        versions={name: version(name) for name in names},
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
        contamination=run.corpus.exists(f"reports/{run.batch}/contamination.html"),
        s_curve=s_curve,
        languages=languages,
        batch_time=run.settings.fetch.batch_time,
        deferred=DeferredHosts.merge(deferred),
        paragraph=foreign_paragraphs.MIN_CHARS,
        sure=foreign_paragraphs.MIN_PROBABILITY,
    )


def duration(seconds: float) -> str:
    """Seconds for people, in the unit that fits: "40 s", "12 min", "5.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def bars(counts: Counts) -> list[Bar]:
    """The funnel as bars, all on one scale: the stage that was given most has the full WIDTH."""
    largest = max((sum(reasons.values()) for reasons in counts.values()), default=0) or 1
    result = []
    for stage, reasons in counts.items():
        x = 0.0
        segments = []
        for row in funnel.rows("", {stage: {OK: 0, **reasons}}):
            width = WIDTH * row["count"] / largest
            segments.append((row["reason"], row["count"], x, width))
            x += width
        result.append(Bar(stage, sum(reasons.values()), reasons.get(OK, 0), segments))
    return result
