"""The paper's mixed ordinal models from a study's tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from configs.errors import InputError
from configs.load import load_codebook, load_study
from tasks.ratings.reading.load import Data, check_strata, load_ratings
from tasks.runtime.tables import columns_of
from tasks.survey.ordinal_regression import indicator_terms, ordinal_regression
from tasks.survey.tables import OrdinalModels, OrdinalRegression

REFERENCE = {"gender": "she/her/hers", "ethnicity": "White"}


def people(*rows: tuple[tuple[str, ...], tuple[str, ...]]) -> pd.DataFrame:
    columns = {"participant_id": [f"p{n}" for n in range(len(rows))], "language": "en"}
    return pd.DataFrame(columns | {"gender": [g for g, _ in rows], "ethnicity": [e for _, e in rows]})


def test_a_term_is_one_for_those_who_declare_the_value_among_others_or_alone() -> None:
    she, he, white, asian = ("she/her/hers",), ("he/him/his",), ("White",), ("Asian",)
    table = indicator_terms(people((she, white), (he, asian), (she, (*white, *asian)), (he, white)), REFERENCE, 1)
    assert list(table.columns) == [("gender", "he/him/his"), ("ethnicity", "Asian")]
    assert table["gender", "he/him/his"].tolist() == [0, 1, 0, 1]
    assert table["ethnicity", "Asian"].tolist() == [0, 1, 1, 0]


def test_who_leaves_an_attribute_undeclared_is_not_in_the_model() -> None:
    table = indicator_terms(people((("she/her/hers",), ()), (("he/him/his",), ("Asian",))), REFERENCE, 1)
    assert table.index.tolist() == ["p1"]


def test_values_that_few_declare_are_one_term_and_the_reference_never_is() -> None:
    rare = [(("she/her/hers",), (name,)) for name in ("Asian", "Maori", "White")]
    common = [(("he/him/his",), ("Black",))] * 2
    table = indicator_terms(people(*rare, *common), REFERENCE, 2)
    assert list(table.columns) == [("gender", "he/him/his"), ("ethnicity", "Black"), ("ethnicity", "other")]
    assert table["ethnicity", "other"].tolist() == [1, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def popquorn(shared_data: Path) -> Data:
    return load_ratings(["offensiveness"], [load_codebook("popquorn")], shared_data)


def test_popquorn_gives_the_coefficients_of_r(popquorn: Data, shared_reference: Path) -> None:
    # R was fitted to the same bands; its races beyond three are our `other`. Its NonBinary are 7 people: not shown.
    terms, models = ordinal_regression(load_study("popquorn"), popquorn)
    expected = json.loads((shared_reference / "popquorn_clmm.json").read_text())
    names = {
        "gender[Woman]": "genderWoman", "ethnicity[Asian]": "raceAsian", "ethnicity[other]": "raceOther",
        "ethnicity[Black or African American]": "raceBlack", "age[30-39]": "age30-39", "age[40-49]": "age40-49",
        "age[50-59]": "age50-59", "age[60 and over]": "age60+", "education[college]": "educationCollege",
        "education[graduate]": "educationGraduate",
    }  # fmt: skip
    assert set(terms["term"]) == set(names)
    for row in terms.itertuples():
        name = names[row.term]
        assert row.estimate == pytest.approx(expected["beta"][name], abs=1e-3 * expected["se"][name])
        assert row.std_error == pytest.approx(expected["se"][name], rel=1e-3)
        assert row.percent == pytest.approx(100 * (np.exp(expected["beta"][name]) - 1), abs=0.1)
    (model,) = models.itertuples()
    assert model.log_likelihood == pytest.approx(expected["logLik"], abs=1e-4)
    assert (model.n_ratings, model.n_participants, model.n_responses, model.left_out) == (13036, 262, 1500, 0)
    assert model.converged
    assert "gender[other]" in model.notes
    assert "education[other]" in model.notes


def test_the_papers_values_stand_beside_the_terms_that_they_belong_to(simulated: Data) -> None:
    terms, models = ordinal_regression(load_study("demo", {"survey.min_participants": 5}), simulated)
    published = terms.dropna(subset=["published"]).set_index(["dimension", "term"])
    assert published.loc[("toxicity", "gender[he/him/his]"), "published"] == -18
    assert published.loc[("toxicity", "gender[he/him/his]"), "published_p"] == "< .01"
    assert len(published) == 7
    adjusted = multipletests(terms["p"], method="holm")[1]  # over all terms of all dimensions
    assert terms["p_holm"].tolist() == pytest.approx(adjusted.tolist())
    assert models["dimension"].tolist() == list(load_study("demo").dimensions)
    undeclared = simulated.participants[["gender", "age", "country", "political-spectrum", "ethnicity"]].map(len).eq(0)
    silent = simulated.participants["participant_id"][undeclared.any(axis=1)]
    assert models["left_out"].eq(simulated.ratings["participant_id"].isin(silent).sum()).all()


def test_a_dimension_without_a_model_says_why_and_the_others_go_on(simulated: Data) -> None:
    ratings = simulated.ratings.assign(toxicity=3)
    data = Data(ratings, simulated.participants, simulated.responses, simulated.categories)
    terms, models = ordinal_regression(load_study("demo"), data)
    notes = models.set_index("dimension")["notes"]
    assert notes["toxicity"].endswith("ratings are 3; the model needs at least two categories")
    assert set(terms["dimension"]) == {"stereotypical-bias", "emotional-awareness", "sensitivity", "helpfulness"}


def test_participants_of_one_rating_each_have_no_random_intercept(simulated: Data) -> None:
    ratings = simulated.ratings.drop_duplicates("participant_id")
    data = Data(ratings, simulated.participants, simulated.responses, simulated.categories)
    terms, models = ordinal_regression(load_study("demo", {"survey.min_participants": 5}), data)
    assert models["sd_participant"].isna().all()
    assert models["notes"].str.contains("no random intercept of participant: one rating each").all()
    assert len(terms)


def test_without_a_reference_there_is_no_model(simulated: Data) -> None:
    terms, models = ordinal_regression(load_study("demo", {"survey": {"draws": 10}}), simulated)
    columns = [list(columns_of(table)) for table in (OrdinalRegression, OrdinalModels)]
    assert ([list(terms), list(models)], len(terms), len(models)) == (columns, 0, 0)


def test_a_reference_that_nobody_declares_is_refused(simulated: Data) -> None:
    study = load_study("demo", {"survey.reference.gender": "nobody"})
    with pytest.raises(InputError, match=r"survey.reference.gender \(no participant declares it\): unknown 'nobody'"):
        check_strata(study, simulated.participants)
