"""How the loops of this package are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`numba.njit`: releases the GIL; cached on disk, so that workers do not compile again.

    The cache looks at the date of the function's own file only: what it calls must be in the same file.
    """
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # nowhere to write the cache
        return cast(Function, numba.njit(nogil=True)(function))


def reassociating(function: Function) -> Function:
    """`numba.njit`, free to add up in any order: for a loop that other compiled functions call."""
    return cast(Function, numba.njit(nogil=True, fastmath={"reassoc"})(function))
