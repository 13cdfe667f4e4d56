"""Which hosts were cut."""

import pyarrow as pa

from pipeline.batch.deferred_hosts import LISTED, DeferredHosts
from pipeline.corpus.schemas import PAGES


def pages(outcomes: dict[str, tuple[str, int]]) -> pa.Table:
    rows = [
        {"final_url": f"http://{host}/{n}", "reason": reason}
        for host, (reason, count) in outcomes.items()
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=PAGES)


def test_queues_take_their_links_times_the_spacing() -> None:
    table = pages({"a.test": ("deferred", 3), "b.test:8080": ("deferred", 2), "c.test": ("ok", 9)})
    found = DeferredHosts.of(table, {"a.test": 1.0, "b.test": 30.0}.__getitem__)
    assert found == DeferredHosts(5, 2, [("b.test", 2, 60.0), ("a.test", 3, 3.0)])


def test_the_facts_of_partitions_are_bounded_and_add_up() -> None:
    """The longest of all are among the longest of each, as hosts are whole in a partition."""
    counts = [
        {f"h{part}-{n}.test": ("deferred", 1 + n * 7 % 50) for n in range(3 * LISTED)} for part in range(3)
    ]
    parts = [DeferredHosts.of(pages(of_one), lambda _: 2.0).facts() for of_one in counts]
    assert all(len(part["longest"]) == LISTED for part in parts)
    everything = {host: queue for of_one in counts for host, queue in of_one.items()}
    assert DeferredHosts.merge(parts) == DeferredHosts.of(pages(everything), lambda _: 2.0)
    assert DeferredHosts.merge([]) == DeferredHosts()
