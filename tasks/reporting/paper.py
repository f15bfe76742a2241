"""Our pooled effects and ratios beside the published ones."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Study
from tasks.meta_analysis.published import published_interval
from tasks.reporting.tables import Row, Tables, pooled_rows, rows
from tasks.reporting.words import finite


@dataclass(frozen=True)
class Pair:
    """A pooled effect with a published value: the row, the experiment's title, and the published interval.

    The published interval is not printed in the paper; it follows from the printed p, where there is one. `at_most`:
    p is printed as below a limit, so that the interval is at most so wide.
    """

    row: Row
    experiment: str
    low: float
    high: float
    at_most: bool


def pairs(study: Study, tables: Tables) -> list[Pair]:
    """Every pooled effect that the paper prints a value of, in the order of the experiments.

    An experiment that extends another is not the paper's.
    """
    return [
        Pair(row, experiment.title, *published_interval(row["published"], row["published_p"]))
        for name, experiment in study.experiments.items()
        for row in pooled_rows(study, tables, name)
        if finite(row["published"], row["estimate"]) and not experiment.extends
    ]


def known_ratios(study: Study, tables: Tables) -> list[Row]:
    """Ratios that could be estimated, of experiments that extend no other."""
    own = {name for name, experiment in study.experiments.items() if not experiment.extends}
    return [row for row in rows(tables, "ratios") if finite(row["ratio"]) and row["experiment"] in own]
