"""The S-curve of a banding, and what is observed of it: planted pairs of real texts at known similarity.

Texts of a corpus are copied with some words replaced, so that their exact Jaccard similarity is known and
spreads over the whole range. Then it is observed which pairs become candidates, and which of these still
count as near-duplicates once their signatures are compared.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.minhash import lsh, signatures
from dedup.minhash.parameters import Parameters
from dedup.words import normalize

__all__ = ["BINS", "COLUMNS", "observe", "planted", "svg"]

BINS = 20  # of exact similarity
COLUMNS = ("pairs", "jaccard", "expected", "variance", "candidates", "verified")
_EDITS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2)  # shares of the words
_MIN_WORDS = 50  # words of a text worth a copy
_WIDTH, _HEIGHT, _MARGIN = 480, 300, 40  # of the picture


def planted(texts: Iterable[str], seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of a text and a copy of it with some words replaced, 8 per text; short texts are left out."""
    random = np.random.default_rng(seed)
    pairs = []
    for text in texts:
        words = normalize(text).split()
        for share in _EDITS if len(words) >= _MIN_WORDS else ():
            edited = list(words)
            for position in random.choice(len(words), max(1, round(share * len(words))), replace=False):
                edited[position] = f"edit{random.integers(10**9)}"
            pairs.append((" ".join(words), " ".join(edited)))
    return pairs


def observe(pairs: Sequence[tuple[str, str]], parameters: Parameters) -> NDArray[np.float64]:
    """What becomes of pairs of texts, in bins of exact similarity: shape (BINS, len(COLUMNS)), float64.

    Results of several calls may be added up.

    Columns: pairs; the sum of their exact Jaccard similarities; how many candidates the theory expects, and
    the variance of that number; candidates; those whose signatures agree enough.
    """
    sides = [list(side) for side in zip(*pairs, strict=True)] or [[], []]
    left, right = (
        signatures.minhash_signatures(
            side, num_perm=parameters.num_perm, seed=parameters.seed, shingle=parameters.shingle
        )
        for side in sides
    )
    sets = [pa.chunked_array([signatures.shingle_sets(side, shingle=parameters.shingle)]) for side in sides]
    exact = lsh.jaccard(*sets).astype(np.float64)
    bands, rows = parameters.banding
    agreed = (left == right)[:, : bands * rows].reshape(-1, bands, rows)
    candidate = agreed.all(axis=2).any(axis=1)
    verified = candidate & (lsh.similarity(left, right) >= parameters.threshold)
    theory = 1 - (1 - exact**rows) ** bands
    columns = (np.ones(len(exact)), exact, theory, theory * (1 - theory), candidate, verified)
    number = np.minimum((exact * BINS).astype(np.int64), BINS - 1)
    return np.stack([np.bincount(number, column, BINS) for column in columns], axis=1)


def svg(observed: NDArray[np.float64], parameters: Parameters) -> str:
    """The theoretical curve with the observed points, as an SVG element.

    Filled points: share of pairs that became candidates, with four standard errors of the theory around the
    curve; open ones: share that was verified.
    """
    bands, rows = parameters.banding

    def x(similarity: float) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * similarity, 1)

    def y(share: float) -> float:
        return round(_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * min(1.0, max(0.0, share)), 1)

    def text(at_x: float, at_y: float, content: str, anchor: str = "middle") -> str:
        return f'<text x="{at_x}" y="{at_y}" text-anchor="{anchor}">{content}</text>'

    curve = " ".join(
        f"{x(step / 100)},{y(lsh.candidate_probability(step / 100, bands, rows))}" for step in range(101)
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11" '
        f'font-family="sans-serif" role="img" aria-label="S-curve of {bands} bands of {rows} rows">',
        f'<rect x="{x(0)}" y="{y(1)}" width="{x(1) - x(0)}" height="{y(0) - y(1)}" '
        'fill="none" stroke="#999"/>',
        f'<line x1="{x(parameters.threshold)}" x2="{x(parameters.threshold)}" y1="{y(0)}" y2="{y(1)}" '
        'stroke="#999" stroke-dasharray="4"/>',
        f'<polyline points="{curve}" fill="none" stroke="#36c" stroke-width="2"/>',
        *(text(x(tick / 5), y(0) + 14, f"{tick / 5:.1f}") for tick in range(6)),
        *(text(x(0) - 6, y(tick / 5) + 4, f"{tick / 5:.1f}", "end") for tick in range(6)),
        text(_WIDTH / 2, _HEIGHT - 8, "exact Jaccard similarity of two documents"),
        text(
            _WIDTH / 2,
            _MARGIN - 12,
            f"share found: {bands} bands of {rows} rows, threshold {parameters.threshold}",
        ),
    ]
    for pairs, jaccard, expected, variance, candidates, verified in observed[observed[:, 0] > 0].tolist():
        at, error = x(jaccard / pairs), 4 * variance**0.5
        low, high = y((expected - error) / pairs), y((expected + error) / pairs)
        parts += [
            f'<line x1="{at}" x2="{at}" y1="{low}" y2="{high}" stroke="#36c" opacity="0.4"/>',
            f'<circle cx="{at}" cy="{y(candidates / pairs)}" r="3" fill="#c30">'
            f"<title>{candidates:.0f} of {pairs:.0f} pairs are candidates</title></circle>",
            f'<circle cx="{at}" cy="{y(verified / pairs)}" r="3" fill="none" stroke="#c30">'
            f"<title>{verified:.0f} of {pairs:.0f} pairs are verified</title></circle>",
        ]
    return "\n".join([*parts, "</svg>"])
