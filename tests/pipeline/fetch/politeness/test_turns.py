"""Turns that the processes of a machine agree upon."""

import itertools
import json
import math
import multiprocessing
import os
import signal
import struct
import time
from collections import defaultdict
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.fetch.politeness import turns as module
from pipeline.fetch.politeness.turns import Limits, TurnTable

GAP, LIMIT = 0.02, 2


def test_turns_are_taken_together_and_never_too_early(turn_table: TurnTable) -> None:
    one = Limits(1.0, 1)
    assert turn_table.claim(10.0, {"a": one}) is None
    assert turn_table.claim(10.5, {"a": one}) == "a"  # too early
    assert turn_table.due("a") == 11.0
    assert turn_table.claim(11.0, {"a": one}) == "a"  # the request before is on its way
    turn_table.release({"a": 1.0}, 10.2)
    assert turn_table.due("a") == 11.2
    turn_table.delay("a", 11.1)  # earlier than known: ignored
    assert turn_table.claim(11.1, {"c": one, "a": one}) == "a"
    assert turn_table.due("c") == 0.0  # all or none
    assert turn_table.claim(11.2, {"c": one, "a": one}) is None


def test_as_many_at_a_time_as_the_limit_says(turn_table: TurnTable) -> None:
    three = {"a": Limits(0.0, 3)}
    assert [turn_table.claim(float(n), three) for n in range(4)] == [None, None, None, "a"]
    turn_table.release({"a": 0.0}, 0.0)
    assert turn_table.claim(5.0, three) is None


def test_the_spacing_of_others_is_kept_while_they_ask(tmp_path: Path) -> None:
    slow, quick = TurnTable(tmp_path / "table"), TurnTable(tmp_path / "table")
    assert slow.claim(100.0, {"a": Limits(5.0, 9)}) is None
    assert quick.claim(104.9, {"a": Limits(1.0, 9)}) == "a"
    assert quick.claim(105.0, {"a": Limits(1.0, 9)}) is None
    assert quick.due("a") == 110.0
    quick.release({"a": 1.0}, 105.5)
    assert quick.due("a") == 110.5
    late = 110.5 + module.GRACE
    assert quick.claim(late, {"a": Limits(1.0, 9)}) is None
    assert quick.due("a") == late + 1.0


def test_a_bucket_that_is_full_makes_wait_and_forgets_nobody(
    turn_table: TurnTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    spot = module._slot
    monkeypatch.setattr(module, "_slot", lambda name: spot(name)._replace(bucket=module._TABLE))
    now = time.monotonic()
    names = [f"h{n}" for n in range(16)]
    for pair in zip(names[::2], names[1::2], strict=True):
        assert turn_table.claim(now, dict.fromkeys(pair, Limits(60.0, 1))) is None
    assert turn_table.claim(now, {"one more": Limits(60.0, 1)}) == "one more"
    assert all(turn_table.due(name) == now + 60.0 for name in names)


def test_the_times_of_before_a_restart_of_the_machine_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "table"
    TurnTable(path).delay("a", 1e6)
    assert TurnTable(path).due("a") == 1e6
    with path.open("r+b") as file:
        (started,) = struct.unpack("=d", file.read(8))
        file.seek(0)
        file.write(struct.pack("=d", started - 3600))
    assert TurnTable(path).due("a") == 0.0


def test_what_is_not_the_users_own_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "table")
    with pytest.raises(UserError, match="link"):
        TurnTable(tmp_path / "link").due("a")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(UserError, match="another user"):
        TurnTable(tmp_path / "table").due("a")


def ask(path: Path, log: Path, seed: int, most: float) -> None:
    """Asks hosts that share an address, as often as it may, and writes down from when until when."""
    turn_table, turns = TurnTable(path), 0
    with log.open("w", buffering=1) as file:
        for n in itertools.count(seed):
            host, now = f"h{n % 5}", time.monotonic()
            if turn_table.claim(now, {host: Limits(GAP, 1), "address": Limits(0.0, LIMIT)}) is None:
                start = time.monotonic()
                time.sleep(0.002 * (n % 7))
                end = time.monotonic()
                file.write(json.dumps([host, start, end]) + "\n")
                turn_table.release({host: GAP, "address": 0.0}, end)
                turns += 1
                if turns == most:
                    return


def test_processes_agree_and_the_killed_give_back_what_they_had(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    logs = [tmp_path / f"{n}.log" for n in range(4)]
    turns = [math.inf, 60, 60, 60]
    workers = [
        context.Process(target=ask, args=(tmp_path / "table", log, seed, most))
        for seed, (log, most) in enumerate(zip(logs, turns, strict=True))
    ]
    for worker in workers:
        worker.start()
    while not all(log.exists() and log.stat().st_size for log in logs):
        time.sleep(0.01)
    assert workers[0].pid is not None
    os.kill(workers[0].pid, signal.SIGKILL)
    for worker in workers:
        worker.join()
    lines = [log.read_text().splitlines() for log in logs]
    del lines[0][-1]  # its turn may have been cut off before it was given back, and began the spacing itself
    asked = sorted(tuple(json.loads(line)) for each in lines for line in each if line.endswith("]"))
    by_host: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for host, start, end in asked:
        by_host[host].append((start, end))
    assert sorted(by_host) == [f"h{n}" for n in range(5)]
    for times in by_host.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(times)):
            assert start >= end + GAP
    changes = sorted(
        [(start, 1) for _, start, _ in asked] + [(end, -1) for _, _, end in asked], key=lambda each: each
    )
    most = max(itertools.accumulate(change for _, change in changes))
    assert most <= LIMIT
    assert [len(each) for each in lines[1:]] == turns[1:], "nobody starved"
