"""Of several threads one works, and those that wait keep nobody from it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.fetch import one_at_a_time


def test_one_works_at_a_time() -> None:
    working: list[int] = []
    most = []

    def note(number: int) -> None:
        working.append(number)
        most.append(len(working))
        time.sleep(0)
        working.remove(number)

    def work(number: int) -> None:
        for _ in range(200):
            with one_at_a_time.working():
                note(number)
                with one_at_a_time.waiting():
                    time.sleep(0)
                note(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(most) == 1600
    assert set(most) == {1}


def test_who_waits_lets_others_work() -> None:
    came = threading.Event()

    def other() -> None:
        with one_at_a_time.working():
            came.set()

    thread = threading.Thread(target=other)
    with one_at_a_time.working():
        thread.start()
        assert not came.wait(0.2)
        with one_at_a_time.waiting():
            assert came.wait(10)
            with one_at_a_time.waiting():  # twice is once
                pass
    thread.join()


def test_it_is_given_back_whatever_happens() -> None:
    with pytest.raises(KeyError), one_at_a_time.working():
        raise KeyError
    with pytest.raises(KeyError), one_at_a_time.working(), one_at_a_time.waiting():
        raise KeyError
    with one_at_a_time.working(), one_at_a_time.waiting():
        pass
    with one_at_a_time.waiting():  # of nobody's
        pass
    assert not one_at_a_time._turn.locked()
