"""Errors that are the user's to mend: one clear line, exit code 2, no traceback (see `pipeline.command`)."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What is wrong, where, and how to mend it, in one line."""


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turns what a file, or the address of one, can raise into a UserError that begins with `what`."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"{what}: {error}") from error
