"""Whose voice is in the data, on made-up numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.schema import Study
from tasks.reporting.chapters.audit_voices import voices
from tasks.reporting.house.chapter import Results
from tasks.reporting.report import draw_all, findings
from tests.tasks.reporting.made_up import HOSTILE, audit_row, made_up, study, weighted_row, written


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without pictures, which take most of the time; `draw_all` is tested by itself."""
    monkeypatch.setattr("tasks.reporting.report.draw_all", lambda *_: [])


def reported(tmp_path: Path, *rows: dict[str, Any], study_: Study | None = None) -> str:
    """The Markdown of a report of these rows alone."""
    return written(study_ or study(), {"audit": pd.DataFrame(list(rows))}, tmp_path)[1]


# ---- what is said


def test_largest_and_smallest_group_are_named_with_their_numbers(tmp_path: Path) -> None:
    large = {"n_participants": 75, "share_of_participants": 0.75, "n_ratings": 1500, "share_of_ratings": 0.8}
    small = {"n_participants": 25, "share_of_participants": 0.25, "n_ratings": 375, "share_of_ratings": 0.2}
    text = reported(
        tmp_path, audit_row("scale", "binary", "female", **large), audit_row("scale", "binary", "male", **small)
    )
    assert (
        "The largest of 2 groups: female raters, 75.0% of the participants (75) and 80.0% of the ratings (1,500). The "
        "smallest: male raters, 25.0% of the participants (25) and 20.0% of the ratings (375)."
    ) in text


def test_groups_whose_order_differs_are_told_for_both(tmp_path: Path) -> None:
    text = reported(
        tmp_path,
        audit_row("scale", "binary", "female", share_of_participants=0.6, share_of_ratings=0.3),
        audit_row("scale", "binary", "male", share_of_participants=0.4, share_of_ratings=0.7),
    )
    assert (
        "The 2 groups are from 40.0% (male raters) to 60.0% (female raters) of the participants, and gave from 30.0% "
        "(female raters) to 70.0% (male raters) of the ratings."
    ) in text


def test_condition_that_retains_least_and_most_is_named_once_for_all_groups(tmp_path: Path) -> None:
    shares = {("5-point", "female"): 1.0, ("5-point", "male"): 1.0, ("binary", "female"): 0.8, ("binary", "male"): 0.7}
    text = reported(tmp_path, *(audit_row("scale", *key, retained=value) for key, value in shares.items()))
    assert (
        "Of 2 conditions on everybody's ratings, least of what each group said is retained under binary (70.0% for "
        "male raters to 80.0% for female raters), and most under 5-point (100.0% for 2 groups)."
    ) in text


def test_groups_that_lose_most_under_different_conditions_are_told_apart(tmp_path: Path) -> None:
    shares = {("5-point", "female"): 0.9, ("5-point", "male"): 0.2, ("binary", "female"): 0.3, ("binary", "male"): 0.8}
    text = reported(tmp_path, *(audit_row("scale", *key, retained=value) for key, value in shares.items()))
    assert "retained under binary (30.0% for female raters) or under 5-point (20.0% for male raters)" in text


def test_conditions_that_retain_the_same_are_not_ranked(tmp_path: Path) -> None:
    text = reported(tmp_path, *(audit_row("scale", name, "female") for name in ("5-point", "binary")))
    assert "All 2 conditions on everybody's ratings retain as much of what each group said." in text


def test_majority_that_loses_most_often_is_told_with_its_pairs(tmp_path: Path) -> None:
    # heard: 150 x (1 - .2) = 120
    top = audit_row("scale", "binary", "male", majority_loses=0.3, majority_unheard=0.2, n_majorities=150)
    text = reported(tmp_path, audit_row("scale", "5-point", "male"), top)
    assert (
        "The majority that loses most often is that of male raters under binary: 30.0% of 120 response pairs (random "
        "groups of as many lose 9.0%)."
    ) in text
    assert "The majority that is unheard most often is that of male raters under binary: 20.0% of 150" in text


def test_majorities_that_lose_beyond_chance_are_counted_and_named(tmp_path: Path) -> None:
    # chance: 9% ± 2, so beyond 13%
    text = reported(
        tmp_path, audit_row("scale", "binary", "male", majority_loses=0.14), audit_row("scale", "binary", "female")
    )
    assert "by over two standard deviations: male raters under binary (1 of 2; chance: one in forty)." in text
    assert "two standard deviations: none (0 of 1;" in reported(tmp_path, audit_row("scale", "binary", "female"))


def test_share_of_a_handful_of_pairs_is_no_extreme(tmp_path: Path) -> None:
    # heard: 9 pairs
    handful = audit_row("scale", "binary", "male", majority_loses=1.0, majority_unheard=0.0, n_majorities=9)
    text = reported(tmp_path, audit_row("scale", "5-point", "male"), handful)
    assert "loses most often is that of male raters under 5-point: 10.0% of 80 response pairs (random" in text


