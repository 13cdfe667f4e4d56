import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shards.stream.sampling import EpochOrder, Sampler, permutation

SIZES = st.lists(st.integers(0, 30), max_size=12).map(lambda sizes: np.array(sizes, np.int64))


def orders() -> st.SearchStrategy[EpochOrder]:
    return st.builds(
        EpochOrder,
        SIZES,
        st.integers(1, 40),
        seed=st.integers(0, 2**40),
        epoch=st.integers(0, 5),
        interleave=st.integers(1, 9),
        shuffle=st.booleans(),
    )


@given(SIZES, st.integers(1, 40), st.integers(0, 9), st.integers(1, 9), st.booleans())
def test_every_unit_is_in_one_item(
    sizes: np.ndarray, length: int, seed: int, interleave: int, shuffle: bool
) -> None:
    order = EpochOrder(sizes, length, seed=seed, epoch=0, interleave=interleave, shuffle=shuffle)
    items = order.spans(np.arange(order.n_items))
    units = [(span.group, unit) for item in items for span in item for unit in range(span.start, span.stop)]
    assert sorted(units) == [(group, unit) for group, size in enumerate(sizes) for unit in range(size)]
    lengths = [sum(span.stop - span.start for span in item) for item in items]
    assert lengths[: order.n_whole] == [length] * order.n_whole
    assert lengths[order.n_whole :] == ([int(sizes.sum()) % length] if sizes.sum() % length else [])
    if not shuffle:
        assert units == sorted(units)


@given(orders(), st.data())
def test_every_position_is_read_once(order: EpochOrder, data: st.DataObject) -> None:
    """Over ranks, workers, batch sizes, drop_last; and going on with others where a step ended."""
    seen: list[int] = []
    position = 0
    for _ in range(data.draw(st.integers(1, 3))):
        world, workers, batch = (data.draw(st.integers(1, 5)) for _ in range(3))
        readers = [
            Sampler(rank, world, worker, workers) for rank in range(world) for worker in range(workers)
        ]
        steps = [step for sampler in readers for step in sampler.steps(order, position, batch, False)]
        stops = sorted({step.done for step in steps})
        if not stops:
            break
        stop = data.draw(st.sampled_from(stops))
        seen += [p for step in steps if step.done <= stop for p in step.positions.tolist()]
        position = stop
    seen += [p for step in Sampler().steps(order, position, 7, False) for p in step.positions.tolist()]
    assert sorted(seen) == list(range(order.n_items))


@given(orders(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
def test_drop_last_gives_every_rank_the_same_number_of_full_steps(
    order: EpochOrder, world: int, batch: int, workers: int
) -> None:
    for rank in range(world):
        samplers = [Sampler(rank, world, worker, workers) for worker in range(workers)]
        steps = [step for sampler in samplers for step in sampler.steps(order, 0, batch, True)]
        assert len(steps) == order.n_whole // (batch * world) == samplers[0].n_steps(order, batch, True)
        assert all(len(step.positions) == batch for step in steps)
        kept = [step for sampler in samplers for step in sampler.steps(order, 0, batch, False)]
        assert len(kept) == samplers[0].n_steps(order, batch, False)


@given(orders(), st.sampled_from([(1, 6), (2, 3), (3, 2), (6, 1)]), st.integers(1, 3))
def test_steps_of_a_job_depend_on_the_global_batch_alone(
    order: EpochOrder, split: tuple[int, int], workers: int
) -> None:
    world, batch = split
    samplers = [Sampler(rank, world, worker, workers) for rank in range(world) for worker in range(workers)]
    steps: dict[int, list[int]] = {}
    for sampler in samplers:
        for step in sampler.steps(order, 0, batch, False):
            steps.setdefault(step.done, []).extend(step.positions.tolist())
    alone = {step.done: step.positions.tolist() for step in Sampler().steps(order, 0, 6, False)}
    assert {done: sorted(positions) for done, positions in steps.items()} == alone


PINNED = [0, 7, 2, 5, 4, 6, 3, 1]
ORDER = [[(1, 0, 2)], [(2, 3, 4), (0, 0, 1)], [(1, 2, 3), (2, 0, 1)], [(0, 1, 3)], [(2, 1, 3)], [(0, 3, 5)]]


def test_permutations_are_pinned() -> None:
    """A state of one version must be good for the next."""
    assert permutation(8, 0, 0).tolist() == PINNED
    assert permutation(8, 0, 1).tolist() != PINNED
    assert permutation(8, 1, 0).tolist() != PINNED
    assert permutation(0, 1).tolist() == []
    order = EpochOrder(np.array([5, 3, 4]), 2, seed=7, epoch=1, interleave=2)
    assert order.spans(np.arange(6)) == ORDER


def test_permutations_are_even() -> None:
    drawn = np.array([permutation(6, seed) for seed in range(6000)])
    counts = np.array([np.bincount(drawn[:, column], minlength=6) for column in range(6)])
    assert abs(counts - 1000).max() < 150  # five standard deviations


def test_neighbours_come_from_different_row_groups() -> None:
    order = EpochOrder(np.full(64, 1000), 10, seed=0, epoch=0, interleave=16)
    items = order.spans(np.arange(order.n_whole))
    for start in range(0, len(items) - 16, 16):
        assert len({span.group for item in items[start : start + 16] for span in item}) >= 16


def test_a_rank_reads_its_own_row_groups() -> None:
    order = EpochOrder(np.full(64, 1000), 10, seed=0, epoch=0, interleave=16)
    groups = []
    for rank in range(4):
        positions = np.concatenate([step.positions for step in Sampler(rank, 4).steps(order, 0, 8, True)])
        groups.append({span.group for item in order.spans(positions) for span in item})
    assert sum(map(len, groups)) == 64
