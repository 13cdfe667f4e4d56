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

KEY = "pipeline"
DEFAULTS = Path(__file__).with_name("dask_config.yaml")


def load(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Reads the settings and puts the rest of the files (Dask's own keys) into force.

    config: a Dask configuration file. overrides: `key=value` strings, keys dotted, values YAML.
    Raises UserError for a missing or unreadable file, an unknown key, or a value of the wrong type.
    """
    if config is not None and not config.is_file():
        raise UserError(f"{config}: no such file (--config)")
    paths = [*map(str, dask.config.paths), *([str(config)] if config else [])]
    with as_user_error(str(config or "Dask configuration"), ValueError):
        collected = dask.config.collect(paths=paths)
        dask.config.update(dask.config.config, dask.config.collect(paths=[str(DEFAULTS), *paths]))
    values = collected.get(KEY) or {}
    if not isinstance(values, dict):
        raise UserError(f"'{KEY}' must be a mapping of settings, found {values!r}")
    values = {name: section for name, section in values.items() if section is not None}
    for override in overrides:
        _set(values, override)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UserError(_explain(error)) from error


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
