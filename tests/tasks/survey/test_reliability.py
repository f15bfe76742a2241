"""Krippendorff's α against a hand example, the reference package and real ratings."""

from __future__ import annotations

import json
import math
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest

from configs.load import load_codebook, load_study
from configs.schema import Level, Study
from tasks.ratings.reading.load import load_ratings
from tasks.ratings.study_data import StudyData
from tasks.survey.reliability import _drawn, alpha, coincidences, reliability, value_counts
from tasks.survey.step import _reliability
from tests.conftest import make_data


def long(matrix: np.ndarray) -> pd.DataFrame:
    """Raters × responses with NaN for gaps → one row a rating."""
    raters, responses = np.nonzero(~np.isnan(matrix))
    columns = {
        "participant_id": [f"p{rater}" for rater in raters],
        "response_id": [f"r{response}" for response in responses],
        "x": pd.array(matrix[raters, responses].astype(int), dtype="Int64"),
    }
    return pd.DataFrame(columns)


def with_gaps(seed: int, raters: int = 8, responses: int = 40, categories: int = 5) -> np.ndarray:
    """Ratings that agree somewhat, half of them missing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, categories + 1, responses)
    matrix = np.clip(truth + rng.integers(-1, 2, (raters, responses)), 1, categories).astype(float)
    return np.where(rng.random(matrix.shape) < 0.5, np.nan, matrix)


LEVELS: list[Level] = ["nominal", "ordinal", "interval"]


def point(ratings: pd.DataFrame, categories: int = 5, level: Level = "ordinal") -> float:
    return float(alpha(coincidences(value_counts(ratings, "x", categories)).sum(0), level))


def test_alpha_by_hand() -> None:
    # Two raters, three responses: (1, 1), (2, 2), (1, 2). Coincidences: o11 = 2, o22 = 2, o12 = o21 = 1; n1 = n2 = 3.
    # δ²(1, 2) = (3 + 3 - 6/2)² = 9. D_o ∝ 2 · 1 · 9 = 18, D_e ∝ 2 · 3 · 3 · 9 / (6 - 1) = 32.4; α = 1 - 18 / 32.4.
    ratings = long(np.array([[1.0, 2, 1], [1, 2, 2]]))
    assert coincidences(value_counts(ratings, "x", 2)).sum(0).tolist() == [[2, 1], [1, 2]]
    assert point(ratings, 2) == pytest.approx(4 / 9, abs=1e-15)


def test_alpha_of_the_other_levels_by_hand() -> None:
    # (1, 1), (3, 3), (1, 3), as above with δ² = 1 or 4, which cancels: D_o = 2, D_e = 2 · 3 · 3 / 5; α = 1 - 2 / 3.6.
    assert [point(long(np.array([[1.0, 3, 1], [1, 3, 3]])), 3, level) for level in LEVELS] == pytest.approx([4 / 9] * 3)
    # (1, 1), (2, 2), (1, 3): o11 = o22 = 2, o13 = o31 = 1; n = 3, 2, 1. D_e: ordered pairs of n with δ², over 5.
    # nominal: D_o = 2, D_e = 2 (6 + 3 + 2) / 5 = 4.4. interval: D_o = 2 · 4, D_e = 2 (6 · 1 + 3 · 4 + 2 · 1) / 5 = 8.
    ratings = long(np.array([[1.0, 2, 1], [1, 2, 3]]))
    assert point(ratings, 3, "nominal") == pytest.approx(1 - 2 / 4.4)
    assert point(ratings, 3, "interval") == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("categories", [2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_that_of_the_reference_package_on_ratings_with_gaps(seed: int, categories: int, level: Level) -> None:
    matrix = with_gaps(seed, categories=categories)
    expected = krippendorff.alpha(matrix, level_of_measurement=level, value_domain=range(1, categories + 1))
    assert point(long(matrix), categories, level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_of_popquorn_is_the_reference_value(shared_data: Path, shared_reference: Path, level: Level) -> None:
    ratings = load_ratings(["offensiveness"], [load_codebook("popquorn")], shared_data).ratings
    expected = json.loads((shared_reference / "krippendorff_popquorn.json").read_text())["alpha"][level]
    values = reliability(ratings, "offensiveness", 5, draws=100, seed=0, level=level)
    assert values["alpha"] == pytest.approx(expected, abs=1e-9)
    assert values["ci_low"] < expected < values["ci_high"]
    assert (values["n_participants"], values["n_responses"], values["n_ratings"]) == (262, 1500, 13036)


def test_perfect_agreement_is_one_and_systematic_disagreement_is_below_zero() -> None:
    assert point(long(np.array([[1.0, 3, 5], [1, 3, 5]]))) == 1
    assert point(long(np.array([[1.0, 5, 1], [5, 1, 5]]))) < 0


def test_a_response_with_one_rating_changes_nothing() -> None:
    matrix = with_gaps(0)
    alone = np.full((8, 1), np.nan)
    alone[0] = 5
    assert point(long(np.hstack([matrix, alone]))) == point(long(matrix))


def test_the_interval_holds_the_point_and_narrows_with_more_responses() -> None:
    few, many = (
        reliability(long(with_gaps(1, responses=responses)), "x", 5, draws=500, seed=0) for responses in (40, 640)
    )
    for values in (few, many):
        assert values["ci_low"] < values["alpha"] < values["ci_high"]
    # sixteen times the responses: a fourth of the width, give or take the noise of one sample
    ratio = (many["ci_high"] - many["ci_low"]) / (few["ci_high"] - few["ci_low"])
    assert 0.15 < ratio < 0.45


def test_the_same_seed_gives_the_same_interval() -> None:
    ratings = long(with_gaps(2))
    assert reliability(ratings, "x", 5, 200, seed=3) == reliability(ratings, "x", 5, 200, seed=3)
    assert reliability(ratings, "x", 5, 200, seed=3) != reliability(ratings, "x", 5, 200, seed=4)


@pytest.mark.parametrize(
    ("matrix", "responses"),
    [
        (np.full((3, 4), 2.0), 4),  # all equal: nothing to be reliable about
        (np.array([[1.0, np.nan], [np.nan, 5]]), 0),  # no response rated twice
        (np.full((2, 2), np.nan), 0),
    ],
)
def test_what_has_no_alpha_is_nan(matrix: np.ndarray, responses: int) -> None:
    values = reliability(long(matrix), "x", 5, draws=50, seed=0)
    assert all(math.isnan(values[name]) for name in ("alpha", "ci_low", "ci_high"))
    assert values["n_responses"] == responses


def test_draws_of_equal_ratings_have_no_alpha_and_are_counted() -> None:
    # three responses, one with a disagreement: without it a draw has equal ratings only, with chance (2/3)³
    ratings = long(np.array([[3.0, 3, 3], [3, 3, 4]]))
    values = reliability(ratings, "x", 5, draws=2000, seed=0)
    assert values["undefined"] / 2000 == pytest.approx((2 / 3) ** 3, abs=0.04)
    assert (values["draws"], values["level"]) == (2000, "ordinal")
    assert reliability(long(with_gaps(0)), "x", 5, draws=100, seed=0)["undefined"] == 0


@pytest.mark.parametrize(
    "matrix", [np.array([[1.0], [4]]), np.array([[1.0, 3, 5, 2], [1, 3, 5, 2]])], ids=["one response", "all agree"]
)
def test_draws_that_are_all_the_same_give_no_interval(matrix: np.ndarray) -> None:
    values = reliability(long(matrix), "x", 5, draws=200, seed=0)
    assert math.isfinite(float(values["alpha"]))
    assert all(math.isnan(float(values[name])) for name in ("ci_low", "ci_high"))


# ---- the table


def young_and_old() -> tuple[Study, StudyData]:
    """The old give every text a 3; the young do not agree."""
    rows = [(f"{group}{n}", "q", f"r{m}", 3 if group == "old" else 1 + (n + 2 * m) % 5)
            for group in ("young", "old") for n in range(3) for m in range(4)]  # fmt: skip
    terms = {person: (person.rstrip("012"),) for person, *_ in rows}
    strata = {name: {"attribute": "age", "values": [name]} for name in ("young", "old")}
    study = load_study("popquorn", {"strata": strata, "survey": {"draws": 20, "min_participants": 3}})
    return study, StudyData.of(study, make_data(rows, "offensiveness", {"age": terms}))


def test_a_stratum_whose_ratings_are_all_equal_has_no_alpha_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    table = _reliability(*young_and_old()).set_index("stratum")
    assert table[["alpha", "ci_low", "ci_high"]].isna().all(axis=1).to_dict() == {
        "all": False, "young": False, "old": True,
    }  # fmt: skip
    assert table.loc["old", "n_ratings"] == 12
    assert caplog.messages == ["ordinal alpha of old, offensiveness: all ratings equal, so there is none"]


@pytest.mark.parametrize("level", LEVELS)
def test_the_study_says_which_level_its_alphas_have(level: Level) -> None:
    study, data = young_and_old()
    asked = study.model_copy(update={"survey": study.survey.model_copy(update={"level": level})})
    found = _reliability(asked, StudyData.of(asked, data)).set_index("stratum").loc["all", "alpha"]
    assert found == reliability(data.ratings, "offensiveness", 5, draws=20, seed=0, level=level)["alpha"]


def test_a_stratum_of_few_participants_is_not_shown() -> None:
    study, data = young_and_old()
    shy = study.model_copy(update={"survey": study.survey.model_copy(update={"min_participants": 4})})
    assert _reliability(shy, StudyData.of(shy, data))["stratum"].tolist() == ["all"]


def test_a_draw_takes_as_many_responses_as_there_are() -> None:
    drawn = _drawn(50, 200, seed=0)
    assert (drawn.sum(axis=1) == 50).all()
    # a response is drawn 50 times with probability 1/50: mean 1, variance 49/50; 10,000 draws of it in all
    assert drawn.mean() == 1
    assert drawn.var() == pytest.approx(49 / 50, abs=0.05)
