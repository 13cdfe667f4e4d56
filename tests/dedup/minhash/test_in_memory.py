"""`dedup.near_duplicates`: a list in memory, one call."""

from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from dedup import near_duplicates
from tests import prose
from tests.shared import SHARED, private

TEXT = "the quick brown fox jumps over the lazy dog and then it sleeps all day in the warm sun " * 2


def test_the_first_stands_for_the_others() -> None:
    texts = ["", TEXT, "something else entirely", TEXT.upper(), TEXT + "again", ""]
    assert near_duplicates(texts).tolist() == [0, 1, 2, 1, 1, 5]
    assert near_duplicates(pa.array(texts)).tolist() == [0, 1, 2, 1, 1, 5]


def test_nothing_of_nothing() -> None:
    assert near_duplicates([]).tolist() == []


def test_a_threshold_must_be_a_similarity() -> None:
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates(["a"], threshold=1.5)


Labelled = tuple[dict[str, str], set[frozenset[str]]]  # text by name, pairs of names


def demo() -> Labelled:
    return prose.texts(), prose.copies()


def mccormick(size: int) -> Labelled:
    """Plagiarised articles, Jaccard > 0.95, among articles below 0.2 (Chris McCormick's MinHash tutorial)."""
    directory = SHARED / "neardup/mccormick"
    lines = (directory / f"articles_{size}.train").read_text(encoding="utf-8").splitlines()
    truth = (directory / f"articles_{size}.truth").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines), {frozenset(line.split()) for line in truth}


@pytest.mark.parametrize(
    ("source", "size"), [(demo, 81), *private(*((partial(mccormick, n), n) for n in (100, 1000, 2500)))]
)
def test_precision_and_recall_on_labelled_pairs(source: Callable[[], Labelled], size: int) -> None:
    labelled, expected = source()
    names, texts = list(labelled), list(labelled.values())
    keepers = near_duplicates(texts)
    found = {
        frozenset((names[a], names[b]))
        for keeper in np.unique(keepers)
        for a, b in combinations(np.flatnonzero(keepers == keeper), 2)
    }
    assert len(names) == size
    assert found == expected
