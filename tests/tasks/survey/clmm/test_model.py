"""What a fit must be whatever the data: invariances, other software, and plain words where there is no answer."""

from __future__ import annotations

import json
import math
import time
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from configs.errors import InputError
from tasks.survey.clmm import maximise
from tasks.survey.clmm.formula import clmm
from tasks.survey.clmm.laplace import State
from tasks.survey.clmm.maximise import Maximum
from tasks.survey.clmm.model import fit
from tasks.survey.clmm.result import Fit, to_json
from tasks.survey.intervals import Z95
from tests.tasks.survey.clmm.simulated import model, ratings

CROSSED = "rating ~ x0 + x1 + (1|rater) + (1|item)"
EXACT = 1e-9
"""Where two fits climb the same hill in the same steps, up to the order of sums."""
NEAR = 1e-4
"""Where they climb it in other steps: each ends within √1e-9 ≈ 3e-5 standard errors of its top."""


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return ratings(0)


@pytest.fixture(scope="module")
def found(table: pd.DataFrame) -> Fit:
    return clmm(CROSSED, table)


def same(one: Fit, other: Fit, within: float, beta: float = 1.0) -> bool:
    """Whether coefficients (times `beta`), their errors, deviations and log-likelihood agree, in standard errors."""
    errors = other.coefficients["std_error"]
    shift = (one.coefficients["estimate"] - beta * other.coefficients["estimate"]).abs() / errors
    ratio = (one.coefficients["std_error"] / errors - 1).abs()
    spread = (one.random_effects["sd"] - other.random_effects["sd"]).abs()
    return bool(
        max(shift.max(), spread.max(), 0) < within
        and ratio.max() < 10 * within
        and abs(one.log_likelihood - other.log_likelihood) < within
    )


# ---- what must not matter


@pytest.mark.parametrize("values", [(10, 20, 30, 40, 50), (-2, -1, 0, 1, 2), (0.1, 0.25, 3, 3.5, 1000)])
def test_only_the_order_of_categories_matters(table: pd.DataFrame, found: Fit, values: tuple[float, ...]) -> None:
    moved = clmm(CROSSED, table.assign(rating=[values[rating - 1] for rating in table["rating"]]))
    assert same(moved, found, EXACT)
    assert moved.thresholds.to_numpy() == pytest.approx(found.thresholds.to_numpy(), rel=1e-9)


def test_the_order_of_rows_does_not_matter(table: pd.DataFrame, found: Fit) -> None:
    shuffled = clmm(CROSSED, table.sample(frac=1, random_state=3))
    assert same(shuffled, found, 1e-7)
    # levels are named in order of appearance, so by name
    for group, modes in found.modes.items():
        assert shuffled.modes[group][modes.index].to_numpy() == pytest.approx(modes.to_numpy(), abs=1e-6)


def test_the_order_of_terms_and_groups_does_not_matter(table: pd.DataFrame, found: Fit) -> None:
    swapped = clmm("rating ~ (1|item) + x1 + (1|rater) + x0", table)
    assert list(swapped.coefficients.index) == ["x1", "x0"]
    assert list(swapped.random_effects.index) == ["item", "rater"]
    assert same(swapped, found, 1e-7)


def test_names_of_levels_do_not_matter(table: pd.DataFrame, found: Fit) -> None:
    renamed = table.assign(rater=table["rater"].str[1:].astype(int) * 7 - 3, item=table["item"] + "<script>")
    assert same(clmm(CROSSED, renamed), found, EXACT)


@pytest.mark.parametrize(("factor", "shift"), [(1000.0, 0.0), (1e-6, 0.0), (-2.0, 50.0), (1.0, 1e6)])
def test_rescaling_a_column_rescales_its_coefficient(
    table: pd.DataFrame, found: Fit, factor: float, shift: float
) -> None:
    scaled = clmm(CROSSED, table.assign(x0=table["x0"] * factor + shift))
    size = pd.Series({"x0": factor, "x1": 1.0})
    errors = found.coefficients["std_error"]
    # 1e6 + x keeps ten digits of x, which leaves 1e-9 or so of each sum
    assert ((scaled.coefficients["estimate"] * size - found.coefficients["estimate"]).abs() / errors).max() < 1e-6
    assert (scaled.coefficients["std_error"] * size.abs() / errors - 1).abs().max() < 1e-6
    assert scaled.coefficients["p"].to_numpy() == pytest.approx(found.coefficients["p"].to_numpy(), rel=1e-4)
    # a shift moves all thresholds by what the column's coefficient makes of it
    moved = found.thresholds["estimate"] + found.coefficients.loc["x0", "estimate"] * shift / factor
    assert scaled.thresholds["estimate"].to_numpy() == pytest.approx(moved.to_numpy(), rel=1e-6, abs=1e-6)
    assert scaled.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-7)


