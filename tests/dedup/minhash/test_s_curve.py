"""The observed rate of candidates follows the theory."""

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zstandard
from scipy.stats import binomtest

from dedup.minhash import s_curve
from dedup.minhash.parameters import Parameters
from tests import prose
from tests.shared import SHARED, private


def rows(name: str) -> list[dict[str, Any]]:
    with (SHARED / name).open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        return [json.loads(line) for line in lines]


def assert_on_the_curve(observed: np.ndarray[Any, Any]) -> None:
    """Within the central 99.9 % of the binomial distribution of each range's mean probability."""
    for pairs, _, expected, _, candidates, verified in observed[observed[:, 0] > 0].tolist():
        share = min(1.0, expected / pairs)
        assert binomtest(int(candidates), int(pairs), share).pvalue > 0.001, (pairs, expected, candidates)
        assert verified <= candidates


def texts() -> list[str]:
    return list(prose.texts().values())


def posts() -> list[str]:
    return [row["selftext"] for row in rows("text/selfposts.ndjson.zst")[:2000:5]]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8])
@pytest.mark.parametrize(("source", "at_least"), [(texts, 600), *private((posts, 2001))])
def test_copies_of_texts(source: Callable[[], list[str]], at_least: int, threshold: float) -> None:
    pairs = s_curve.planted(source())
    observed = s_curve.observe(pairs, Parameters(threshold))
    assert len(pairs) == observed[:, 0].sum() >= at_least
    assert (observed[4:, 0] > at_least / 100).sum() >= 12, "similarities spread over the range"
    assert_on_the_curve(observed)
    well_above = observed[int(s_curve.BINS * (threshold + 0.2)) :]
    assert well_above[:, 5].sum() >= 0.99 * well_above[:, 0].sum()


def spliced() -> list[tuple[str, str]]:
    """Each text beside one that goes on as it does for a while, and then as the next text."""
    words = [text.split() for text in texts()]
    return [
        (" ".join(one), " ".join([*one[: len(one) * tenths // 10], *other[len(one) * tenths // 10 :]]))
        for one, other in zip(words, [*words[1:], words[0]], strict=True)
        for tenths in range(1, 11)
    ]


def translated() -> list[tuple[str, str]]:
    """Two English translations of the same manual, exact similarities from 0 to 1 (LibreOffice's help)."""
    return [(row["a"], row["b"]) for row in rows("neardup/lo_enUS_enGB_pairs.ndjson.zst")]


@pytest.mark.parametrize(("source", "count"), [(spliced, 810), *private((translated, 2054))])
def test_whole_passages_in_common(source: Callable[[], list[tuple[str, str]]], count: int) -> None:
    pairs = source()
    observed = s_curve.observe(pairs, Parameters())
    assert observed[:, 0].sum() == len(pairs) == count
    assert_on_the_curve(observed)


def test_short_texts_have_no_copies() -> None:
    assert s_curve.planted(["too short"]) == []
    assert not s_curve.observe([], Parameters()).any()


def test_the_picture() -> None:
    text = " ".join(f"word{number}" for number in range(200))
    observed = s_curve.observe(s_curve.planted([text]), Parameters())
    root = ET.fromstring(s_curve.svg(observed, Parameters()))
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) == 2 * (observed[:, 0] > 0).sum() >= 10
