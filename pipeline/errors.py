"""Errors that the user can mend: one clear line, an exit code, no traceback (see `pipeline.command`)."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["RunAgain", "UserError", "as_user_error", "one_line"]


class UserError(Exception):
    """What is wrong, where, and how to mend it, in one line."""

    exit_code = 2


class RunAgain(UserError):  # noqa: N818 - the request was right
    """Something outside went wrong that may be right later: what to give the same command again for."""

    exit_code = 3


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks; the name of its type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def as_user_error(
    what: str, errors: type[Exception] | tuple[type[Exception], ...] = (ValueError, OSError, ImportError)
) -> Iterator[None]:
    """Turns `errors` raised in the block into a UserError: `what`, a colon, the message of the error.

    errors: by default those that a local file or a wrong value raises. Give `Exception` around calls to
    fsspec, whose filesystems raise exceptions of the libraries behind them. A UserError passes unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except errors as error:
        raise UserError(f"{what}: {one_line(error)}") from error
