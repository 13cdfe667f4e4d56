"""The compiled loops are ready before any test that Hypothesis holds to a deadline."""

import pytest

from dedup import minhash, words


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    minhash.sketch(["warm up"])
    words.text_hashes(["warm up"])
