"""What a study prints of a pooled effect, as an interval to hold ours against."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from tasks.survey.intervals import Z95


class PublishedInterval(NamedTuple):
    """`at_most`: p is printed as below a limit, so that the interval is at most so wide."""

    low: float
    high: float
    at_most: bool


def published_interval(estimate: float | None, p: str) -> PublishedInterval:
    """estimate ± 1.96 |estimate| / z, z the normal quantile of the printed two-sided p; NaN without one of them.

    An estimate that is printed as zero tells no error, so it has no interval either.
    """
    from scipy.stats import norm

    match = re.fullmatch(r"\s*(<?)\s*(0?\.\d+)\s*", p)
    if not match or not estimate or not math.isfinite(estimate) or not 0 < float(match[2]) < 1:
        return PublishedInterval(math.nan, math.nan, False)
    reach = Z95 * abs(estimate) / float(norm.isf(float(match[2]) / 2))
    return PublishedInterval(estimate - reach, estimate + reach, bool(match[1]))
