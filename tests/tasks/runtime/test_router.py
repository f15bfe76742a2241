"""A free place takes what it has loaded; a base is loaded again only where that saves time."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from tasks.runtime.router import Router, Seconds, choose
from tasks.runtime.runner import JobFailed
from tests.watch import PATIENCE

LOAD, JOB = 0.06, 0.02


class Place:
    """Takes `LOAD` seconds for another base than the one it holds."""

    def __init__(self) -> None:
        self.base: str | None = None
        self.loaded: list[str] = []

    def claim(self) -> bool:
        return True

    def work(self, base: str) -> None:
        if self.loaded[-1:] != [base]:
            self.loaded.append(base)
            time.sleep(LOAD)
        time.sleep(JOB)


def places(n: int) -> list[Place]:
    return [Place() for _ in range(n)]


def run_all(router: Router, cells: Iterable[str], jobs_each: int) -> int:
    """Base loads of all cells, a thread each, of so many jobs one after another."""

    def cell(base: str) -> None:
        with router.near(base):
            for _ in range(jobs_each):
                with router.asking(), router.lease(base) as place:
                    place.work(base)
                time.sleep(0.002)  # what a cell does between training and answers

    threads = [threading.Thread(target=cell, args=(base,)) for base in cells]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(len(place.loaded) for place in router.places)


@pytest.mark.parametrize("jobs_each", [1, 2])
@pytest.mark.parametrize("order", ["by architecture", "shuffled"])
def test_40_cells_of_7_architectures_on_4_places_load_few_bases(order: str, jobs_each: int) -> None:
    cells = [f"base {number % 7}" for number in range(40)]
    cells.sort()
    if order == "shuffled":
        random.Random(0).shuffle(cells)
    assert 7 <= run_all(Router(places(4)), cells, jobs_each) <= 10


MEASURED = Seconds(warm=[1.0, 1.0], cold=[3.0])
"""A job takes one second, and loading a base two."""


@pytest.mark.parametrize(("own", "waiting", "held", "chosen"), [
    ("a", [], {"a": 1}, None),
    ("a", ["b", "a"], {"a": 1}, "a"),  # its own base
    ("a", ["b", None, "a"], {"a": 1}, None),  # index 1: what makes a base, on which others wait
    ("a", ["b", "c", "c"], {"a": 1}, "c"),  # held by nobody, most left
    (None, ["b", "b", "c"], {"b": 1}, "c"),  # the one that nobody holds, though it has fewer left
    (None, ["b", "b"], {"b": 1}, None),  # 2 jobs at 1 place, half through one: 2.5 s, no more than 3 s
    (None, ["b", "b", "b"], {"b": 1}, "b"),  # 3.5 s
    (None, ["b", "b", "b", "b"], {"b": 2}, None),  # two places there: 2.5 s
    (None, ["b", "b", "b", "c", "c", "c"], {"b": 2, "c": 1}, "c"),  # most left for each place
])  # fmt: skip
def test_what_a_free_place_chooses(own: str | None, waiting: list, held: dict[str, int], chosen: str | None) -> None:
    index = choose(own, False, waiting, Counter(held), MEASURED)
    if None in waiting:
        assert index == waiting.index(None)
    else:
        assert (None if index is None else waiting[index]) == chosen


def test_a_place_stays_for_the_next_job_of_a_cell_that_is_between_two() -> None:
    assert choose("a", True, ["b"], Counter(a=1), MEASURED) is None
    assert choose("a", True, ["b", "a"], Counter(a=1), MEASURED) == 1


def test_a_job_goes_to_the_place_that_holds_its_base() -> None:
    router = Router(places(2))
    with router.lease("one") as first, router.lease("two") as second:
        assert first is not second
    for _ in range(2):
        with router.lease("two") as again:
            assert again is second


def test_a_job_that_needs_no_base_leaves_the_place_s_own() -> None:
    router = Router(places(1))
    with router.lease("one"):
        pass
    with router.lease(None) as place:
        assert place.base == "one"


def test_a_place_that_is_another_study_s_is_taken_as_soon_as_it_is_free() -> None:
    class Shared(Place):
        free = False

        def claim(self) -> bool:
            return self.free

    place = Shared()
    threading.Timer(0.3, lambda: setattr(place, "free", True)).start()
    with Router([place]).lease("a") as given:
        assert given is place


def test_a_closed_router_gives_no_place_and_lets_go_of_who_waits() -> None:
    router, failed = Router(places(1)), threading.Event()

    def wait() -> None:
        with pytest.raises(JobFailed, match="the study was stopped"), router.lease("b"):
            pass
        failed.set()

    with router.lease("a"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        router.close()
        assert failed.wait(PATIENCE)
    waiting.join()
