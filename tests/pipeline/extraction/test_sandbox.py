"""Every way in which a child can fail, each through a real child process, with neighbours on both sides."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extraction.sandbox import Outcome, Sandbox
from tests.pipeline import poison

# A deadline is short only where something hangs: a busy machine may take its time for the rest.
LIMITS = {"deadline": 60.0, "memory_limit": 200 * 2**20, "recycle_after": 1000}
IMPATIENT = {**LIMITS, "deadline": 2.0}

REASONS = {
    "hang": "timeout",
    "spin": "timeout",
    "abort": "crash",
    "exit": "crash",
    "kill": "crash",
    "burst": "out_of_memory",
    "grow": "out_of_memory",
    "raise": "error",
    "recurse": "error",
    "nothing": "empty",
}
DETAILS = {"abort": "SIGABRT", "exit": "exit code 3", "kill": "SIGKILL", "raise": "KeyError: 'no such thing'"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox[str, str]]:
    with Sandbox(poison.obey, **LIMITS) as sandbox:
        yield sandbox


@pytest.mark.parametrize("command", REASONS)
def test_a_poisoned_item_has_its_outcome_and_its_neighbours_theirs(
    sandbox: Sandbox[str, str], command: str
) -> None:
    if REASONS[command] == "timeout":
        with Sandbox(poison.obey, **IMPATIENT) as impatient:
            before, poisoned, after = impatient.map(["a", command, "b"])
    else:
        before, poisoned, after = sandbox.map(["a", command, "b"])
    assert (before, after) == (Outcome("ok", "A"), Outcome("ok", "B"))
    assert poisoned.reason == REASONS[command]
    assert poisoned.value is None
    assert DETAILS.get(command, "") in (poisoned.detail or "")


def test_a_child_that_is_stopped_does_not_stop_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.extraction.sandbox.GRACE", 0.5)
    with Sandbox(poison.obey, **IMPATIENT) as sandbox:
        assert [outcome.reason for outcome in sandbox.map(["stop", "a"])] == ["timeout", "ok"]


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["a", "b", "raise", "nothing", "abort", "kill"]), max_size=12))
def test_outcomes_come_in_order(sandbox: Sandbox[str, str], commands: list[str]) -> None:
    found = [outcome.reason for outcome in sandbox.map(commands)]
    assert found == [REASONS.get(command, "ok") for command in commands]


def test_items_larger_than_the_pipe() -> None:
    with Sandbox(poison.size, **LIMITS) as sandbox:
        bodies = [b"x" * n for n in (0, 10, 20_000_000, 1_000_000)]
        assert [outcome.value for outcome in sandbox.map(bodies)] == [len(body) for body in bodies]


def test_items_are_taken_one_ahead(sandbox: Sandbox[str, str]) -> None:
    taken = []

    def items() -> Iterator[str]:
        for item in "abcdef":
            taken.append(item)
            yield item

    for done, _ in enumerate(sandbox.map(items()), start=1):
        assert len(taken) == min(done + 1, 6)


def test_a_map_left_early_leaves_nothing_behind(sandbox: Sandbox[str, str]) -> None:
    outcomes = sandbox.map(["a", "b", "c"])
    assert next(outcomes).value == "A"
    outcomes.close()
    assert sandbox.run("d").value == "D"


def test_children_are_replaced_by_age() -> None:
    with Sandbox(poison.obey, **{**LIMITS, "recycle_after": 2}) as sandbox:
        pids = [outcome.value for outcome in sandbox.map(["pid"] * 5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_children_are_replaced_when_they_have_grown(sandbox: Sandbox[str, str]) -> None:
    pids = [sandbox.run("pid"), sandbox.run("hoard"), sandbox.run("hoard"), sandbox.run("pid")]
    assert pids[0].value != pids[3].value


def test_a_child_that_died_idle_costs_nobody_anything(sandbox: Sandbox[str, str]) -> None:
    process = psutil.Process(int(sandbox.run("pid").value or 0))
    process.kill()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert sandbox.run("a") == Outcome("ok", "A")


def test_no_child_and_no_descriptor_is_left() -> None:
    me = psutil.Process()
    children, descriptors = {child.pid for child in me.children()}, me.num_fds()
    with Sandbox(poison.obey, **IMPATIENT) as sandbox:
        assert [outcome.reason for outcome in sandbox.map(["a", "abort", "hang", "b"])][1:3] == [
            "crash",
            "timeout",
        ]
    assert {child.pid for child in me.children()} <= children
    assert me.num_fds() <= descriptors


@pytest.mark.parametrize("busy", [False, True])
def test_a_child_ends_with_its_parent(tmp_path: Path, busy: bool) -> None:
    script = f"""
import sys, time
from pipeline.extraction.sandbox import Sandbox
from tests.pipeline import poison
sandbox = Sandbox(poison.obey, deadline=2.0, memory_limit=2**30, recycle_after=10)
print(sandbox.run("pid").value, flush=True)
if {busy}: sandbox.run("spin")
time.sleep(60)
"""
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.2)
        os.kill(parent.pid, signal.SIGKILL)
    child.wait()


def test_a_result_of_another_type_is_not_believed() -> None:
    with Sandbox(poison.lie, **LIMITS) as sandbox:
        outcome = sandbox.run("a")
    assert outcome.reason == "crash"
    assert "unreadable result" in (outcome.detail or "")


def test_a_function_that_a_child_cannot_have_is_refused() -> None:
    def inner(item: str) -> str | None:
        return item

    with pytest.raises(ValueError, match="cannot be imported"):
        Sandbox(inner, **LIMITS)


def test_a_child_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(poison.obey, **LIMITS) as sandbox:
        monkeypatch.setattr(poison.obey, "__module__", "tests.pipeline.absent")
        with pytest.raises(RuntimeError, match=r"could not start .*ModuleNotFoundError.*absent"):
            sandbox.run("a")