def test_reversing_the_scale_turns_the_signs(table: pd.DataFrame, found: Fit) -> None:
    turned = clmm(CROSSED, table.assign(rating=6 - table["rating"]))
    assert same(turned, found, NEAR, beta=-1)
    assert turned.thresholds["estimate"].to_numpy() == pytest.approx(
        -found.thresholds["estimate"].to_numpy()[::-1], abs=NEAR
    )
    for group, modes in found.modes.items():
        assert turned.modes[group].to_numpy() == pytest.approx(-modes.to_numpy(), abs=NEAR)


def test_the_reference_level_only_moves_the_zero() -> None:
    data = ratings(1).assign(tone=lambda rows: np.random.default_rng(0).choice(["mild", "neutral", "rude"], len(rows)))
    one, other = (clmm("rating ~ tone + (1|rater)", data, {"tone": level}) for level in ("mild", "rude"))
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    estimates, turned = one.coefficients["estimate"], other.coefficients["estimate"]
    assert turned["tone[mild]"] == pytest.approx(-estimates["tone[rude]"], abs=NEAR)
    assert turned["tone[neutral]"] == pytest.approx(estimates["tone[neutral]"] - estimates["tone[rude]"], abs=NEAR)
    # Var(neutral − rude) from the covariance of the first fit
    v = one.covariance
    variance = (
        v.loc["tone[neutral]", "tone[neutral]"] + v.loc["tone[rude]", "tone[rude]"]
        - 2 * v.loc["tone[neutral]", "tone[rude]"]
    )  # fmt: skip
    assert other.coefficients.loc["tone[neutral]", "std_error"] == pytest.approx(math.sqrt(variance), rel=1e-4)


def test_the_same_study_twice_halves_the_variances(table: pd.DataFrame, found: Fit) -> None:
    # As other raters and other items: log-likelihoods add, Laplace's included, so that the maximum stays.
    twin = table.assign(rater=table["rater"] + "'", item=table["item"] + "'")
    both = clmm(CROSSED, pd.concat([table, twin], ignore_index=True))
    assert both.log_likelihood == pytest.approx(2 * found.log_likelihood, abs=1e-6)
    assert both.random_effects["sd"].tolist() == pytest.approx(found.random_effects["sd"].tolist(), abs=NEAR)
    assert both.coefficients["estimate"].tolist() == pytest.approx(found.coefficients["estimate"].tolist(), abs=NEAR)
    halved = found.coefficients["std_error"] / math.sqrt(2)
    assert both.coefficients["std_error"].tolist() == pytest.approx(halved.tolist(), rel=1e-3)


