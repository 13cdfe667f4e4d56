"""`webtext settings` (`python -m pipeline.show_settings`): every setting, its value, and where it was set."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline import command, configuration
from pipeline.settings import Settings

__all__ = ["main"]

DESCRIPTION = """\
Shows every setting with its value and where it was set: a file, the environment, --set, or nowhere (default).
dask_config.yaml explains each. Takes the same --config and --set as the other commands.
"""
EPILOG = """\
examples:
  webtext settings
  webtext settings fetch --set fetch.contact=you@example.org
  webtext settings --yaml > mine.yaml    # all of them, as a file for --config
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and prints the settings. Raises UserError."""
    parser = command.parser("settings", DESCRIPTION, EPILOG)
    sections = list(Settings.model_fields)
    parser.add_argument(
        "section", metavar="SECTION", nargs="?", choices=sections, help="only these: %(choices)s"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help='print one JSON object: {"links.min_karma": {"value", "origin"}}'
    )
    form.add_argument("--yaml", action="store_true", help="print a file that --config takes")
    command.add_settings(parser, scheduler=False)
    arguments = parser.parse_args(argv)
    settings = configuration.load(arguments.config, arguments.set)
    values = _values(settings, [arguments.section] if arguments.section else sections)
    if arguments.yaml:
        # Credentials are left out: a file that is passed on is no place for them.
        stored = settings.model_dump(mode="json", include=set(values))
        yaml.safe_dump({configuration.KEY: stored}, sys.stdout, sort_keys=False, allow_unicode=True)
        return
    origins = configuration.origins(arguments.config, arguments.set)
    rows = {
        f"{section}.{name}": {"value": value, "origin": origins.get(f"{section}.{name}", "default")}
        for section, fields in values.items()
        for name, value in fields.items()
    }
    if arguments.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    table = Table("setting", "value", "from", box=box.SIMPLE_HEAD)
    for name, row in rows.items():
        style = "" if row["origin"] == "default" else "bold"
        value = json.dumps(row["value"], ensure_ascii=False)
        table.add_row(name, value, str(row["origin"]), style=style)
    Console(highlight=False, markup=False).print(table)


def _values(settings: Settings, sections: Sequence[str]) -> dict[str, dict[str, Any]]:
    """All settings, ready for JSON; credentials as asterisks."""
    values: dict[str, dict[str, Any]] = settings.model_dump(mode="json", include=set(sections))
    for section, fields in values.items():
        group = getattr(settings, section)
        for name, field in type(group).model_fields.items():
            if field.exclude:
                fields[name] = None if getattr(group, name) is None else "**********"
    return values


if __name__ == "__main__":
    command.execute(main)
