"""The models of R's ordinal::clmm on its own examples and on real ratings.

R stops its outer search at gradients that leave the coefficients off by some thousandths of a standard error (most on
soup, where it also took minutes), and its inner one at a gradient of 1e-4, which leaves about 1e-5 in the
log-likelihood. Hence the tolerances; where the two differ, ours is the higher log-likelihood or equal within them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.survey.clmm.formula import clmm, read_table
from tasks.survey.clmm.result import Fit


@dataclass(frozen=True)
class Case:
    file: str
    expected: str
    formula: str
    reference: dict[str, str]
    estimates: float = 1e-3
    """Of R's standard error."""
    errors: float = 1e-3
    """Of R's standard error, too."""


SOUP = {
    "PROD": "Ref", "DAY": "1", "SOUPTYPE": "Self-made", "SOUPFREQ": ">1/week", "COLD": "No", "EASY": "1",
    "GENDER": "Male", "AGEGROUP": "18-30", "LOCATION": "Region 1",
}  # fmt: skip
"""R's level orders are not alphabetical; these are the levels that its coefficients leave out."""
CASES = {
    "wine, judges": Case("wine.csv", "wine_clmm_judge.json", "rating ~ temp + contact + (1|judge)", {}),
    "wine, judges and bottles": Case(
        "wine.csv", "wine_clmm_judge_bottle.json", "rating ~ temp + contact + (1|judge) + (1|bottle)", {}
    ),
    "soup": Case(
        "soup.csv", "soup_clmm.json",
        "SURENESS ~ PROD + C(DAY) + SOUPTYPE + SOUPFREQ + COLD + C(EASY) + GENDER + AGEGROUP + LOCATION"
        " + (1|RESP) + (1|PRODID)",
        SOUP, 5e-3, 5e-3,
    ),
    "popquorn": Case(
        "popquorn_clmm.csv", "popquorn_clmm.json",
        "offensiveness ~ gender + race + age + education + (1|user_id) + (1|instance_id)",
        {"gender": "Man", "race": "White", "age": "18-29", "education": "HSorLess"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(", ", "-").replace(" ", "-"))
def case(request: pytest.FixtureRequest, shared_reference: Path) -> tuple[Case, Fit, dict[str, Any]]:
    found = CASES[request.param]
    fit = clmm(found.formula, read_table(shared_reference / found.file), found.reference)
    return found, fit, json.loads((shared_reference / found.expected).read_text())


def in_r(terms: pd.DataFrame) -> pd.DataFrame:
    """`gender[Woman]` → `genderWoman`."""
    return terms.set_axis([name.replace("[", "").replace("]", "") for name in terms.index])


def test_the_log_likelihood_is_at_least_that_of_r(case: tuple[Case, Fit, dict[str, Any]]) -> None:
    _, fit, expected = case
    assert fit.converged
    assert fit.log_likelihood >= expected["logLik"] - 1e-4
    assert fit.log_likelihood == pytest.approx(expected["logLik"], abs=1e-2)


@pytest.mark.parametrize(("part", "name"), [("coefficients", "beta"), ("thresholds", "alpha")])
def test_estimates_are_those_of_r(case: tuple[Case, Fit, dict[str, Any]], part: str, name: str) -> None:
    found, fit, expected = case
    estimates, truth = in_r(getattr(fit, part))["estimate"], pd.Series(expected[name])
    assert set(estimates.index) == set(truth.index)
    assert ((estimates - truth).abs() / pd.Series(expected["se"])[truth.index]).max() < found.estimates


@pytest.mark.parametrize("part", ["coefficients", "thresholds"])
def test_standard_errors_are_those_of_r(case: tuple[Case, Fit, dict[str, Any]], part: str) -> None:
    found, fit, expected = case
    errors = in_r(getattr(fit, part))["std_error"]
    assert (errors / pd.Series(expected["se"])[errors.index] - 1).abs().max() < found.errors


def test_standard_deviations_are_those_of_r(case: tuple[Case, Fit, dict[str, Any]]) -> None:
    _, fit, expected = case
    assert fit.random_effects["sd"].to_dict() == pytest.approx(expected["re_sd"], abs=1e-4)


def test_a_random_effect_on_its_boundary_is_zero_and_flagged(shared_reference: Path) -> None:
    # R ends at 4e-6 here; the bottles add nothing to the judges.
    wine = read_table(shared_reference / "wine.csv")
    fit = clmm("rating ~ temp + contact + (1|judge) + (1|bottle)", wine)
    assert fit.random_effects["sd"]["bottle"] == 0
    assert fit.notes == ("singular: the standard deviation of bottle is zero",)
    assert (fit.modes["bottle"] == 0).all()
    without = clmm("rating ~ temp + contact + (1|judge)", wine)
    assert fit.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-9)
    assert fit.coefficients["std_error"].tolist() == pytest.approx(without.coefficients["std_error"].tolist(), rel=1e-6)
    # the parameter on its boundary still counts, as in R: 4 thresholds, 2 coefficients, 2 standard deviations
    assert (fit.n_parameters, without.n_parameters) == (8, 7)
