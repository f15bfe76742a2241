"""The tables of raters: nobody's id, nobody where there are few, and what the indices come to."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from configs.load import load_codebook, load_study
from configs.schema import Simulation, Study
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.pseudonym import pseudonyms
from tasks.ratings.landing.snapshot import Collection, snapshot_data
from tasks.ratings.reading.load import Data, load_ratings
from tasks.simulation.simulate import simulate_export
from tasks.survey.rater_indices import COLUMNS, rater_indices
from tasks.survey.raters import (
    area_under_curve,
    at_least,
    careless_raters,
    rater_fits,
    rater_names,
    raters_table,
    wilson,
)
from tasks.survey.tables import RaterFits, RaterIndices
from tests.conftest import make_data

KEY = b"a key of enough characters"
NO_CHECKS = pd.Series(dtype="int64")


def indices(p: list[float], dimension: str = "all", **columns: object) -> pd.DataFrame:
    """Indices of raters `x:p0`, … whose l_z and outfit have these p's."""
    people = [f"x:p{number}" for number in range(len(p))]
    values = {"n_answers": 5, "n_fit": 5, "outfit": 1.0, "outfit_p": p, "lz": 0.0, "lz_p": p, "long_string": 2,
              "irv": np.arange(len(p)) / 10, "even_odd": np.nan}  # fmt: skip
    return pd.DataFrame({"participant_id": people, "dimension": dimension, **values, **columns})[COLUMNS]


def fits(table: pd.DataFrame, **arguments: object) -> pd.DataFrame:
    settings: dict[str, object] = {"reasons": {}, "groups": {}, "careless": None, "few": 3}
    return rater_fits(table, **{**settings, **arguments})


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("demo")


# ---- names


def test_a_rater_has_the_pseudonym_that_landing_would_give(study: Study) -> None:
    name = rater_names(study, KEY)
    assert name("survey-app-en:ann:1") == pseudonyms(KEY, "survey-app-en")("ann:1")
    assert name("survey-app-en:ann") != name("survey-app-de:ann")
    assert rater_names(study, b"another key of enough length")("survey-app-en:ann") != name("survey-app-en:ann")
    assert "ann" not in name("survey-app-en:ann")


def test_a_collections_pseudonyms_are_kept(study: Study) -> None:
    landed = load_study("demo", {"ratings": {"collection": "c", "codebooks": ["survey-app-en"]}})
    assert rater_names(landed, None)("0123456789abcdef0123") == "0123456789abcdef0123"


def test_raters_of_a_collection_of_several_sources_answer_as_in_the_exports_themselves(tmp_path: Path) -> None:
    study = load_study("demo", {"ratings": {"folder": str(tmp_path), "codebooks": ["survey-app-en", "survey-app-de"]}})
    landed = load_study("demo", {"ratings": {"collection": "c", "codebooks": ["survey-app-en", "survey-app-de"]}})
    books, dimensions = [load_codebook(name) for name in study.ratings.codebooks], list(study.dimensions)
    simulate_export(Simulation(participants=60, prompts=25), 0, tmp_path)
    collection = Collection(tmp_path / "collections" / "c")
    for book in books:  # two landings, an English one and a German one
        land(collection, [tmp_path], [book], KEY)

    def table(of: Study, data: Data) -> pd.DataFrame:
        found, reasons = rater_indices(data.ratings, dimensions, study.seed)
        assert reasons == {}
        return raters_table(found, rater_names(of, KEY), NO_CHECKS, None, few=1)

    own = table(study, load_ratings(dimensions, books, tmp_path))
    both = table(landed, snapshot_data(collection.find(), dimensions, books))
    assert own["rater"].nunique() == 60
    assert own.query("dimension == 'all'")["lz_p"].notna().all()
    drawn = ["outfit_p", "lz_p"]  # of 1,000 simulated answers, drawn in another order: a standard error of .016
    assert both[drawn].to_numpy() == pytest.approx(own[drawn].to_numpy(), abs=0.12)
    exact = [name for name in own if name not in (*drawn, "lz")]
    pd.testing.assert_frame_equal(both[exact], own[exact])


def test_the_table_has_no_id_and_not_the_order_of_ids(study: Study) -> None:
    table = raters_table(indices([0.5] * 30), rater_names(study, KEY), NO_CHECKS, None, few=10)
    assert list(table) == list(RaterIndices.to_schema().columns)
    assert table["rater"].is_monotonic_increasing
    assert table["rater"].str.fullmatch("[0-9a-f]{20}").all()
    assert "x:p" not in table.to_csv()
    assert table["irv"].tolist() != sorted(table["irv"])


def test_a_dimension_that_few_rated_has_no_row(study: Study) -> None:
    both = pd.concat([indices([0.5] * 10), indices([0.5] * 9, "toxicity")])
    table = raters_table(both, rater_names(study, KEY), NO_CHECKS, None, few=10)
    assert table["dimension"].unique().tolist() == ["all"]
    assert raters_table(indices([0.5] * 9), rater_names(study, KEY), NO_CHECKS, None, few=10).empty


