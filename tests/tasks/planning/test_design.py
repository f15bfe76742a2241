"""The laws of a planned study by hand, its power against statsmodels, and what more of anything may never do."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import ttest_power

from tasks.planning.design import Components, Design, Prediction, RaterShares, Term, fewest_raters, predict, total

REFERENCE = Design(raters=100, ratings_each=5, prompts=50, architectures=4, replicates=8, seeds=1)
NOTHING = Term.assumed(0.0)


def components(**terms: float) -> Components:
    """Terms by name, others zero; all of what raters bring is a rating's own unless `shares` says otherwise."""
    names = ("raters_shared", "raters_own", "prompts_shared", "prompts_own", "seeds", "architectures")
    values = {name: Term.assumed(terms.get(name, 0.0)) for name in names}
    return Components(REFERENCE, RaterShares(0.0, 1.0, 0.0), **values)


def variances(known: Components, **changes: int) -> tuple[float, float]:
    """Of the error that is stated, and of the scatter."""
    predicted = predict(known, replace(REFERENCE, **changes))
    return predicted.std_error.value**2, predicted.scatter.value**2


@pytest.mark.parametrize(
    ("term", "changes", "factor"),
    [
        ("raters_shared", {"raters": 200}, 1 / 2),
        ("raters_shared", {"ratings_each": 10}, 1 / 2),
        ("raters_shared", {"architectures": 8, "prompts": 100, "seeds": 2, "replicates": 16}, 1),
        ("prompts_shared", {"prompts": 100}, 1 / 2),
        ("prompts_shared", {"architectures": 8}, 1),
        ("prompts_own", {"prompts": 200}, 1 / 4 / 4),
        ("prompts_own", {"architectures": 8}, 1 / 8),
        ("seeds", {"seeds": 3}, 1 / 4 / 3),
        ("seeds", {"prompts": 200, "raters": 200}, 1 / 4),
        ("architectures", {"architectures": 12}, 1 / 12),
        ("architectures", {"raters": 200, "prompts": 100, "seeds": 4}, 1 / 4),
    ],
)
def test_each_term_scales_by_its_own_law(term, changes, factor):
    assert variances(components(**{term: 3e-4}), **changes) == pytest.approx((3e-4 * factor, 3e-4 * factor))


def test_pairs_ratings_and_raters_scale_apart():
    shares = RaterShares(pair=0.25, rating=0.5, rater=0.25)
    twice_raters, twice_each = (replace(REFERENCE, raters=200), replace(REFERENCE, ratings_each=10))
    assert shares.factor(REFERENCE, REFERENCE) == pytest.approx(1)
    assert shares.factor(twice_raters, REFERENCE) == pytest.approx(0.25 / 4 + 0.5 / 2 + 0.25 / 2)
    assert shares.factor(twice_each, REFERENCE) == pytest.approx(0.25 / 4 + 0.5 / 2 + 0.25)
    assert shares.factor(twice_each, REFERENCE, 3) == pytest.approx(3 * 0.25 / 4 + 0.5 / 2 + 0.25)


def test_what_is_stated_counts_the_pairs_that_architectures_share_three_times():
    known = replace(components(raters_shared=4e-4, raters_own=8e-4), shares=RaterShares(0.5, 0.5, 0.0))
    # replicates show 4e-4 * (3 * 0.5 + 0.5); the spread between architectures has 8e-4 / 4
    stated, scatter = variances(known)
    assert stated == pytest.approx(4e-4 * 2 + 2e-4)
    assert scatter == pytest.approx(6e-4)


def test_degrees_of_freedom_are_welchs_and_satterthwaites():
    known = components(raters_shared=4e-4, prompts_shared=1e-4, architectures=8e-4)
    by_hand = 7e-4**2 / (2e-4**2 / 3 + 4e-4**2 / 7 + 1e-4**2 / 49)
    predicted = predict(known, REFERENCE)
    assert predicted.df == pytest.approx(by_hand)
    assert predicted.half_width == pytest.approx(stats.t.ppf(0.975, by_hand) * math.sqrt(7e-4))


@pytest.mark.parametrize("effect", [0.0, 0.02, 0.05, 0.2])
@pytest.mark.parametrize("df", [2.5, 7.0, 40.0])
def test_power_is_that_of_a_t_test(effect, df):
    prediction = Prediction(Term.assumed(0.02), Term.assumed(0.02), df)
    expected = ttest_power(effect / 0.02 / math.sqrt(df + 1), nobs=df + 1, alpha=0.05, df=df)
    assert prediction.power(effect).value == pytest.approx(expected, abs=1e-9)
    assert prediction.power(-effect).value == pytest.approx(expected, abs=1e-9)


def test_power_knows_that_the_estimate_scatters_by_less_than_is_stated():
    prediction = Prediction(Term.assumed(0.02), Term.assumed(0.015), 9.0)
    rng = np.random.default_rng(0)
    estimates = rng.normal(0.05, 0.015, 400_000)
    errors = 0.02 * np.sqrt(rng.chisquare(9, len(estimates)) / 9)
    rejected = (np.abs(estimates) > stats.t.ppf(0.975, 9) * errors).mean()
    assert prediction.power(0.05).value == pytest.approx(rejected, abs=0.004)


