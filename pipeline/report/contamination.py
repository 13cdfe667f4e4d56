"""The contamination report: what share of which benchmark is in a training set, with evidence.

`to_json` is what programs read, `to_html` one self-contained page, `to_markdown` its tables, made of the same
data. The texts come from strangers' pages: everything is escaped, the page may load nothing, and run only the
script that sorts and filters its table, named by its hash.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import jinja2
import numpy as np
from markupsafe import Markup

from dedup.evidence import Passage
from dedup.overlap import Overlap, Share
from dedup.trials import Trial

SCHEMA = 1
BINS = 11  # of histograms: nothing found, more than 0 % to 10 %, …, more than 90 % to 100 %
# Not allowed in HTML, or able to turn the direction of what follows
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


@dataclass(frozen=True)
class Evidence:
    """A run of an example's n-grams that were found, and in which document, if that is known."""

    n_grams: int
    example: Passage
    document: Passage | None = None
    doc_id: str = ""
    url: str = ""


@dataclass(frozen=True)
class Text:
    """An example of a benchmark, with its n-grams found and where the longest of the passages are."""

    id: str
    found: Share
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True)
class BenchmarkResult:
    """One benchmark. histogram: its examples by the share of their n-grams found (see BINS).

    cdf: of its examples, how many percent have at most 0, 1, …, 100 percent of their n-grams found; both are
    of the corpus, or of the own training split where there is no corpus.

    own_train: overlap with the benchmark's own training split, corpus: with the training set; None if that
    was not asked for.
    """

    name: str
    source: str
    stream: bool
    fields: Sequence[str]
    unit: str
    n: int
    own_train: Overlap | None
    corpus: Overlap | None
    histogram: Sequence[int] = ()
    cdf: Sequence[float] = ()
    worst: Sequence[Text] = ()


@dataclass(frozen=True)
class FilterResult:
    """The Bloom filter of a training set, and how often it was wrong about n-grams that no text has.

    distinct: estimated number of n-grams in it. rate_expected: from the bits that are set. tried, found: of
    random n-grams that no text has; real_words: of random n-grams of the training set's words, None for a
    filter that an earlier version made.
    """

    path: str
    n_bits: int
    n_hashes: int
    distinct: int
    fill: float
    rate_asked: float
    rate_expected: float
    tried: int
    found: int
    real_words: Trial | None = None


@dataclass(frozen=True)
class Report:
    """All of a report. documents: of the training set (hits: those with any n-gram found).

    samples: texts that a model has made, and the held-out split beside them, measured as benchmarks are.

    method: how it was computed, as lines of (what, how), versions included, so that a number can be cited.
    """

    subject: str
    benchmarks: Sequence[BenchmarkResult]
    documents: Share | None = None
    filters: Sequence[FilterResult] = ()
    samples: Sequence[BenchmarkResult] = ()
    method: Mapping[str, str] = field(default_factory=dict)


