"""The data of the contamination report: which share of each benchmark is in a training set, with evidence.

Programs read it as JSON (`to_json`), people as `pipeline.contamination.render` shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dedup.bloom.false_positives import FalsePositives
from dedup.ngrams.passages import Passage
from dedup.ngrams.results import BenchmarkOverlap, Share

__all__ = [
    "BINS",
    "BenchmarkResult",
    "Evidence",
    "FilterResult",
    "Report",
    "Text",
    "cumulative",
    "histogram",
    "to_json",
]

SCHEMA = 1  # version of the JSON
BINS = 11  # of histograms: nothing found, more than 0 % to 10 %, …, more than 90 % to 100 %


@dataclass(frozen=True)
class Evidence:
    """A run of an example's n-grams that were found.

    n_grams: length of the run. example: the passage of the example. document, doc_id, url: the passage of the
    training document and where it is, None and empty if that is not known.
    """

    n_grams: int
    example: Passage
    document: Passage | None = None
    doc_id: str = ""
    url: str = ""


@dataclass(frozen=True)
class Text:
    """An example of a benchmark: how many of its n-grams were found, and the longest runs of them."""

    id: str
    found: Share
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True)
class BenchmarkResult:
    """What was found of one benchmark.

    own_train: overlap with the benchmark's own training split. corpus: overlap with the training set. Either
    is None if it was not asked for.

    The rest is about the training set, or about the own training split where there is no training set.
    histogram: number of examples by the share of their n-grams found, shape (BINS,). cdf: percentage of
    examples of which at most 0, 1, …, 100 percent of the n-grams were found, shape (101,), or empty. worst:
    the examples of which most was found.
    """

    name: str
    source: str
    stream: bool
    fields: Sequence[str]
    unit: str
    n: int
    own_train: BenchmarkOverlap | None
    corpus: BenchmarkOverlap | None
    histogram: Sequence[int] = ()
    cdf: Sequence[float] = ()
    worst: Sequence[Text] = ()


@dataclass(frozen=True)
class FilterResult:
    """The Bloom filter of a training set, and how often it errs.

    path: its name in the corpus. distinct: estimated number of n-grams in it. fill: share of bits that are
    set. rate_asked: the false positive rate it was made for, at most; rate_expected: the rate by the bits
    that are set. found: how many of `tried` random n-grams that no text has it claims to contain. real_words:
    the same for random n-grams of words of the training set, None for a filter that an earlier version made.
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
    real_words: FalsePositives | None = None


@dataclass(frozen=True)
class Report:
    """A whole report.

    subject: its title. documents: of the training set, hits being those with an n-gram of a benchmark; None
    if not known. samples: texts that a model has made, and the held-out split, measured as benchmarks are.
    method: how it was computed, versions included, so that a number can be cited: topic -> text.
    """

    subject: str
    benchmarks: Sequence[BenchmarkResult]
    documents: Share | None = None
    filters: Sequence[FilterResult] = ()
    samples: Sequence[BenchmarkResult] = ()
    method: Mapping[str, str] = field(default_factory=dict)


def histogram(hits: Sequence[int], totals: Sequence[int]) -> list[int]:
    """`BenchmarkResult.histogram` of texts from the n-grams found and all n-grams of each.

    Texts without n-grams do not count.
    """
    counts = [0] * BINS
    for hit, total in zip(hits, totals, strict=True):
        if total:
            counts[-(-hit * (BINS - 1) // total)] += 1
    return counts


def cumulative(hits: Sequence[int], totals: Sequence[int]) -> list[float]:
    """`BenchmarkResult.cdf` of texts, arguments as in `histogram`; empty if no text has n-grams."""
    percents = np.sort([-(-100 * hit // total) for hit, total in zip(hits, totals, strict=True) if total])
    if not len(percents):
        return []
    at_most = np.searchsorted(percents, np.arange(101), side="right")
    return [round(float(share), 4) for share in 100 * at_most / len(percents)]


def to_json(report: Report) -> dict[str, Any]:
    """The report as a JSON object: the fields of the classes above, by name.

    Every Share is {"hits", "total", "share"}, the last from 0 to 1.
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
