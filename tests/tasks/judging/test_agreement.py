"""A judge's agreement with human ratings, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tasks.judging.agreement import COLUMNS, agreement, agreement_table


def scores(*values: float) -> np.ndarray:
    return np.array(values)


def test_agreement_is_the_share_on_the_same_side_of_the_middle() -> None:
    # same side: 0.75/1, 0/0.25; the middle itself is not above it: 0.5/0.25 agree, 0.5/0.75 do not
    values = agreement(scores(0.75, 0.0, 0.5, 0.5), scores(1.0, 0.25, 0.25, 0.75), 5)
    assert values["n"] == 4
    assert values["agreement"] == 0.75
    # judge - human: (0.25 + 0.25 - 0.25 + 0.25) / 4
    assert values["mean_error"] == 0.125


def test_quadratic_kappa_by_hand() -> None:
    # Categories 0 to 2: pairs (0, 0), (0, 1), (1, 1), (2, 0). Observed Σ (i - j)² / n = (0 + 1 + 0 + 4) / 4 = 5/4.
    # Margins: human 1/2 1/4 1/4, judge 1/2 1/2 0. Expected Σ p_i q_j (i - j)²:
    #   0: 1/2 · 1/2 · 1 = 1/4; 1: 1/4 · 1/2 · 1 = 1/8; 2: 1/4 · (1/2 · 4 + 1/2 · 1) = 5/8; in all 1. κ = 1 - 5/4.
    values = agreement(scores(0, 0, 0.5, 1), scores(0, 0.5, 0.5, 0), 3)
    assert values["weighted_kappa"] == pytest.approx(-0.25)


def test_scores_are_rounded_to_the_nearest_category_a_half_up() -> None:
    # five categories, 0.25 apart: 0.12 → 0, 0.125 → 1, 0.375 → 2, as human 0, 0.25, 0.5
    assert agreement(scores(0, 0.25, 0.5), scores(0.12, 0.125, 0.375), 5)["weighted_kappa"] == 1


def test_rank_correlation_by_hand() -> None:
    # ranks 1 2 3 4 against 2 1 3 4: 1 - 6 · (1 + 1) / (4 · 15) = 0.8
    values = agreement(scores(0.1, 0.2, 0.3, 0.4), scores(0.5, 0.4, 0.6, 0.9), 5)
    assert values["spearman"] == pytest.approx(0.8)


def test_perfect_agreement_is_one_everywhere() -> None:
    values = agreement(scores(0, 0.5, 1), scores(0, 0.5, 1), 5)
    assert [values[name] for name in COLUMNS[3:]] == pytest.approx([1, 1, 1, 0])


def test_no_response_has_no_agreement() -> None:
    values = agreement(scores(), scores(), 5)
    assert values["n"] == 0
    assert all(math.isnan(values[name]) for name in COLUMNS[3:])


@pytest.mark.parametrize(
    ("human", "judge"), [(scores(0.5, 0.5), scores(0, 1)), (scores(0, 1), scores(0.5, 0.5)), (scores(1), scores(1))]
)
@pytest.mark.filterwarnings("error")
def test_without_variation_there_is_no_kappa_and_no_correlation(human: np.ndarray, judge: np.ndarray) -> None:
    values = agreement(human, judge, 5)
    assert math.isnan(values["weighted_kappa"])
    assert math.isnan(values["spearman"])
    assert not math.isnan(values["agreement"])


@pytest.mark.filterwarnings("ignore:.*only one label in common")
def test_scores_that_vary_within_one_category_have_no_kappa() -> None:
    values = agreement(scores(0.49, 0.51, 0.5), scores(0.5, 0.52, 0.48), 5)
    assert math.isnan(values["weighted_kappa"])
    assert not math.isnan(values["spearman"])


def test_the_table_has_a_row_a_dimension_and_stratum_on_the_responses_that_both_scored() -> None:
    judged = pd.DataFrame({"response_id": ["r1", "r2", "r3"], "x": [0.9, 0.1, 0.9], "y": [0.5, np.nan, 0.5]})
    everybody = pd.DataFrame({"response_id": ["r1", "r2", "r3"], "x": [1.0, 0.0, 0.0], "y": [1.0, 0.0, 0.0]})
    human = {"all": everybody, "few": everybody.iloc[1:], "nobody": everybody.iloc[:0]}
    table = agreement_table(judged, human, ["x", "y"], 5).set_index(["stratum", "dimension"])
    assert table["n"].to_dict() == {
        ("all", "x"): 3, ("all", "y"): 2, ("few", "x"): 2, ("few", "y"): 1, ("nobody", "x"): 0, ("nobody", "y"): 0,
    }  # fmt: skip
    assert table.loc[("all", "x"), "agreement"] == pytest.approx(2 / 3)
    assert table.loc[("few", "x"), "agreement"] == 0.5
    # y: 0.5 is not above the middle. r1: human above, judge not; r3: neither
    assert table.loc[("all", "y"), "agreement"] == 0.5