def test_who_answers_at_random_is_told_where_it_is_simulated(study: Study) -> None:
    table = raters_table(indices([0.5] * 4), lambda name: name, NO_CHECKS, frozenset({"x:p1"}), few=1)
    assert table["at_random"].tolist() == [0, 1, 0, 0]
    assert careless_raters(study, make_data([("x:a", "q", "r", 1)])) is None
    some = load_study("doubtful")
    people = [(f"survey-app-en:sim-en-{n:04d}", "q", "r", 1) for n in range(1, 366)]
    careless = careless_raters(some, make_data(people))
    assert careless is not None
    assert 20 < len(careless) < 55  # 73 of 730, of whom half are English


def test_failed_checks_stand_beside_all_dimensions_and_are_missing_where_nobody_was_checked() -> None:
    both = pd.concat([indices([0.5] * 3), indices([0.5] * 3, "toxicity")])
    checks = pd.Series({"x:p0": 2, "x:p1": 0, "x:nobody": 1})
    table = raters_table(both, lambda name: name, checks, None, few=1).set_index(["dimension", "rater"])
    assert table.loc["all", "failed_checks"].tolist() == [2, 0, pd.NA]
    assert table.loc["toxicity", "failed_checks"].isna().all()


# ---- how they are spread


def test_raters_beyond_chance_are_counted_and_tested_against_one_of_twenty() -> None:
    (row,) = fits(indices([0.01, 0.049, 0.05, *[0.5] * 17])).query("index == 'lz'").to_dict("records")
    assert (row["n_raters"], row["n_beyond"], row["share_beyond"]) == (20, 2, 0.1)
    assert row["p_beyond"] == pytest.approx(binom.sf(1, 20, 0.05))
    # Wilson: (k + z²/2 ± z √(k(n − k)/n + z²/4)) / (n + z²), z = 1.96
    z = 1.959964
    ends = [(2 + z**2 / 2 + s * z * math.sqrt(2 * 18 / 20 + z**2 / 4)) / (20 + z**2) for s in (-1, 1)]
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(ends, abs=1e-6)


def test_an_index_without_a_model_is_spread_and_not_tested() -> None:
    table = fits(indices([0.5] * 21)).set_index("index")
    assert table.loc["irv", ["low", "median", "high"]].tolist() == pytest.approx([0.1, 1.0, 1.9])
    assert pd.isna(table.loc["irv", "n_beyond"])
    assert "even_odd" not in table.index  # nobody has it


def test_a_group_of_few_is_not_shown() -> None:
    groups = {"large": {f"x:p{n}" for n in range(3)}, "small": {"x:p0", "x:p1"}}
    table = fits(indices([0.5] * 6), groups=groups)
    assert table["stratum"].unique().tolist() == ["all", "large"]
    assert table.query("stratum == 'large'")["n_raters"].tolist() == [3, 3, 3, 3]


def test_a_dimension_without_person_fit_says_why() -> None:
    table = indices([0.5] * 4, "toxicity", outfit=np.nan, outfit_p=np.nan, lz=np.nan, lz_p=np.nan)
    found = fits(table, reasons={"toxicity": "no response has two raters"}).set_index("index")
    assert found.loc[["outfit", "lz"], "notes"].tolist() == ["no response has two raters"] * 2
    assert found.loc["lz", "n_raters"] == 0
    assert found.loc["irv", "notes"] == ""


def test_the_area_under_the_curve_by_hand() -> None:
    values, true = np.array([3.0, 1.0, 2.0, 2.0]), np.array([True, True, False, False])
    assert area_under_curve(values, true) == pytest.approx(0.5)  # 3 beats both, 1 none
    assert area_under_curve(np.array([2.0, 1.0, 2.0]), np.array([True, False, False])) == pytest.approx(0.75)
    assert math.isnan(area_under_curve(values, np.zeros(4, bool)))


def test_the_doubtful_end_of_every_index_is_the_one_that_counts() -> None:
    table = indices([0.01, 0.9, 0.9], outfit=[0.1, 9.0, 9.0], long_string=[5, 2, 2], even_odd=[-1.0, 1, 1])
    found = fits(table, careless=frozenset({"x:p0"}), few=1).set_index("index")["auc"]
    assert found[["outfit", "lz", "long_string", "even_odd"]].tolist() == [1, 1, 1, 1]
    assert found["irv"] == 0


def test_there_is_no_table_where_there_is_nobody() -> None:
    assert list(fits(indices([]))) == list(RaterFits.to_schema().columns)


def test_the_binomial_test_and_wilsons_interval_are_scipys_to_the_bit() -> None:
    for n in (1, 2, 9, 40, 1200):
        for count in range(0, n + 1, max(n // 40, 1)):
            test, interval = binomtest(count, n, 0.05, alternative="greater"), binomtest(count, n)
            assert at_least(count, n, 0.05) == test.pvalue
            assert wilson(count, n) == tuple(interval.proportion_ci(method="wilson"))
    # by hand, 1 of 2 at a half: P(X >= 1) = 1 - 1/4
    assert at_least(1, 2, 0.5) == 0.75
