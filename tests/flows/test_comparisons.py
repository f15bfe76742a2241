"""A study of comparisons: the survey says what they can't tell, and conditions train on the preferences as they are."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_codebook, load_study
from flows.parts import survey_alone
from tasks.preferences.condition import experiment_data
from tasks.preferences.strata import equal_numbers
from tasks.ratings.reading.load import check_codebook, load_ratings
from tasks.ratings.study_data import StudyData

BOOK = """
name: pairs
version: 1
source: made up
language: en
ratings:
  file: pairs.csv
  participant: rater
  sides: {a: "#one", b: "#two"}
  dimensions: {overall: better}
  labels: {second: 1, same: 2, first: 3}
participants: {file: pairs.csv, participant: rater, attributes: {group: {column: group}}}
responses:
  file: pairs.csv
  stack: [{text: one}, {text: two}]
  response: "#text"
  prompt: "#prompt"
  prompt_text: prompt
  response_text: text
"""
STUDY = """
name: pairs
title: Pairs
ratings: {folder: ., codebooks: [book.yaml]}
dimensions: {overall: {title: Overall, better: higher}}
strata: {x: {attribute: group, values: [x]}, y: {attribute: group, values: [y]}}
scales: {3-point: [1, 2, 3]}
survey: {draws: 20, min_participants: 2, reference: {group: x}}
evaluation: {dimensions: [overall]}
architectures: [tiny-llama]
recipe: tiny
experiments:
  groups:
    title: Groups
    question: Whose?
    conditions:
      x: {stratum: x, dimensions: [overall], scale: 3-point, within: participant}
      y: {stratum: y, dimensions: [overall], scale: 3-point, within: participant}
      all: {dimensions: [overall], scale: 3-point, within: participant}
    contrasts: {x - y: {}}
"""


@pytest.fixture
def export(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """A study in a folder, and its table: 30 prompts with a pair each, 12 raters who compare 15 of them."""
    draw = random.Random(4)
    pairs = [(f"Question {n}?", f"An answer, number {n}.", f"Another one, {n}.") for n in range(30)]
    rows = [
        {"rater": f"r{who}", "group": "xxy"[who % 3], "prompt": prompt, "one": one, "two": two,
         "better": draw.choice(["first", "first", "second", "same"])}
        for who in range(12)
        for prompt, one, two in draw.sample(pairs, 15)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv(tmp_path / "pairs.csv", index=False)
    (tmp_path / "book.yaml").write_text(BOOK)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path, table


def loaded(folder: Path) -> StudyData:
    book = load_codebook(str(folder / "book.yaml"))
    data = load_ratings(["overall"], [book], folder)
    return StudyData.of(load_study(str(folder / "study.yaml")), data)


def test_a_condition_trains_on_every_preference_of_its_raters_once(export: tuple[Path, pd.DataFrame]) -> None:
    folder, table = export
    data = loaded(folder)
    made = experiment_data(data.study, data, data.study.experiments["groups"])["all"]
    trained = set(data.training(data.responses)["prompt"])
    told = table[table["prompt"].isin(trained) & (table["better"] != "same")]
    assert made.preferences == {"overall": len(told)}
    for row in made.pairs.itertuples():
        own = told[told["prompt"] == row.prompt]
        preferred = own["one"].where(own["better"] == "first", own["two"])
        assert row.n == len(own)
        assert row.target == pytest.approx((preferred == row.text_a).mean())


def test_groups_of_like_size_keep_both_sides_of_a_comparison(export: tuple[Path, pd.DataFrame]) -> None:
    ratings = loaded(export[0]).ratings
    half = ratings[ratings["participant_id"].isin({"pairs:r1", "pairs:r2"})]
    kept = equal_numbers({"all": ratings, "half": half}, 0, "prompt_id")["all"]
    sides = kept.groupby(["participant_id", "prompt_id"]).size()
    assert len(kept) == len(half)
    assert (sides == 2).sum() >= len(sides) - 1  # an odd number cuts one comparison at most


def test_labels_of_different_people_are_never_held_against_each_other(export: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = export
    (folder / "study.yaml").write_text(STUDY.replace("scale: 3-point, within: participant", "scale: 3-point"))
    with pytest.raises(InputError) as caught:
        check_codebook(load_study(str(folder / "study.yaml")), load_codebook(str(folder / "book.yaml")))
    lines = str(caught.value).splitlines()
    told = [line.strip() for line in lines if ".within (pairs): comparisons, so only participant is allowed" in line]
    assert [line.split(".")[3] for line in told] == ["x", "y", "all"]


def test_the_survey_says_what_comparisons_cannot_tell(
    export: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = export
    monkeypatch.setenv("PLURALIGN_HOME", str(folder / "home"))
    outcome = survey_alone(str(folder / "study.yaml"), output=str(folder / "out"))
    text = (outcome.folder / "report.md").read_text()
    assert f"12 participants made {len(table)} comparisons between 60 responses to 30 prompts, on overall" in text
    assert "which response is better, not how good one is" in text
    assert pd.read_csv(outcome.folder / "tables" / "ordinal_regression.csv").empty
    assert pd.read_csv(outcome.folder / "tables" / "survey_contrasts.csv").empty
    assert not (outcome.folder / "tables" / "rater_fits.csv").exists()
    assert "Answers that the model does not expect" not in text
    facts = json.loads((outcome.folder / "study.json").read_text())["counts"]
    assert (facts["comparisons"], facts["prompts"], facts["responses"]) == (len(table), 30, 60)
