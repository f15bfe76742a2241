"""Disagreement, co-occurrence, differences between groups and counts of participants, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tasks.ratings.reading.load import Data
from tasks.survey.describe import cooccurrence, disagreement, group_difference, participants_table


def ratings(*rows: tuple[str, str, int | None, int | None]) -> pd.DataFrame:
    """(participant, response, x, y)."""
    table = pd.DataFrame(rows, columns=["participant_id", "response_id", "x", "y"])
    return table.astype({"x": "Int64", "y": "Int64"})


RATINGS = ratings(
    ("p1", "r1", 4, 5), ("p2", "r1", 4, 1),
    ("p1", "r2", 5, 4), ("p2", "r2", 1, None), ("p3", "r2", 2, 2),
    ("p3", "r3", 3, 3),
    ("p1", "r4", 2, None), ("p3", "r4", None, 4),
)  # fmt: skip


def test_disagreement_is_the_share_of_responses_that_vary_among_those_rated_twice() -> None:
    # x: r1 4 4 agrees, r2 5 1 2 varies, r3 and r4 have one rating. y: r1 5 1 and r2 4 2 vary, r3 and r4 have one.
    table = disagreement(RATINGS, ["x", "y"])
    assert table.to_numpy().tolist() == [["x", 2, 0.5], ["y", 2, 1.0]]


def test_disagreement_is_unknown_where_nothing_is_rated_twice() -> None:
    row = disagreement(ratings(("p1", "r1", 3, 3), ("p1", "r2", 4, None)), ["x"]).loc[0]
    assert row["n_responses"] == 0
    assert math.isnan(row["disagreement"])


def test_cooccurrence_is_the_share_positive_on_the_column_of_those_positive_on_the_row() -> None:
    table = cooccurrence(RATINGS, ["x", "y"], positive_from=4).set_index(["row", "column"])
    # x ≥ 4: (4, 5), (4, 1), (5, 4): 2 of 3 have y ≥ 4. y ≥ 4: (4, 5), (5, 4), (-, 4): of the 2 with x both have x ≥ 4.
    assert table.loc[("x", "y")].tolist() == [pytest.approx(2 / 3), 3]
    assert table.loc[("y", "x")].tolist() == [1.0, 2]
    assert table.loc[("x", "x")].tolist() == [1.0, 3]
    assert table.loc[("y", "y")].tolist() == [1.0, 3]


def test_cooccurrence_with_what_nobody_rates_positively_is_unknown() -> None:
    table = cooccurrence(RATINGS, ["x", "y"], positive_from=6)
    assert table["n"].tolist() == [0] * 4
    assert table["probability"].isna().all()


def test_a_difference_of_groups_is_one_of_participants_means_on_zero_to_one() -> None:
    # p1: 1 and 3, mean 2, on [0, 1] (2 - 1) / 4 = 0.25; p2: 5, 1.0; p3: 1, 0.0; p4: 2, 0.25
    rows = [("p1", 1), ("p1", 3), ("p2", 5), ("p3", 1), ("p4", 2)]
    table = ratings(*((who, f"r{number}", x, None) for number, (who, x) in enumerate(rows)))
    values = group_difference(table, {"p1", "p2"}, {"p3", "p4"}, "x", categories=5)
    assert (values["n_a"], values["n_b"]) == (2, 2)
    assert values["estimate"] == 0.625 - 0.125
    # variances 0.375² · 2 = 0.28125 and 0.125² · 2 = 0.03125; SE² = (0.28125 + 0.03125) / 2
    assert values["std_error"] == pytest.approx(math.sqrt(0.15625))
    # Welch: df = 0.15625² / (0.140625² + 0.015625²) = 1.2195, where t's 97.5% point is 8.394019
    assert values["ci_low"] == pytest.approx(0.5 - 8.394019 * math.sqrt(0.15625), abs=1e-6)
    assert values["ci_high"] == pytest.approx(0.5 + 8.394019 * math.sqrt(0.15625), abs=1e-6)


def test_a_group_of_one_has_no_difference() -> None:
    values = group_difference(RATINGS, {"p1", "p2"}, {"p3"}, "x", categories=5)
    assert (values["n_a"], values["n_b"]) == (2, 1)
    assert all(math.isnan(values[name]) for name in ("estimate", "std_error", "ci_low", "ci_high"))


@pytest.mark.parametrize("scores", [(3, 3), (2, 4)])
def test_groups_that_do_not_vary_have_a_difference_without_an_interval(
    scores: tuple[int, int], recwarn: pytest.WarningsRecorder
) -> None:
    rows = [(f"{side}{n}", "r1", score, 1) for side, score in zip("ab", scores, strict=True) for n in range(20)]
    sides = ({f"{side}{n}" for n in range(20)} for side in "ab")
    values = group_difference(ratings(*rows), *sides, "x", categories=5)
    assert values["estimate"] == (scores[0] - scores[1]) / 4
    assert all(math.isnan(values[name]) for name in ("std_error", "ci_low", "ci_high"))
    assert list(recwarn) == []


def test_one_group_that_does_not_vary_leaves_welchs_interval(recwarn: pytest.WarningsRecorder) -> None:
    rows = [("p1", "r", 3, 1), ("p2", "r", 3, 1), ("p3", "r", 1, 1), ("p4", "r", 5, 1)]
    values = group_difference(ratings(*rows), {"p1", "p2"}, {"p3", "p4"}, "x", categories=5)
    # variances 0 and 0.5; SE² = 0.25, df = 1, where t's 97.5% point is 12.706205
    assert values["ci_high"] == pytest.approx(0.5 * 12.706205, abs=1e-6)
    assert list(recwarn) == []


def test_people_who_rated_nothing_on_the_dimension_count_for_nothing() -> None:
    rows = [("p1", "r1", 1, 1), ("p2", "r1", 3, 1), ("p3", "r1", 2, 1), ("p4", "r1", 4, 1), ("p5", "r1", None, 1)]
    values = group_difference(ratings(*rows), {"p1", "p2", "p5"}, {"p3", "p4", "nobody"}, "x", categories=5)
    assert (values["n_a"], values["n_b"], values["estimate"]) == (2, 2, -0.25)


def test_participants_are_counted_by_what_they_declare() -> None:
    people = pd.DataFrame({"ethnicity": [("White",), ("White", "Asian"), (), ("Asian",)]})
    table = participants_table(people, {"ethnicity": None}).set_index("value")
    assert table["n"].to_dict() == {"White": 2, "Asian": 2, "not declared": 1}
    assert table["share"].to_dict() == {"White": 0.5, "Asian": 0.5, "not declared": 0.25}


def test_every_simulated_participant_is_in_every_attributes_counts_at_least_once(simulated: Data) -> None:
    table = participants_table(simulated.participants, {"gender": None, "ethnicity": None})
    sums = table.groupby("attribute")["n"].sum()
    assert sums["gender"] == len(simulated.participants)
    assert sums["ethnicity"] > len(simulated.participants)  # some declare two
    assert np.allclose(table["share"], table["n"] / 240)
