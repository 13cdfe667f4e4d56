"""Prefetching: threads load row groups before they are needed; each is dropped after its last use."""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from shards.stream.sampling import Span

__all__ = ["Loaded", "Plan", "prefetch"]

Group = TypeVar("Group")


class Plan(NamedTuple):
    """What a step reads: the spans of each item, their row groups, and the position after the step."""

    items: list[list[Span]]
    groups: frozenset[int]
    done: int


class Loaded(NamedTuple, Generic[Group]):
    """A plan and its row groups in memory, by number."""

    plan: Plan
    groups: Mapping[int, Group]


def prefetch(
    plans: Iterable[Plan], load: Callable[[int], Group], *, items: int, threads: int
) -> Iterator[Loaded[Group]]:
    """Yields every plan with its row groups, while threads load those of the next `items` items.

    load: returns a row group by its number. What it raises is raised at the plan that needs the row group.
    A row group is dropped as soon as no plan within that distance needs it.
    """
    coming = iter(plans)
    queue: deque[Plan] = deque()
    users: Counter[int] = Counter()
    loading: dict[int, Future[Group]] = {}
    ahead = 0
    pool = ThreadPoolExecutor(threads, thread_name_prefix="shards")
    at_exit = sys.is_finalizing
    try:
        while True:
            while ahead < items and (plan := next(coming, None)) is not None:
                for group in plan.groups:
                    users[group] += 1
                    if group not in loading:
                        loading[group] = pool.submit(load, group)
                queue.append(plan)
                ahead += len(plan.items)
            if not queue:
                return
            plan = queue.popleft()
            ahead -= len(plan.items)
            yield Loaded(plan, {group: loading[group].result() for group in plan.groups})
            for group in plan.groups:
                users[group] -= 1
                if not users[group]:
                    del users[group], loading[group]
    finally:
        if not at_exit():  # at interpreter exit the threads have ended, and shutdown may fail
            pool.shutdown(wait=True, cancel_futures=True)
