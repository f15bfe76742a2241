"""Intervals that follow from what is printed."""

from __future__ import annotations

import math

import pytest

from tasks.meta_analysis.published import published_interval


def test_the_published_interval_follows_from_p() -> None:
    # two-sided p .002: z = 3.0902; 1.95996 x .035 / 3.0902 = .0222
    low, high, at_most = published_interval(-0.035, ".002")
    assert (low, high, at_most) == (pytest.approx(-0.0572, abs=1e-4), pytest.approx(-0.0128, abs=1e-4), False)
    assert published_interval(0.1, "0.05")[0] == pytest.approx(0, abs=1e-9)
    assert published_interval(-0.243, "< .001")[2]  # at most so wide


def test_an_estimate_printed_as_zero_has_no_interval() -> None:
    assert all(math.isnan(end) for end in published_interval(0.0, ".9")[:2])


@pytest.mark.parametrize("p", ["", "n.s.", "1.5", "0", "<"])
def test_without_a_p_there_is_no_published_interval(p: str) -> None:
    assert all(math.isnan(end) for end in published_interval(-0.2, p)[:2])
