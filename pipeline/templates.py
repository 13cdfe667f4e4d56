"""The project's Jinja environment, for all reports and the pages of the demo."""

from collections.abc import Callable
from typing import Any

import jinja2

__all__ = ["environment"]


def environment(
    package: str, directory: str = "templates", *, autoescape: bool, **filters: Callable[..., Any]
) -> jinja2.Environment:
    """An environment for the templates in a directory of a package.

    A name that is not defined is an error, and a line with nothing but a block tag leaves no blank line.
    autoescape: escape what is inserted for HTML; a must for texts of strangers. filters: by name, beside
    `number`, which writes an integer with commas between thousands.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(package, directory),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(filters, number="{:,}".format)
    return made
