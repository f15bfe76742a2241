"""A function of a stage as Prefect shows it: in a flow run it is a run of its own, elsewhere a plain call.

Where no flow run is, Prefect is not even imported: that takes longer than many a stage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")
Function = Callable[Arguments, Value]


def in_flow_run() -> bool:
    """Whether a flow run of Prefect is under way here: in this thread, or in the one that it works for."""
    if "prefect.context" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def step(name: str, run_name: str | None = None) -> Callable[[Function[Arguments, Value]], Function[Arguments, Value]]:
    """In a flow run, a call is a task run: `name`, and `run_name` with the arguments in braces, as Prefect has them.

    Prefect keeps no result of it, since the store does.
    """

    def as_task(function: Callable[..., Any]) -> Callable[..., Any]:
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        return task(name=name, task_run_name=run_name, cache_policy=NO_CACHE)(function)

    return lambda function: _orchestrated(function, as_task)


def part(name: str) -> Callable[[Function[Arguments, Value]], Function[Arguments, Value]]:
    """In a flow run, a call is a flow run of this name below it."""

    def as_flow(function: Callable[..., Any]) -> Callable[..., Any]:
        from prefect import flow

        return flow(name=name, flow_run_name=name, validate_parameters=False)(function)

    return lambda function: _orchestrated(function, as_flow)


def _orchestrated(
    function: Function[Arguments, Value], by_prefect: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Function[Arguments, Value]:
    made = cache(lambda: by_prefect(function))

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        called: Function[Arguments, Value] = made() if in_flow_run() else function
        return called(*args, **kwargs)

    return call
