"""A step and a part: runs of Prefect in a flow run, plain calls elsewhere."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tasks.runtime.step import in_flow_run, part, step

RUNS: list[Any] = []


@step("doubled", "doubled · {number}")
def double(number: int) -> int:
    """Twice a number."""
    RUNS.append(in_flow_run() and _task_run())
    return 2 * number


@part("halves")
def halve(number: int) -> int:
    RUNS.append(in_flow_run() and _flow_run())
    if number % 2:
        raise ValueError(f"{number} is odd")
    return double(number // 4)


def _task_run() -> Any:
    from prefect.context import TaskRunContext

    return TaskRunContext.get().task_run  # type: ignore[union-attr]


def _flow_run() -> Any:
    from prefect.context import FlowRunContext

    return FlowRunContext.get().flow_run  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def no_runs() -> None:
    RUNS.clear()


def test_outside_of_a_flow_run_they_are_plain_calls() -> None:
    assert (double(3), halve(8)) == (6, 4)
    assert RUNS == [False, False, False]
    with pytest.raises(ValueError, match="3 is odd"):
        halve(3)
    assert (double.__name__, double.__doc__) == ("double", "Twice a number.")


def test_outside_of_a_flow_run_prefect_is_not_imported() -> None:
    code = (
        "import sys; from tasks.runtime.step import part, step\n"
        "assert step('a step')(len)('abc') == part('a part')(len)('abc') == 3\n"
        "assert 'prefect' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_in_a_flow_run_they_are_runs_of_their_own_below_it(prefect: None) -> None:
    from prefect import flow

    @flow
    def study() -> tuple[str, int]:
        return str(_flow_run().id), halve(8)

    run, result = study()
    below, task = RUNS
    assert result == 4
    assert (below.name, task.name) == ("halves", "doubled · 2")
    assert below.parent_task_run_id is not None
    assert str(below.id) != run
    assert task.flow_run_id == below.id


def test_what_they_raise_comes_through_in_a_flow_run_too(prefect: None) -> None:
    from prefect import flow

    state = flow(lambda: halve(3), name="odd")(return_state=True)
    assert isinstance(state.result(raise_on_failure=False), ValueError)
