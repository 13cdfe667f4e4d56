"""Settings: where they come from, in which order, and what is said about wrong ones."""

from pathlib import Path

import pytest
import yaml

from pipeline import configuration
from pipeline.configuration import DEFAULTS
from pipeline.errors import UserError
from pipeline.settings import Settings, fingerprint


def test_the_shipped_file_states_every_default() -> None:
    shipped = yaml.safe_load(DEFAULTS.read_text())["pipeline"]
    assert shipped == Settings().model_dump(mode="json")


def test_every_setting_is_explained_on_its_line_or_above() -> None:
    above, unexplained = "", []
    for line in DEFAULTS.read_text().partition("\npipeline:\n")[2].splitlines():
        if line.strip() and not line.endswith(":") and "#" not in line + above:
            unexplained.append(line.strip())
        above = line if line.strip().startswith("#") else ""
    assert unexplained == []


def test_command_line_over_environment_over_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("pipeline:\n  links: {min_karma: 10, karma_rule: sum, rows: 7}\n")
    monkeypatch.setenv("DASK_PIPELINE__LINKS__KARMA_RULE", "any")
    monkeypatch.setenv("DASK_PIPELINE__LINKS__ROWS", "8")
    links = configuration.load(file, ["links.rows=9"]).links
    assert (links.min_karma, links.karma_rule, links.rows, links.over_18) == (10, "any", 9, False)


def test_the_rest_of_the_file_is_in_force_for_dask(tmp_path: Path) -> None:
    import dask

    file = tmp_path / "mine.yaml"
    file.write_text("distributed:\n  scheduler:\n    allowed-failures: 17\n")
    before = dask.config.get("distributed.scheduler.allowed-failures", None)
    try:
        configuration.load(file)
        assert dask.config.get("distributed.scheduler.allowed-failures") == 17
        assert dask.config.get("distributed.worker.daemon") is False
    finally:
        dask.config.set({"distributed.scheduler.allowed-failures": before})


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("links.min_karm=3", "pipeline.links.min_karm"),
        ("link.min_karma=3", "pipeline.link"),
        ("links.min_karma=many", "pipeline.links.min_karma"),
        ("links.min_karma=3.5", "pipeline.links.min_karma"),
        ("links.karma_rule=median", "pipeline.links.karma_rule"),
        ("fetch.threads=0", "pipeline.fetch.threads"),
        ("fetch.deadline=-1", "pipeline.fetch.deadline"),
        ("links=3", "pipeline.links"),
        ("links.min_karma.more=3", "links.min_karma"),
        ("links.min_karma", "key=value"),
        ("links.min_karma=[", "YAML"),
        ("overlap.benchmarks=[{file: x}]", "pipeline.overlap.benchmarks.0"),
    ],
)
def test_a_wrong_setting_is_named(override: str, named: str) -> None:
    with pytest.raises(UserError, match=named.replace(".", r"\.").replace("[", r"\[")) as error:
        configuration.load(None, [override])
    assert "\n" not in str(error.value)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        configuration.load(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("pipeline: [")
    with pytest.raises(UserError, match="broken"):
        configuration.load(broken)
    for text, said in (
        ("pipeline: 3", "mapping"),
        ("pipeline: {links: 3}", "pipeline.links"),
        ("3", "dict"),
    ):
        broken.write_text(text)
        with pytest.raises(UserError, match=said):
            configuration.load(broken)


def test_an_empty_section_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("pipeline:\n  links:\n  fetch: {threads: 3}\n")
    assert configuration.load(file).fetch.threads == 3


def test_pace_is_not_identity() -> None:
    slow = configuration.load(None, ["fetch.spacing=5.0", "fetch.contact=a@example.org"]).fetch
    other = configuration.load(None, ["fetch.max_bytes=1000"]).fetch
    assert slow.identity() == Settings().fetch.identity()
    assert other.identity() != Settings().fetch.identity()


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1.5, "é"]}) == fingerprint({"b": [1.5, "é"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
