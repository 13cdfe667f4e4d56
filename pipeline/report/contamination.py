"""The contamination report: what share of which benchmark is in a training set, with evidence.

`to_json` is what programs read, `to_html` one self-contained page without scripts, made of the same data. The
texts on it come from strangers' pages: everything is escaped, and the page may load nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jinja2

from dedup.evidence import Passage
from dedup.overlap import Overlap, Share

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
    worst: Sequence[Text] = ()


@dataclass(frozen=True)
class FilterResult:
    """The Bloom filter of a training set, and how often it was wrong about n-grams that no text has.

    distinct: estimated number of n-grams in it. rate_expected: from the bits that are set.
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


@dataclass(frozen=True)
class Report:
    """All of a report. documents: of the training set (hits: those with any n-gram found).

    method: how it was computed, as lines of (what, how), versions included, so that a number can be cited.
    """

    subject: str
    benchmarks: Sequence[BenchmarkResult]
    documents: Share | None = None
    filters: Sequence[FilterResult] = ()
    method: Mapping[str, str] = field(default_factory=dict)


def histogram(hits: Sequence[int], totals: Sequence[int]) -> list[int]:
    """How many texts fall into each bin; texts without n-grams into none."""
    counts = [0] * BINS
    for hit, total in zip(hits, totals, strict=True):
        if total:
            counts[-(-hit * (BINS - 1) // total)] += 1
    return counts


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
    environment.filters.update(percent=percent, number="{:,}".format, shown=_shown, link=_link)
    return environment.get_template("contamination.html").render(report=report, bins=_bins())


def percent(share: Share | None) -> str:
    """A share for people: a dash where there is none."""
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
