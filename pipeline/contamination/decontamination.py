"""The policies for documents that have too much in common with benchmarks (the setting `overlap.policy`).

report: nothing is done, as in the GPT-2 paper. drop: the documents are dropped, for the reason
`contaminated`. cut: the passages are cut out of their texts, and documents with no word left are dropped. Too
much is more than `max_share` of a document's n-grams, or more than `max_run` of them in a row.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.ngrams.benchmark_index import BenchmarkIndex
from dedup.ngrams.hashing import HashedNGrams
from dedup.ngrams.passages import remove_passages
from dedup.ngrams.results import ScanResult
from pipeline.corpus.schemas import OK
from pipeline.settings import Overlap

__all__ = ["CONTAMINATED", "Verdict", "decontaminate", "describe"]

CONTAMINATED = "contaminated"


@dataclass(frozen=True)
class Verdict:
    """What the policy decided about some documents.

    reasons: string, shape (documents,): `ok` or `contaminated`. cut_texts: large_string, shape (documents,):
    what is left of a text that was cut, null where nothing was.
    """

    reasons: pa.Array
    cut_texts: pa.Array

    @property
    def counts(self) -> dict[str, int]:
        """Documents by reason."""
        return {row["values"]: row["counts"] for row in self.reasons.value_counts().to_pylist()}

    def kept(self, rows: pa.Table) -> pa.Table:
        """The rows of documents that are not dropped, with what is left in the column `text`."""
        texts = pc.coalesce(self.cut_texts, rows["text"])
        rows = rows.set_column(rows.column_names.index("text"), "text", texts)
        return rows.filter(pc.equal(self.reasons, OK))


def decontaminate(
    texts: pa.ChunkedArray, grams: HashedNGrams, scan: ScanResult, index: BenchmarkIndex, settings: Overlap
) -> Verdict:
    """Applies the policy to scanned documents.

    texts: strings, shape (documents,), with their n-grams and what a scan of these found.
    """
    much = (scan.hits > settings.max_share * scan.n_grams) | (scan.longest_run > settings.max_run)
    reasons = np.full(len(texts), OK, dtype=object)
    cut: list[str | None] = [None] * len(texts)
    for i in np.flatnonzero(much & (scan.hits > 0) & (settings.policy != "report")).tolist():
        if settings.policy == "cut":
            hashes = grams.hashes[grams.offsets[i] : grams.offsets[i + 1]]
            cut[i] = remove_passages(texts[i].as_py(), _runs(index.lookup.find(hashes)[0]), index.ngrams)
        if not cut[i]:
            reasons[i] = CONTAMINATED
    return Verdict(pa.array(reasons, pa.string()), pa.array(cut, pa.large_string()))


def describe(settings: Overlap) -> str:
    """The policy in words: for people, and to tell apart what was made by different policies."""
    what = {
        "report": "report: no document was changed or dropped",
        "drop": "drop: documents with more than {share:.0%} of their n-grams, or more than {run} in a row, "
        "in benchmarks",
        "cut": "cut: the passages in common with benchmarks, out of documents with more than {share:.0%} of "
        "their n-grams, or more than {run} in a row, in benchmarks",
    }
    return what[settings.policy].format(share=settings.max_share, run=settings.max_run)


def _runs(positions: NDArray[np.int64]) -> list[tuple[int, int]]:
    begins = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
    lengths = np.diff(begins, append=len(positions))
    return list(zip(positions[begins].tolist(), lengths.tolist(), strict=True))
