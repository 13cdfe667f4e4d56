"""Where the real data lies that some tests measure on: beside the project, and on no user's machine."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real data set is not beside the checkout")
