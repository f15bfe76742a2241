"""What the ordinal regression found, term by term, and how the report writes it."""

from __future__ import annotations

import math

from tasks.reporting.house.chapter import Results
from tasks.reporting.house.effects import SIGNIFICANT
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import MINUS, attribute_title, finite, interval, number
from tasks.survey.tables import OrdinalRegression

SEPARATED = 10.0
"""A log odds ratio or a standard error beyond this is no estimate: the raters who declare the value are too alike."""
HERE, PAPER, BOTH, OPPOSITE, NEITHER = "here only", "paper only", "both", "both, opposite", "neither"


def terms(results: Results) -> list[Row]:
    """The rows of the regression; adds `small` (few declare it), `predictor` and `verdict` (significant where)."""
    every = results.rows(OrdinalRegression)
    for row in every:
        row["small"] = row["n_participants"] < results.study.survey.min_participants
        name = f"{attribute_title(row['attribute'])}: {row['value']}" if row["value"] else row["term"]
        row["predictor"] = f"{name}{' †' if row['small'] else ''}"
        row["verdict"] = _verdict(row)
    return every


def _verdict(row: Row) -> str:
    here, there = significant(row), published(row)
    if here and there:
        return OPPOSITE if row["estimate"] * row["published"] < 0 else BOTH
    return HERE if here else PAPER if there else NEITHER


def significant(row: Row) -> bool:
    """Whether p is below .05; never without p."""
    return bool(row["p"] < SIGNIFICANT)


def published(row: Row) -> bool:
    """Whether the published term is significant: p below .05, `< .05`, or a change with stars or nothing for p."""
    text = row["published_p"].strip()
    try:
        return float(text.lstrip("<=≤ ")) < SIGNIFICANT + (1e-9 if text.startswith("<") else 0)
    except ValueError:
        return finite(row["published"]) and not text.strip("*")


def separated(row: Row) -> bool:
    """Whether there is an estimate in name only."""
    return bool(abs(row["estimate"]) > SEPARATED or row["std_error"] > SEPARATED)


def reference_values(models: list[Row]) -> dict[str, str]:
    """Attribute → the value that effects are against, where all models have the same; from `a: x; b: y`."""
    references = {row["reference"] for row in models}
    parts = next(iter(references)).split("; ") if len(references) == 1 else []
    return dict(part.split(": ", 1) for part in parts if ": " in part)


# ---- as they are to be read


def odds(value: float) -> str:
    """An odds ratio with two digits; `> 100` and `< 0.01` beyond, where digits say nothing."""
    if math.isnan(value):
        return number(value)
    return "> 100" if value > 100 else "< 0.01" if value < 0.01 else number(value, 2)


def odds_interval(row: Row) -> str:
    """`0.73 to 0.92`."""
    if math.isnan(row["ci_low"]) or math.isnan(row["ci_high"]):
        return interval(math.nan, math.nan)
    return f"{odds(row['ci_low'])} to {odds(row['ci_high'])}"


def change(value: float) -> str:
    """A change in the odds in percent, with its sign: `+27.9%`, `−18.0%`; `> +999%` beyond."""
    if value > 999:
        return "> +999%"
    return f"{'+' if value > 0 else ''}{number(value, 1)}%" if finite(value) else number(value)


def against(row: Row) -> str:
    """`18.0% lower`, of the odds."""
    size = change(row["percent"]).replace(MINUS, "").replace("+", "")
    return f"{size} {'higher' if row['percent'] > 0 else 'lower'}"
