"""The contamination report: what share of which benchmark is in a training set, with evidence.

`to_json` is what programs read; `pipeline.contamination.views` makes of the same data what people read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dedup.bloom.false_positives import Trial
from dedup.ngrams.evidence import Passage
from dedup.ngrams.shares import Overlap, Share

SCHEMA = 1
BINS = 11  # of histograms: nothing found, more than 0 % to 10 %, …, more than 90 % to 100 %


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
