"""The contamination report for people: one self-contained HTML page, Markdown, a table on the terminal.

The texts come from strangers' pages: everything is escaped. By its Content Security Policy the page may load
nothing, and run only its own script, which sorts and filters and is named by its hash.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from urllib.parse import urlsplit

from markupsafe import Markup
from rich.table import Table as Grid

from dedup.bloom.sizing import BLOCK
from dedup.ngrams.results import Share
from pipeline import templates
from pipeline.contamination.report import BINS, BenchmarkResult, FilterResult, Report, to_json

__all__ = ["files", "percent", "to_html", "to_markdown", "to_terminal"]

PACKAGE = "pipeline.contamination"
LABELS = {"own_train": "own train", "corpus": "training set"}
KINDS = ("occurrences", "distinct", "examples")
# Not allowed in HTML, or able to turn the direction of what follows
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def files(report: Report) -> dict[str, str]:
    """The files of a report: ending (json, html, md) -> content."""
    data = json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n"
    return {"json": data, "html": to_html(report), "md": to_markdown(report)}


def to_html(report: Report) -> str:
    """The report as one HTML page."""
    environment = templates.environment(
        PACKAGE, autoescape=True, percent=percent, shown=_shown, link=_link, curve=_curve, measured=_measured
    )
    script = resources.files(PACKAGE).joinpath("templates/contamination.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("contamination.html").render(
        report=report,
        groups=_groups(report),
        kinds=KINDS,
        block=BLOCK,
        shares=_shares,
        bins=_bins(),
        script=Markup(script),
        digest=digest,
    )


def to_markdown(report: Report) -> str:
    """The tables of the report and how it was computed, as Markdown."""
    shown = _groups(report)
    columns = [f"{LABELS[group]}, {kind}" for group in shown for kind in KINDS]
    lines = [
        f"# Contamination: {_plain(report.subject)}",
        "",
        f"| benchmark | n-grams | {' | '.join(columns)} |",
        "|---|---|" + "---:|" * len(columns),
    ]
    for b in (*report.benchmarks, *report.samples):
        cells = (
            f"{percent(s)} ({s.hits:,} of {s.total:,})" if s and s.total else "–" for s in _shares(b, shown)
        )
        lines.append(f"| {_plain(b.name)} | {b.n} {b.unit} | {' | '.join(cells)} |")
    if report.documents:
        hits, total = report.documents.hits, report.documents.total
        lines += ["", f"{hits:,} of {total:,} training documents have an n-gram in common with a benchmark."]
    for f in report.filters:
        lines += [
            "",
            f"Bloom filter {_plain(f.path)}: {f.n_bits:,} bits in blocks of {BLOCK}, of which an n-gram sets "
            f"{f.n_hashes}; about {f.distinct:,} distinct n-grams; false positive rate at most "
            f"{f.rate_asked:.2g} by design, {f.rate_expected:.2g} by the bits that are set; measured: "
            f"{_measured(f)}.",
        ]
    lines += ["", *(f"- {_plain(what)}: {_plain(how)}" for what, how in report.method.items()), ""]
    return "\n".join(lines)


def to_terminal(report: Report) -> Grid:
    """The shares as a table on the terminal. Of two training sets the first is shown without examples."""
    shown = _groups(report)
    grid = Grid(title=f"Overlap: {report.subject}", title_justify="left")
    grid.add_column("benchmark", overflow="fold")
    kinds = {group: KINDS if group == shown[-1] else KINDS[:2] for group in shown}
    for group in shown:
        for column in (LABELS[group], *kinds[group][1:]):
            grid.add_column(column, justify="right", no_wrap=True)
    for b in (*report.benchmarks, *report.samples):
        grid.add_row(
            b.name, *(percent(s) for group in shown for s in _shares(b, [group])[: len(kinds[group])])
        )
    return grid


def _groups(report: Report) -> list[str]:
    """The training sets that anything was compared with: keys of LABELS, fields of BenchmarkResult."""
    results = (*report.benchmarks, *report.samples)
    return [group for group in LABELS if any(getattr(b, group) for b in results)]


def _shares(b: BenchmarkResult, groups: Sequence[str]) -> list[Share | None]:
    """The shares of a benchmark found in training sets: for each set all KINDS; a stream has no examples."""

    def share(group: str, kind: str) -> Share | None:
        found: Share | None = getattr(getattr(b, group), kind, None)
        return None if b.stream and kind == "examples" else found

    return [share(group, kind) for group in groups for kind in KINDS]


def _measured(f: FilterResult) -> str:
    """How often a filter was wrong, in words."""
    parts = [f"{f.found:,} of {f.tried:,} random n-grams that are in no text were found"]
    if f.real_words:
        words = f"{f.real_words.words:,} real words of one unit"
        if f.real_words.found is None:
            parts.append(f"random n-grams of {words} were not tried ({f.real_words.missing})")
        else:
            parts.append(f"{f.real_words.found:,} of {f.real_words.tried:,} random n-grams of {words}")
    return "; ".join(parts)


def _curve(cdf: Sequence[float]) -> str:
    """A CDF as the points of an SVG polyline in a box of 100 by 100."""
    return " ".join(f"{share},{100 - percentage:.4g}" for share, percentage in enumerate(cdf))


def _plain(text: str) -> str:
    """A stranger's text for Markdown: one line, its markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", " ".join(_shown(text).split()))


def percent(share: Share | None) -> str:
    """A share in words: a dash for None, and for a share of nothing."""
    if share is None or not share.total:
        return "–"
    return f"{share.share:.2%}" if not share.hits or share.share >= 5e-5 else "< 0.01%"


def _shown(text: str) -> str:
    return _UNSHOWABLE.sub("\ufffd", text)


def _link(url: str) -> str | None:
    """The URL if it is safe as a link, else None: http and https are, javascript, data and file are not."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def _bins() -> list[str]:
    return ["nothing", *(f"up to {10 * i}%" for i in range(1, BINS))]
