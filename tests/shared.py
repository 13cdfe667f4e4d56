"""The data that tests measure on: a sample that the project ships, and more that only its authors have."""

from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

SAMPLE = Path(__file__).parent / "data"  # its README.md names source and licence of each file
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"  # beside the checkout, if anywhere

# For what the sample cannot show. Better: a case that reads `SAMPLE`, and further ones by `private`.
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the private data is not beside the checkout")


def private(*cases: T) -> tuple[T, ...]:
    """Cases of a parametrized test that read `SHARED`: none where it is absent, and the sample's remain."""
    return cases if SHARED.is_dir() else ()
