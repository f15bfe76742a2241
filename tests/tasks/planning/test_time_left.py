"""The time that is left, by costs: every number here is worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.planning.time_left import Part, TimeLeft
from tasks.runtime.progress import Report
from tests.watch import Watch


@pytest.fixture
def watch() -> Watch:
    return Watch()


def train(pairs: float, seconds: float | None = None, architecture: str = "small", parameters: float = 1e8) -> Part:
    return Part("steps", "dpo", architecture, pairs, parameters, seconds)


def answer(prompts: float, seconds: float | None = None, architecture: str = "small", parameters: float = 1e8) -> Part:
    return Part("answers", "answers", architecture, prompts, parameters, seconds)


def steps(done: float, total: float = 10) -> Report:
    return Report("train", done, total, "steps")


def answers(done: float, total: float = 20) -> Report:
    return Report("answer", done, total, "answers")


def test_nothing_is_known_before_the_plan_nor_where_nothing_of_the_kind_has_run(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    assert left.seconds() is None
    left.expect({"control": [answer(20)], "cell": [train(100), answer(20)]})
    assert left.seconds() is None
    control = left.listener("control")
    control(answers(0))
    watch.now = 38.0
    control(answers(20))
    left.over("control")
    # the control's 38 s say what 20 answers take, and nothing of training
    assert left.seconds() is None


def test_a_running_cells_own_steps_count_for_it_and_for_those_that_wait(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    left.expect({"control": [answer(20)], "first": [train(100), answer(20)], "second": [train(200), answer(20)]})
    control, first = left.listener("control"), left.listener("first")
    control(answers(0))
    watch.now = 38.0
    control(answers(20))
    left.over("control")
    first(Report("begin"))
    first(Report("reference log-probabilities", 0, 100, "responses"))
    watch.now = 138.0
    first(Report("reference log-probabilities", 50, 100, "responses"))
    assert left.seconds() is None
    watch.now = 238.0
    first(Report("reference log-probabilities", 100, 100, "responses"))
    first(steps(0))
    watch.now = 334.0
    first(steps(2))
    # 96 s for a fifth of 100 pairs: 384 s for the rest and 960 s for the 200 pairs of the other, 38 s for 20 answers
    # twice; the references were the base's, and the other needs none
    assert left.seconds() == pytest.approx(384 + 960 + 2 * 38)
    watch.now = 344.0
    assert left.seconds() == pytest.approx(374 + 960 + 2 * 38)


def test_the_plans_seconds_are_scaled_by_how_the_like_of_them_turned_out(watch: Watch) -> None:
    left = TimeLeft(lambda: 2, watch)
    left.expect({"a": [train(100, 50.0)], "b": [train(100, 30.0)], "c": [train(100, 40.0)], "d": [answer(20, 30.0)]})
    assert left.seconds() == 75.0  # 150 s over two slots
    first = left.listener("a")
    first(steps(0))
    watch.now = 100.0
    first(steps(10))
    left.over("a")
    # a took twice what was expected, so b and c will too; of answers nothing is known but the plan
    assert left.seconds() == (60 + 80 + 30) / 2
    left.over("b")
    left.over("d")
    # the longest cell ends last, however many slots are free
    assert left.seconds() == 80.0


def test_what_a_whole_part_took_has_its_loading_but_not_the_references(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    left.expect({"a": [train(100)], "b": [train(100)]})
    first = left.listener("a")
    first(Report("begin"))
    watch.now = 30.0
    first(Report("reference log-probabilities", 0, 8, "responses"))
    watch.now = 330.0
    first(Report("reference log-probabilities", 8, 8, "responses"))
    first(steps(0))
    watch.now = 430.0
    first(steps(10))
    assert left.seconds() == pytest.approx(30 + 100)


def test_waiting_for_a_slot_between_two_jobs_is_no_time_that_they_take(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    left.expect({"a": [train(100), answer(20)], "b": [answer(40)]})
    first = left.listener("a")
    watch.now = 500.0
    first(Report("begin"))
    watch.now = 510.0
    first(steps(0))
    watch.now = 600.0
    first(steps(10))
    first(Report(""))  # the job is done, and others have the slot
    watch.now = 900.0
    first(Report("begin"))
    watch.now = 905.0
    first(answers(0))
    watch.now = 920.0
    first(answers(20))
    left.over("a")
    assert left.seconds() == 40.0  # 20 s for 20 answers


def test_another_architectures_speed_is_taken_in_proportion_to_its_parameters(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    left.expect({"a": [train(100)], "b": [train(50, architecture="large", parameters=3e8)]})
    first = left.listener("a")
    first(steps(0))
    watch.now = 100.0
    first(steps(10))
    left.over("a")
    assert left.seconds() == pytest.approx(100 * 0.5 * 3)


def test_what_goes_beside_the_plan_counts_at_its_own_speed_until_it_is_over(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    left.expect({"a": [train(100, 60.0)]})
    base = left.listener("small · base")
    base(Report("pre-train", 0, 400, "steps"))
    watch.now = 10.0
    base(Report("pre-train", 100, 400, "steps"))
    assert left.seconds() == 60 + 30
    left.over("small · base")
    assert left.seconds() == 60


def test_a_run_that_cells_share_counts_once_whichever_does_it(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    shared = [replace(train(100, 60.0), key="run"), replace(answer(20, 5.0), key="answers")]
    left.expect({"a": shared, "b": shared, "c": [train(100, 60.0)]})
    assert left.seconds() == 60 + 5 + 60
    second = left.listener("b")
    second(steps(0))
    watch.now = 30.0
    second(steps(5))
    assert left.seconds() == 30 + 5 + 60
    watch.now = 60.0
    second(steps(10))
    second(answers(0))
    assert left.seconds() == 5 + 60
    left.over("b")
    assert left.seconds() == 60


def test_verdicts_go_one_after_another_beside_the_slots(watch: Watch) -> None:
    def verdicts(n: float) -> Part:
        return Part("verdicts", "verdicts", "", n, 1.0, on_slot=False)

    left = TimeLeft(lambda: 4, watch)
    left.expect({name: [answer(20, 2.0), verdicts(20)] for name in "abc"})
    assert left.seconds() is None
    first = left.listener("a")
    first(answers(0))
    watch.now = 2.0
    first(answers(20))
    first(Report("judge m", 0, 20, "verdicts"))
    watch.now = 12.0
    first(Report("judge m", 10, 20, "verdicts"))
    # 10 s for ten of them: 10 s for the rest of a, 20 s for each of the others
    assert left.seconds() == pytest.approx(10 + 20 + 20)


def test_a_run_that_begins_again_or_goes_on_from_a_checkpoint_goes_by_what_is_new(watch: Watch) -> None:
    left = TimeLeft(lambda: 1, watch)
    left.expect({"a": [train(100)]})
    cell = left.listener("a")
    cell(steps(6))
    watch.now = 20.0
    cell(steps(8))
    assert left.seconds() == pytest.approx(20.0)
    cell(steps(0))  # out of memory
    assert left.seconds() is None
    watch.now = 50.0
    cell(steps(3))
    assert left.seconds() == pytest.approx(70.0)
