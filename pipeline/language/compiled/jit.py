"""The numba decorators by which the loops of this package are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["jit", "jit_reassociating"]

Function = TypeVar("Function", bound=Callable[..., Any])


def jit(function: Function) -> Function:
    """`numba.njit` that releases the GIL and caches its code on disk, so that workers do not compile again.

    The cache notices changes of the function's own file only: what the function calls must be in the same
    file.
    """
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # nowhere to write the cache
        return cast(Function, numba.njit(nogil=True)(function))


def jit_reassociating(function: Function) -> Function:
    """`numba.njit` that may add floats in any order (vector instructions); for loops that others call."""
    return cast(Function, numba.njit(nogil=True, fastmath={"reassoc"})(function))
