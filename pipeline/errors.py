"""Errors that are the user's to mend: one clear line, exit code 2, no traceback (see `pipeline.command`)."""


class UserError(Exception):
    """What is wrong, where, and how to mend it, in one line."""
