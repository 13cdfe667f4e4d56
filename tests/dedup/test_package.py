"""The public face of the package: light to import, and all there."""

import doctest
import pydoc
import subprocess
import sys

import pytest

import dedup
from dedup.minhash import in_memory

HEAVY = {"dask", "datasketch", "distributed", "numba", "pandas", "pyarrow", "scipy"}


def imported_by(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_none_of_the_heavy_libraries() -> None:
    assert not imported_by("import dedup") & HEAVY


def test_texts_in_memory_need_no_dask() -> None:
    assert not imported_by("from dedup import near_duplicates; near_duplicates(['a b', 'c'])") & {
        "dask",
        "distributed",
    }


def test_public_names() -> None:
    assert sorted(dedup.__all__) == dedup.__all__
    assert all(callable(getattr(dedup, name)) for name in dedup.__all__)
    assert set(dedup.__all__) <= set(dir(dedup))
    with pytest.raises(AttributeError, match="module 'dedup' has no attribute 'nothing'"):
        _ = dedup.nothing


def test_help_explains_each_of_them() -> None:
    page = pydoc.plain(pydoc.render_doc(dedup))
    for name in dedup.__all__:
        assert f"{name}(" in page or f"class {name}" in page, name


@pytest.mark.parametrize("module", [dedup, in_memory])
def test_examples_of_docstrings(module: object) -> None:
    failed, attempted = doctest.testmod(module)  # type: ignore[arg-type]
    assert attempted > 1
    assert not failed
