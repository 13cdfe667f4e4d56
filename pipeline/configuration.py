"""Where settings come from: the key `pipeline` of Dask's configuration.

Precedence: the defaults in `pipeline.settings` < `dask_config.yaml` as shipped (the same values, explained) <
Dask's own configuration files < `--config FILE` < environment (`DASK_PIPELINE__FETCH__CONTACT=…`) < `--set
key=value`. An unknown or ill-typed key is a `UserError` that names it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.config
import yaml
from pydantic import ValidationError

from pipeline.errors import UserError, as_user_error
from pipeline.settings import Settings

__all__ = ["DEFAULTS", "KEY", "load", "origins"]

KEY = "pipeline"
DEFAULTS = Path(__file__).with_name("dask_config.yaml")


def load(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Reads the settings, and puts the other keys of the files, Dask's own, into force.

    config: a Dask configuration file. overrides: `key=value` strings, keys dotted, values YAML.
    Raises UserError for a missing or unreadable file, an unknown key, or a value of the wrong type.
    """
    paths = _paths(config)
    with as_user_error(str(config or "Dask configuration"), ValueError):
        collected = dask.config.collect(paths=paths)
        dask.config.update(dask.config.config, dask.config.collect(paths=[str(DEFAULTS), *paths]))
    values = _sections(collected)
    for override in overrides:
        _set(values, override)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UserError(_explain(error)) from error


def origins(config: Path | None = None, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Where each setting that is not left at its default was set last: `{"links.min_karma": "--set", …}`.

    Other values: the path of a file, `environment: DASK_PIPELINE__LINKS__MIN_KARMA`. The arguments are those
    of `load`, which says what is wrong with them.
    """
    found: dict[str, str] = {}
    for path, values in dask.config.collect_yaml(_paths(config), return_paths=True):
        found |= dict.fromkeys(_names(_sections(values)), str(path))
    for name in _names(_sections(dask.config.collect_env())):
        found[name] = "environment: " + f"DASK_{KEY}__{name.replace('.', '__')}".upper()
    given: dict[str, Any] = {}
    for override in overrides:
        _set(given, override)
    return found | dict.fromkeys(_names(given), "--set")


def _names(sections: dict[str, Any]) -> list[str]:
    return [f"{section}.{name}" for section, fields in sections.items() for name in fields]


def _paths(config: Path | None) -> list[str]:
    if config is not None and not config.is_file():
        raise UserError(f"{config}: no such file (--config)")
    return [*map(str, dask.config.paths), *([str(config)] if config else [])]


def _sections(configuration: dict[str, Any]) -> dict[str, Any]:
    """The groups of settings in a Dask configuration that have anything in them."""
    values = configuration.get(KEY) or {}
    if not isinstance(values, dict):
        raise UserError(f"'{KEY}' must be a mapping of settings, found {values!r}")
    return {name: section for name, section in values.items() if section is not None}


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {override}: expected key=value, as in --set links.min_karma=5")
    try:
        value = yaml.safe_load(text) if text else None
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML") from error
    *parents, last = key.strip().removeprefix(f"{KEY}.").split(".")
    section = values
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise UserError(f"--set {override}: '{parent}' is not a group of settings")
    section[last] = value


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors():
        name = ".".join([KEY, *map(str, item["loc"])])
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown setting {name}")
        elif "secret" in name or "client_id" in name:
            problems.append(f"{name}: {item['msg'].lower()} (quote it)")
        else:
            problems.append(f"{name}: {item['msg'].lower()}, found {item['input']!r}")
    return "; ".join(problems) + " (dask_config.yaml explains every setting)"