def test_power_for_an_enormous_effect_is_one():
    assert Prediction(Term.assumed(1e-4), Term.assumed(1e-4), 3.0).power(0.9).value == pytest.approx(1)


COMPONENTS = st.builds(
    lambda terms, pair, rater: Components(
        REFERENCE, RaterShares(pair, (1 - pair) * (1 - rater), (1 - pair) * rater), *map(Term.assumed, terms)
    ),
    st.lists(st.floats(1e-6, 1e-2), min_size=6, max_size=6),
    st.floats(0, 1),
    st.floats(0, 1),
)
DESIGNS = st.builds(
    Design, *[st.integers(2, 2000)] * 3, st.integers(2, 30), replicates=st.integers(2, 64), seeds=st.integers(1, 5)
)


@settings(max_examples=200, deadline=None)
@given(COMPONENTS, DESIGNS, st.sampled_from(list(vars(REFERENCE))), st.integers(1, 50))
def test_more_of_anything_never_enlarges_an_error(known, design, name, more):
    before, after = predict(known, design), predict(known, replace(design, **{name: getattr(design, name) + more}))
    assert after.std_error.value <= before.std_error.value * (1 + 1e-12)
    assert after.scatter.value <= before.scatter.value * (1 + 1e-12)
    assert before.scatter.value <= before.std_error.value * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(1e-6, 1e-2), min_size=6, max_size=6), st.integers(2, 2000))
@example([1e-05, 0.001953125, 1e-06, 0.0078125, 0.0078125, 0.0078125], 28)
def test_with_seven_architectures_and_eight_replicates_more_raters_widen_the_interval_by_two_percent_at_most(
    terms, raters
):
    known = Components(REFERENCE, RaterShares(0.3, 0.6, 0.1), *map(Term.assumed, terms))
    design = replace(REFERENCE, architectures=7, raters=raters)
    widths = [predict(known, replace(design, raters=raters * times)).half_width for times in (1, 2, 4)]
    # the error only shrinks, but with less of it from raters there are fewer degrees of freedom: of 6,000 random
    # cases, 1 in 300 widened by more than 0.1%, and none by more than 1.2%
    assert all(after <= 1.02 * before for before, after in pairwise(widths))


# ---- ranges


def test_the_range_of_a_measured_variance_is_the_chi_squares():
    term = Term.measured(2.0, 7)
    assert term.low == pytest.approx(7 * 2 / 16.0128, rel=1e-4)  # the tables' quantiles of 7 degrees of freedom
    assert term.high == pytest.approx(7 * 2 / 1.68987, rel=1e-4)


def test_the_range_of_a_sum_is_movers():
    summed = total([Term(4.0, 1.0, 8.0), Term(9.0, 5.0, 12.0), Term.assumed(1.0)])
    assert summed == pytest.approx((14.0, 14.0 - 5.0, 14.0 + 5.0))  # √(3² + 4²) below, √(4² + 3²) above


def test_the_range_of_a_sum_of_measured_variances_holds_it_as_often_as_it_says():
    rng, truth, held = np.random.default_rng(1), (3.0, 1.0), 0
    for _ in range(2000):
        terms = [Term.measured(v * rng.chisquare(df) / df, df) for v, df in zip(truth, (7, 5), strict=True)]
        held += total(terms).low <= sum(truth) <= total(terms).high
    assert held / 2000 == pytest.approx(0.95, abs=0.02)


def test_nothing_that_is_assumed_has_a_range():
    predicted = predict(components(raters_shared=4e-4, architectures=8e-4), REFERENCE)
    assert predicted.std_error.low == predicted.std_error.value == predicted.std_error.high
    assert len(set(predicted.power(0.05))) == 1


# ---- how many raters


def test_the_fewest_raters_reach_the_power_and_one_less_does_not():
    known = components(raters_shared=9e-4, prompts_own=2e-4, architectures=2e-4)
    fewest = fewest_raters(known, REFERENCE, 0.05, 0.8)
    assert fewest is not None
    assert predict(known, replace(REFERENCE, raters=fewest)).power(0.05).value >= 0.8
    assert predict(known, replace(REFERENCE, raters=fewest - 1)).power(0.05).value < 0.8


def test_no_number_of_raters_outweighs_few_architectures():
    assert fewest_raters(components(raters_shared=1e-4, architectures=1e-2), REFERENCE, 0.02, 0.8) is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"raters": 1}, "raters: 1; at least 2"),
        ({"ratings_each": 0}, "ratings each: 0; at least 1"),
        ({"architectures": 1}, "architectures: 1; at least 2"),
        ({"seeds": 0}, "seeds: 0; at least 1"),
    ],
)
def test_a_number_too_small_for_any_error_is_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        replace(REFERENCE, **changes)