def test_where_the_search_starts_does_not_matter(
    table: pd.DataFrame, found: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in (0.05, 5.0):
        monkeypatch.setattr(maximise, "START_SIGMA", start)
        assert same(clmm(CROSSED, table), found, NEAR)


# ---- other software, and the truth


@pytest.mark.parametrize("categories", [2, 3, 5])
def test_without_random_effects_it_is_the_ordered_logit_of_statsmodels(categories: int) -> None:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    data = ratings(4, n=300, theta=np.linspace(-1, 1.5, categories - 1))
    found = clmm("rating ~ x0 + x1", data)
    reference = OrderedModel(data["rating"], data[["x0", "x1"]], distr="logit")
    expected = reference.fit(method="bfgs", gtol=1e-7, maxiter=500, disp=False)
    assert found.log_likelihood == pytest.approx(expected.llf, abs=1e-7)
    assert found.coefficients["estimate"].tolist() == pytest.approx(expected.params[:2].tolist(), abs=1e-5)
    assert found.coefficients["std_error"].tolist() == pytest.approx(expected.bse[:2].tolist(), rel=1e-4)
    thresholds = reference.transform_threshold_params(expected.params.to_numpy())[1:-1]
    assert found.thresholds["estimate"].tolist() == pytest.approx(thresholds.tolist(), abs=1e-5)
    assert found.aic == pytest.approx(expected.aic, abs=1e-6)
    assert found.modes == {}


def test_two_categories_without_predictors_by_hand() -> None:
    # 30 of 40 ratings are 1: P(y ≤ 1) = 3/4, θ = log 3, its variance 1/(40 · 3/4 · 1/4) = 2/15.
    found = fit([1] * 30 + [2] * 10, pd.DataFrame(index=range(40)), {})
    assert found.thresholds.loc["1|2", "estimate"] == pytest.approx(math.log(3), abs=1e-8)
    assert found.thresholds.loc["1|2", "std_error"] == pytest.approx(math.sqrt(2 / 15), rel=1e-7)
    assert found.log_likelihood == pytest.approx(30 * math.log(3 / 4) + 10 * math.log(1 / 4), abs=1e-9)


@pytest.fixture(scope="module")
def middling() -> pd.DataFrame:
    return ratings(5, n=6000, raters=400, items=900, beta=(0.5, -0.7, 0.0, 0.3))


@pytest.fixture(scope="module")
def exact(middling: pd.DataFrame) -> Fit:
    return clmm("rating ~ x0 + x1 + x2 + x3 + (1|rater) + (1|item)", middling)


def test_the_truth_lies_within_four_standard_errors(exact: Fit) -> None:
    truth = pd.Series({"x0": 0.5, "x1": -0.7, "x2": 0.0, "x3": 0.3})
    assert exact.converged
    assert ((exact.coefficients["estimate"] - truth).abs() / exact.coefficients["std_error"]).max() < 4
    # 400 raters, 900 items of about 7 ratings: sampling errors near 1.2/√800 = 0.04 and a little more; Laplace's
    # approximation draws both down by a few hundredths at most
    assert exact.random_effects["sd"].tolist() == pytest.approx([1.2, 0.8], abs=0.15)


def test_random_probes_give_the_exact_fit_within_a_hundredth_of_a_standard_error(
    middling: pd.DataFrame, exact: Fit
) -> None:
    columns = [name for name in middling if name.startswith("x")]
    groups = {name: middling[name] for name in ("rater", "item")}
    probed = fit(middling["rating"].to_numpy(), middling[columns], groups, exact=False)
    assert probed.converged
    errors = exact.coefficients["std_error"]
    assert ((probed.coefficients["estimate"] - exact.coefficients["estimate"]).abs() / errors).max() < 0.01
    assert (probed.coefficients["std_error"] / errors - 1).abs().max() < 0.01
    shift = (probed.thresholds["estimate"] - exact.thresholds["estimate"]).abs() / exact.thresholds["std_error"]
    assert shift.max() < 0.01
    assert probed.random_effects["sd"].tolist() == pytest.approx(exact.random_effects["sd"].tolist(), abs=2e-3)
    assert abs(probed.log_likelihood - exact.log_likelihood) < 4 * probed.log_likelihood_error
    assert exact.log_likelihood_error == 0
    assert "many levels: log-determinants are estimated from random probes" in probed.notes


def test_nested_groups_are_fitted() -> None:
    # Items that one rater alone has: no two raters meet on an item.
    data = ratings(6, n=600, raters=12, items=1)
    data["item"] = data["rater"] + "-" + (data.groupby("rater").cumcount() % 10).astype(str)
    found = clmm("rating ~ x0 + (1|rater) + (1|item)", data)
    assert found.converged
    assert found.random_effects["n_levels"].to_dict() == {"rater": 12, "item": 120}
    without = clmm("rating ~ x0 + (1|rater)", data)
    assert found.log_likelihood >= without.log_likelihood - 1e-6


# ---- what a fit holds


def test_conditional_modes_maximise_the_joint_likelihood(table: pd.DataFrame, found: Fit) -> None:
    rater, item = found.modes["rater"], found.modes["item"]
    eta = table[["x0", "x1"]].to_numpy() @ found.coefficients["estimate"].to_numpy()
    eta = eta + rater[table["rater"]].to_numpy() + item[table["item"]].to_numpy()
    theta = found.thresholds["estimate"].to_numpy()
    y = table["rating"].to_numpy() - 1
    # ∂ log P/∂η = P(y ≤ j − 1) − (1 − P(y ≤ j)), and at the mode Σ of it over a level's rows is b/σ²
    slope = expit(np.append(-np.inf, theta)[y] - eta) - expit(eta - np.append(theta, np.inf)[y])
    for name, modes in (("rater", rater), ("item", item)):
        pull = pd.Series(slope).groupby(table[name].to_numpy()).sum()
        prior = modes / found.random_effects.loc[name, "sd"] ** 2
        assert pull[modes.index].to_numpy() == pytest.approx(prior.to_numpy(), abs=1e-7)
    # both sums are over all rows, and so the same
    sds = found.random_effects["sd"]
    assert rater.sum() / sds["rater"] ** 2 == pytest.approx(item.sum() / sds["item"] ** 2, abs=1e-6)


def test_modes_are_those_of_the_simulated_levels(table: pd.DataFrame, found: Fit) -> None:
    assert set(found.modes["rater"].index) == set(table["rater"])
    assert len(found.modes["item"]) == found.random_effects.loc["item", "n_levels"] == 40
    means = table.groupby("rater")["rating"].mean()
    assert np.corrcoef(found.modes["rater"][means.index], means)[0, 1] > 0.9


def test_wald_statistics_follow_from_estimates_and_errors(found: Fit) -> None:
    row = found.coefficients.loc["x0"]
    assert row["z"] == pytest.approx(row["estimate"] / row["std_error"])
    assert row["p"] == pytest.approx(math.erfc(abs(row["z"]) / math.sqrt(2)), rel=1e-9)
    assert row["odds_ratio"] == pytest.approx(math.exp(row["estimate"]))
    assert row["ci_low"] == pytest.approx(math.exp(row["estimate"] - Z95 * row["std_error"]))
    assert row["ci_high"] == pytest.approx(math.exp(row["estimate"] + Z95 * row["std_error"]))
    assert row["percent"] == pytest.approx(100 * (row["odds_ratio"] - 1))
    assert found.covariance.loc["x0", "x0"] == pytest.approx(row["std_error"] ** 2)
    assert found.covariance.loc["1|2", "1|2"] == pytest.approx(found.thresholds.loc["1|2", "std_error"] ** 2)


def test_counts_parameters_and_convergence_are_told(table: pd.DataFrame, found: Fit) -> None:
    assert found.n == sum(found.counts) == len(table)
    assert found.categories == ("1", "2", "3", "4", "5")
    assert found.counts == tuple(table["rating"].value_counts().sort_index())
    # four thresholds, two coefficients, two standard deviations
    assert found.n_parameters == 8
    assert found.aic == pytest.approx(2 * 8 - 2 * found.log_likelihood)
    assert found.converged
    assert 0 <= found.decrement < 1e-9
    assert 0 < found.steps < 20
    assert (found.notes, found.aliased, found.left_out) == ((), (), 0)


def test_the_dictionary_is_what_a_json_file_holds(found: Fit) -> None:
    held = found.as_dict()
    assert set(held) >= {"logLik", "converged", "thresholds", "coefficients", "random_effects", "n"}
    assert set(held["coefficients"]["x0"]) >= {"estimate", "std_error", "z", "p", "odds_ratio", "ci_low", "ci_high"}
    assert set(held["random_effects"]["rater"]) == {"sd", "n_levels"}
    assert held["thresholds"] == found.thresholds["estimate"].to_dict()
    assert held["converged"] is True
    assert isinstance(held["random_effects"]["rater"]["n_levels"], int)
    assert json.loads(to_json(found, data="x.csv")) == {"data": "x.csv", **held}


def test_the_summary_names_every_part(found: Fit) -> None:
    text = found.summary()
    lines = text.splitlines()
    for name in [*found.coefficients.index, *found.thresholds.index, *found.random_effects.index]:
        assert any(line.startswith(name) for line in lines), name
    assert f"{found.log_likelihood:.4f}" in text
    assert "Converged:      yes" in text
    assert str(found) == text


# ---- what can't be estimated


def separated(n: int = 120) -> pd.DataFrame:
    data = ratings(7, n=n, raters=10, items=15)
    return data.assign(high=(data["rating"] >= 4).astype(int))


@pytest.mark.parametrize("groups", ["", " + (1|rater)", " + (1|rater) + (1|item)"])
def test_separation_is_finite_and_told(groups: str) -> None:
    found = clmm(f"rating ~ high + x1{groups}", separated())
    assert np.isfinite(found.coefficients["estimate"]).all()
    assert found.coefficients.loc["high", "std_error"] > 100
    note = "separation: the data set no bound to high; its huge standard error is not a measurement"
    assert note in found.notes
    json.loads(to_json(found))


def test_a_model_that_tells_every_rating_is_no_measurement() -> None:
    data = separated().assign(rating=lambda rows: 1 + rows["high"])
    found = clmm("rating ~ high + (1|rater)", data)
    assert any(note.startswith("separation") for note in found.notes)
    json.loads(to_json(found))


@pytest.mark.parametrize(("seed", "start"), [(216, 2.5), (96, 5.0)])
def test_no_step_puts_thresholds_out_of_order(seed: int, start: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Separated, so that the log-likelihood is flat far out, and steps there are long.
    rng = np.random.default_rng(seed)
    groups = {"g": rng.integers(0, 12, 60), "h": rng.integers(0, 15, 60)}
    spread = rng.exponential(2, 12)[groups["g"]] * rng.normal(size=60)
    rating = np.round(spread + 0.2 * rng.logistic(size=60)).clip(0, 4)
    columns = pd.DataFrame({"x": (rating >= 2).astype(float), "z": (rating >= 3) * rng.random(60)})
    monkeypatch.setattr(maximise, "START_SIGMA", start)
    found = fit(rating, columns, groups)
    assert (np.diff(found.thresholds["estimate"]) > 0).all()
    # no worse than the shares of the categories alone
    assert found.log_likelihood > fit(rating, columns[[]], {}).log_likelihood
    assert any(note.startswith("separation") for note in found.notes)


@pytest.mark.parametrize("formula", ["rating ~ (1|rater)", "rating ~ x0 + (1|rater) + (1|item)"])
def test_ratings_that_are_constant_within_a_level_do_not_converge_and_end_soon(formula: str) -> None:
    data = ratings(8, n=300, raters=15, items=20)
    data["rating"] = 1 + data["rater"].str[1:].astype(int) % 4
    start = time.perf_counter()
    found = clmm(formula, data)
    assert time.perf_counter() - start < 5
    assert not found.converged
    assert found.random_effects.loc["rater", "sd"] > 50
    assert any(note.startswith("NOT CONVERGED") for note in found.notes)
    assert "the standard deviation of rater runs away: ratings hardly vary within its levels" in found.notes
    assert "Converged:      NO" in found.summary()
    assert json.loads(to_json(found))["converged"] is False


def test_a_deviation_that_runs_away_is_never_called_converged(table: pd.DataFrame) -> None:
    # far out the log-likelihood is flat, so that the decrement alone would call it a top
    made = model(table)
    psi = np.concatenate([[-1, 0, 1, 2], [0, 0], [1, 51]])
    state = State(made, psi, np.zeros(made.crossing.n_first), np.zeros(made.crossing.n_second))
    assert not Maximum(state, np.eye(8), decrement=0.0, steps=3).converged
    near = replace(state, psi=np.append(psi[:-1], 1.0))
    assert Maximum(near, np.eye(8), decrement=0.0, steps=3).converged
    assert not Maximum(near, np.eye(8), decrement=1e-8, steps=3).converged


def test_the_log_likelihood_may_bend_upwards_where_the_search_starts() -> None:
    # At σ = 1 its second derivative by σ is positive; the top is at σ = 0, where 5 of 8 are at most 1 and 7 at most 2:
    # θ = (log 5/3, log 7/1).
    levels = [2, 1, 2, 6, 4, 2, 4, 2]
    found = fit([1, 3, 2, 1, 1, 2, 1, 1], pd.DataFrame(index=range(8)), {"g": levels})
    assert found.converged
    assert found.random_effects.loc["g", "sd"] == 0
    assert found.thresholds["estimate"].tolist() == pytest.approx([math.log(5 / 3), math.log(7)], abs=1e-5)


def test_a_random_effect_without_variance_is_zero_and_told() -> None:
    # Dealt out in the order of the ratings, each of 20 groups gets the same share of every rating, give or take one:
    # less spread than chance gives.
    data = ratings(9, n=400, items=40, sd=(0.0, 1.0)).sort_values("rating", kind="stable")
    data["even"] = np.arange(len(data)) % 20
    found = clmm("rating ~ (1|item) + (1|even)", data)
    assert found.random_effects.loc["even", "sd"] == 0
    assert "singular: the standard deviation of even is zero" in found.notes
    assert found.random_effects.loc["item", "sd"] > 0.3
    without = clmm("rating ~ (1|item)", data)
    assert found.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-6)


def test_columns_that_others_add_up_to_are_dropped_and_named(table: pd.DataFrame, found: Fit) -> None:
    data = table.assign(total=2 * table["x0"] - 3 * table["x1"] + 7, again=table["x0"])
    fitted = clmm("rating ~ x0 + x1 + total + again + (1|rater) + (1|item)", data)
    assert fitted.aliased == ("total", "again")
    assert fitted.notes == ("dropped, since other columns add up to them: total, again",)
    assert list(fitted.coefficients.index) == ["x0", "x1"]
    assert same(fitted, found, EXACT)


def test_more_columns_than_rows_are_dropped_too() -> None:
    columns = pd.DataFrame(np.random.default_rng(0).normal(size=(10, 14)))
    found = fit([1, 2] * 5, columns, {})
    # ten rows tell nine columns from the constant
    assert len(found.coefficients) == 9
    assert found.aliased == ("9", "10", "11", "12", "13")


def test_columns_of_one_name_are_each_looked_at() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    both = pd.DataFrame(x[:, [0, 0, 1]], columns=["a", "a", "b"])
    found = fit(np.arange(60) % 3, both, {})
    assert list(found.coefficients.index) == ["a", "b"]
    assert found.coefficients["std_error"].max() < 1


def test_categories_that_nobody_chose_are_named() -> None:
    data = ratings(10)
    data["rating"] = data["rating"].replace({2: 1, 4: 5})
    found = clmm("rating ~ x0 + (1|rater)", data)
    assert found.categories == ("1", "3", "5")
    assert list(found.thresholds.index) == ["1|3", "3|5"]
    assert found.notes == ("no rating is 2, 4: the model has no such category",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ratings": [1, 2, math.nan, 1]}, "ratings, row 3: nan is not a finite number"),
        ({"ratings": [1, 2, 3, math.inf]}, "ratings, row 4: inf is not a finite number"),
        ({"ratings": [3, 3, 3, 3]}, "all 4 ratings are 3; the model needs at least two categories"),
        ({"ratings": []}, "there are no ratings; the model needs at least two categories"),
        ({"predictors": pd.DataFrame({"x": [0, 1, 2]})}, "predictors: 3 rows for 4 ratings"),
        ({"predictors": pd.DataFrame({"x": [0, 1, 2, math.inf]})}, "x, row 4: inf is not a finite number"),
        ({"groups": {"g": ["a", "a", "b"]}}, "(1|g): 3 labels for 4 ratings"),
        ({"groups": {"g": ["a", "a", None, "b"]}}, "(1|g), row 3: no label"),
        ({"groups": {"g": ["a"] * 4}}, "(1|g): one level only; a random effect needs at least two"),
        ({"groups": {"g": list("abcd")}}, "(1|g): 4 levels for 4 ratings; some level needs several ratings"),
        ({"groups": {"g": list("aabb"), "h": [2, 2, 1, 1]}}, "(1|g) and (1|h) group the ratings alike; keep one"),
        ({"groups": {name: list("aabb") for name in "ghi"}}, "random effects g, h, i: at most two groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_told_in_one_line(given: dict, message: str) -> None:
    whole = {"ratings": [1, 2, 1, 2], "predictors": pd.DataFrame(index=range(4)), "groups": {}} | given
    with pytest.raises(InputError) as error:
        fit(**whole)
    assert str(error.value) == message


# ---- any data


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_data_the_fit_ends_quietly_and_says_what_it_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, categories = int(rng.integers(6, 120)), int(rng.integers(2, 8))
    columns = {f"n{column}": rng.normal(size=n) * 10.0 ** rng.integers(-6, 7) for column in range(rng.integers(0, 3))}
    columns |= {f"b{column}": (rng.random(n) < rng.random()).astype(float) for column in range(rng.integers(0, 4))}
    groups = {name: rng.integers(0, rng.integers(2, max(3, n)), n) for name in "gh"[: rng.integers(0, 3)]}
    latent = sum(rng.exponential(2) * rng.normal(size=n)[codes] for codes in groups.values())
    noise = rng.logistic(size=n) * rng.choice([0.01, 1.0, 3.0])
    rating = np.round((latent + noise) * rng.exponential(1)).clip(0, categories)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = fit(rating, pd.DataFrame(columns, index=range(n)), groups)
        except InputError:  # constant ratings, as a rule
            return
    json.loads(to_json(found), parse_constant=partial(pytest.fail, "not JSON"))
    assert (np.diff(found.thresholds["estimate"]) > 0).all()
    assert found.log_likelihood <= 1e-9
    assert (found.random_effects["sd"] <= 50).all() or not found.converged
    assert found.converged or any(note.startswith("NOT CONVERGED") for note in found.notes)
    assert np.isfinite(found.coefficients["std_error"]).all() or "no standard errors" in " ".join(found.notes)