def histogram(hits: Sequence[int], totals: Sequence[int]) -> list[int]:
    """How many texts fall into each bin; texts without n-grams into none."""
    counts = [0] * BINS
    for hit, total in zip(hits, totals, strict=True):
        if total:
            counts[-(-hit * (BINS - 1) // total)] += 1
    return counts


def cumulative(hits: Sequence[int], totals: Sequence[int]) -> list[float]:
    """`BenchmarkResult.cdf` of texts; of those without n-grams nothing. Empty without any."""
    percents = np.sort([-(-100 * hit // total) for hit, total in zip(hits, totals, strict=True) if total])
    if not len(percents):
        return []
    at_most = np.searchsorted(percents, np.arange(101), side="right")
    return [round(float(share), 4) for share in 100 * at_most / len(percents)]


def to_json(report: Report) -> dict[str, Any]:
    """The report as a JSON object: the fields of the classes above.

    Every share is {"hits", "total", "share"}, share from 0 to 1.
    """
    value: dict[str, Any] = _with_shares({"schema": SCHEMA, **asdict(report)})
    return value


def _with_shares(value: Any) -> Any:
    if isinstance(value, dict):
        value = {key: _with_shares(item) for key, item in value.items()}
        if value.keys() == {"hits", "total"}:
            value["share"] = Share(**value).share
    elif isinstance(value, list | tuple):
        value = [_with_shares(item) for item in value]
    return value


def to_html(report: Report) -> str:
    """The report as one HTML page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        number="{:,}".format,
        shown=_shown,
        link=_link,
        curve=_curve,
        table6=_table6,
        measured=measured,
    )
    script = resources.files("pipeline.report").joinpath("templates/contamination.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()  # the one that may run
    template = environment.get_template("contamination.html")
    return template.render(report=report, bins=_bins(), script=Markup(script), digest=digest)


def to_markdown(report: Report) -> str:
    """The tables of the report and how it was computed, as Markdown."""
    columns = ("own train", "own train, distinct", "training set", "training set, distinct", "examples")
    lines = [
        f"# Contamination: {_plain(report.subject)}",
        "",
        f"| benchmark | n-grams | {' | '.join(columns)} |",
        "|---|---|" + "---:|" * len(columns),
    ]
    for b in (*report.benchmarks, *report.samples):
        shares = " | ".join(
            f"{percent(s)} ({s.hits:,} of {s.total:,})" if s and s.total else "–" for s in _table6(b)
        )
        lines.append(f"| {_plain(b.name)} | {b.n} {b.unit} | {shares} |")
    if report.documents:
        hits, total = report.documents.hits, report.documents.total
        lines += ["", f"{hits:,} of {total:,} training documents have an n-gram in common with a benchmark."]
    for f in report.filters:
        lines += [
            "",
            f"Bloom filter {_plain(f.path)}: {f.n_bits:,} bits, {f.n_hashes} hashes, about {f.distinct:,} "
            f"distinct n-grams; false positive rate asked {f.rate_asked:.2g}, by its bits "
            f"{f.rate_expected:.2g}, measured: {measured(f)}.",
        ]
    lines += ["", *(f"- {_plain(what)}: {_plain(how)}" for what, how in report.method.items()), ""]
    return "\n".join(lines)


def measured(f: FilterResult) -> str:
    """How often a filter was wrong, for people."""
    parts = [f"{f.found:,} of {f.tried:,} random n-grams that no text has were found"]
    if f.real_words:
        words = f"{f.real_words.words:,} real words of one unit"
        if f.real_words.found is None:
            parts.append(f"random n-grams of {words} were not tried ({f.real_words.missing})")
        else:
            parts.append(f"{f.real_words.found:,} of {f.real_words.tried:,} random n-grams of {words}")
    return "; ".join(parts)


def _table6(b: BenchmarkResult) -> list[Share | None]:
    own, corpus = b.own_train, b.corpus
    return [
        *((own.occurrences, own.distinct) if own else (None, None)),
        *((corpus.occurrences, corpus.distinct, corpus.examples) if corpus else (None, None, None)),
    ]


def _curve(cdf: Sequence[float]) -> str:
    """A CDF as the points of a line in a box of 100 by 100."""
    return " ".join(f"{share},{100 - percentage:.4g}" for share, percentage in enumerate(cdf))


def _plain(text: str) -> str:
    """A stranger's text in Markdown: one line without markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", " ".join(_shown(text).split()))


def percent(share: Share | None) -> str:
    """A share for people: a dash where there is none."""
    if share is None or not share.total:
        return "–"
    return f"{share.share:.2%}" if not share.hits or share.share >= 5e-5 else "< 0.01%"


def _shown(text: str) -> str:
    return _UNSHOWABLE.sub("\ufffd", text)


def _link(url: str) -> str | None:
    """The URL, if a browser may be sent there: never to a javascript:, data: or file: one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def _bins() -> list[str]:
    return ["nothing", *(f"up to {10 * i}%" for i in range(1, BINS))]
