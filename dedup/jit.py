"""Machine code by numba, and what happens where numba cannot be imported."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

__all__ = ["compiled", "has_numba"]

F = TypeVar("F", bound=Callable[..., object])


@cache
def has_numba() -> bool:
    """Whether numba can be imported. If not, warns once: callers then fall back to numpy and Python."""
    try:
        import numba  # noqa: F401
    except ImportError as error:
        warnings.warn(f"hashing words without numba, about 70 times slower: {error}", stacklevel=3)
        return False
    return True


def compiled(function: F) -> F:
    """Decorator: the function in machine code, without the GIL.

    The code is compiled once per machine and cached beside the source file, or in the user's cache directory
    if that cannot be written; where neither can, once per process. For modules that are imported only if
    `has_numba`.
    """
    import numba

    machine: Any
    try:
        machine = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable directory for the cache
        machine = numba.njit(nogil=True)(function)
    result: F = machine
    return result