def test_conditions_on_one_groups_ratings_are_told_apart(tmp_path: Path) -> None:
    own = audit_row("groups", "male", "female", retained=0.0, majority_loses=0.9)
    text = reported(tmp_path, audit_row("scale", "5-point", "female"), own)
    assert "The one condition on everybody's ratings, 5-point, retains 50.0% for female raters." in text
    assert (
        "Of the 1 condition on one group's ratings, the majority that loses most often is that of female raters under "
        "male: 90.0% of 80 response pairs (random groups of as many lose 9.0%)."
    ) in text


def test_smallest_and_largest_voice(tmp_path: Path) -> None:
    rows = [
        audit_row("scale", "binary", "female", share_of_preferences=0.4),
        audit_row("scale", "binary", "male", share_of_preferences=0.6),
    ]
    text = reported(tmp_path, *rows)  # .4 / .5 and .6 / .5
    assert "smallest voice is that of female raters under binary (0.80), the largest that of male raters" in text
    assert "under binary (1.20)." in text


def test_small_group_is_marked(tmp_path: Path) -> None:
    text = reported(
        tmp_path, audit_row("scale", "binary", "male", n_participants=9), audit_row("scale", "binary", "female")
    )
    assert "> **Note.** Fewer than 10 participants (†): male (9)." in text
    assert "| binary | male † | 200 |" in text
    assert "female †" not in text


def test_table_has_every_condition_and_group(tmp_path: Path) -> None:
    text = reported(tmp_path, audit_row("scale", "binary", "male", share_of_preferences=0.6, majority_loses=math.nan))
    assert "| binary | male | 200 | 50.0% | 60.0% | 1.20 | 50.0% | – | 9.0% ± 2.0 | 80 | 20.0% | 100 |" in text


def test_finding_is_one_sentence() -> None:
    rows = [audit_row("scale", "5-point", "male", retained=1.0), audit_row("scale", "binary", "male")]
    assert findings(Results(study(), {"audit": pd.DataFrame(rows)}))[0] == (
        "Whose voice is in the data: of 2 conditions on everybody's ratings, least of what each group said is retained "
        "under binary (50.0% for male raters), and most under 5-point (100.0% for male raters); under "
        "conditions on everybody's ratings, these majorities lose more often than those of random groups of the same "
        "size, by over two standard deviations: none (0 of 2; chance: one in forty)."
    )


def test_simulated_raters_are_labelled_and_real_ones_not(tmp_path: Path) -> None:
    real = study(simulate=False, tiny=False)
    assert "one in forty). Simulated raters, tiny models." in reported(tmp_path, *made_rows())
    assert "imulated" not in reported(tmp_path, *made_rows(), study_=real).split("<summary>Settings")[0]


def made_rows() -> list[dict[str, Any]]:
    return made_up(study())["audit"].to_dict("records")


# ---- names, gaps, pictures


def test_condition_of_two_experiments_has_its_experiment_in_its_name() -> None:
    rows = [audit_row("scale", "binary", "male"), audit_row("other", "binary", "male"), audit_row("other", "x", "male")]
    found = voices(Results(study(), {"audit": pd.DataFrame(rows)}))
    assert [row["name"] for row in found] == ["scale / binary", "other / binary", "x"]


def test_missing_numbers_say_nothing_and_are_dashes(tmp_path: Path) -> None:
    table = made_up(study())["audit"]
    numbers = table.select_dtypes("number").columns
    table = table.astype(dict.fromkeys(numbers, float))
    table[numbers] = math.nan
    _, text = written(study(), {"audit": table}, tmp_path)
    assert "| 5-point | female | – | – | – | – | – | – | – | – | – |" in text
    assert "raters under" not in text
    assert not re.search(r"\b(nan|None|inf)\b", text)


def test_one_condition_and_one_group_are_drawn(tmp_path: Path) -> None:
    table = pd.DataFrame([audit_row("scale", "binary", "male", share_of_preferences=0.0, n_participants=3)])
    (figure,) = draw_all(Results(study(), {"audit": table}), tmp_path)
    assert figure.name == "audit"
    assert "†: fewer than 10 participants." in figure.caption


def test_many_groups_with_long_names_are_drawn(tmp_path: Path) -> None:
    rows = [audit_row("scale", name, f"{HOSTILE}{group}") for name in ("5-point", "binary") for group in range(12)]
    assert [figure.name for figure in draw_all(Results(study(), {"audit": pd.DataFrame(rows)}), tmp_path)] == ["audit"]


# ---- weights of a population


def test_what_weights_of_a_population_cost_is_told_and_shown_by_group(tmp_path: Path) -> None:
    audit = {"audit": pd.DataFrame([audit_row("scale", "binary", "female")])}
    rows = [weighted_row("scale", "binary", "all"), weighted_row("scale", "binary", "male", design_effect=1.0)]
    text = written(study(), audit | {"population_weights": pd.DataFrame(rows)}, tmp_path)[1]
    assert "under binary, 50 raters tell as much as 40 of equal weight (design effect 1.25)." in text
    assert "| binary | all raters | 50 | 3 | 40.0 | 1.25 |" in text
    assert "| binary | male | 50 | 3 | 40.0 | 1.00 |" in text
    assert "stand for a population" not in written(study(), audit, tmp_path)[1]
