"""Time in tests: a clock for what goes by it, and patience with what must come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Found = TypeVar("Found")
PATIENCE = 300.0
"""Seconds until a test gives up on what must come. Where it comes, however busy the machine, none of them is lost."""


class Watch:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def until(found: Callable[[], Found], what: str, seconds: float = PATIENCE) -> Found:
    """What is found, once there is something; `what` it is, for the test that fails without it."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} seconds: {what}")
        time.sleep(0.1)
    return result
