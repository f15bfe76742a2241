"""What the report says of the judge: no more than the proof allows, and every warning where it is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.judging.tables import JudgeAgreement, JudgeStrata
from tasks.runtime.tables import columns_of
from tests.tasks.reporting.made_up import FACTS, HOSTILE, blank, full, made_up, pooled_row, study, written


def proof_row(dimension: str, stratum: str = "all", **changes: Any) -> dict[str, Any]:
    """A row of judge_agreement.csv, each interval 0.05 to either side."""
    row: dict[str, Any] = dict.fromkeys(columns_of(JudgeAgreement), 0.0)
    row |= {"dimension": dimension, "stratum": stratum, "n": 435, "n_human": 1346, "n_unscored": 0}
    row |= {"draws": 1000, "undefined": 0}
    values = {"agreement": 0.8, "weighted_kappa": 0.65, "spearman": 0.7, "alpha": 0.5, "mean_error": -0.01,
              "human_agreement": 0.7, "human_weighted_kappa": 0.4, "human_spearman": 0.4,
              "human_alpha": 0.3}  # fmt: skip
    for name, value in (values | changes).items():
        row |= {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.05}
    return row


def line_row(dimension: str = "toxicity", **changes: Any) -> dict[str, Any]:
    """A row of judge_calibration.csv."""
    return {**blank("judge_calibration"), "dimension": dimension, "n": 435,
            "slope": 0.9, "slope_low": 0.82, "slope_high": 0.98, "outside": 0.02,
            "why_not": "", **changes}  # fmt: skip


def difference(low: float, high: float, measure: str = "alpha") -> dict[str, Any]:
    row = ["toxicity", "female - male", measure, (low + high) / 2, low, high, 1000, 0]
    return dict(zip(columns_of(JudgeStrata), row, strict=True))


def report(folder: Path, facts: dict[str, Any] | None = None, **tables: list[dict[str, Any]]) -> str:
    """The Markdown of a report with these rows, and a proof."""
    tables = {"judge_agreement": [proof_row("toxicity"), proof_row("toxicity", "female")], **tables}
    frames = {name: full(name, pd.DataFrame(found)) for name, found in tables.items()}
    return written(study(), frames, folder, replace(FACTS, judge=facts or {}))[1]


def test_the_judge_stands_beside_what_the_raters_reach_among_themselves(tmp_path: Path) -> None:
    text = report(tmp_path)
    assert "| all raters | Toxicity | judge | 435 | 80.0% (75.0 to 85.0) | 0.65 (0.60 to 0.70) |" in text
    assert "| all raters | Toxicity | a rater | 1,346 | 70.0% (65.0 to 75.0) | 0.40 (0.35 to 0.45) |" in text
    assert "at least as well as the raters among themselves on toxicity (α 0.50 against 0.30)" in text
    assert "| female | Toxicity | judge |" in text.split("By group of raters")[1]


def features_rows(used: str = "both") -> list[dict[str, Any]]:
    """Of judge_features.csv: chosen in four parts of five what is used, in one the words."""
    values = {"words": 0.61, "embeddings": 0.55, "both": 0.68}
    return [
        {**blank("judge_features"), "dimension": "toxicity", "features": name, "used": name == used, "n": 435,
         "n_prompts": 145, "parts": 5, "chosen": {used: 4, "words": 1}.get(name, 0), "spearman": value,
         "spearman_low": value - 0.05, "spearman_high": value + 0.05}
        for name, value in values.items()
    ]  # fmt: skip


def test_what_the_judge_reads_stands_beside_what_else_it_might(tmp_path: Path) -> None:
    text = report(tmp_path, judge_features=features_rows())
    assert "The judge reads the words and the sentence embedding of an answer." in text
    assert "chose anew in each of 5 parts of the prompts, by the others alone: the words in 1 and " in text
    assert "| Toxicity | the words | 435 | 145 |" in text
    assert "| 0.61 (0.56 to 0.66) |" in text
    assert "| Toxicity | the words and the sentence embedding (the judge) | 435 | 145 |" in text
    chosen = next(line for line in text.splitlines() if line.startswith("| Toxicity | as chosen |"))
    assert "| 0.70 (0.65 to 0.75) |" in chosen  # that of the proof
    assert "might" not in report(tmp_path)
    assert "The judge reads" not in report(tmp_path)


def test_a_judge_that_had_a_choice_and_gives_all_the_same_is_said_first(tmp_path: Path) -> None:
    same = proof_row("toxicity", spread=0.01, raters_spread=0.2)
    text = report(tmp_path, judge_agreement=[same], judge_features=features_rows())
    finding = "The judge gives nearly everything the same score on toxicity"
    assert finding in text.split("The judge and the raters")[0]


def test_draws_that_leave_a_measure_undefined_are_told(tmp_path: Path) -> None:
    rows = [proof_row("toxicity"), proof_row("toxicity", "female") | {"undefined": 12}]
    text = report(tmp_path, judge_agreement=rows)
    assert "whose interval rests on the others: at most 12 of 1,000 for female on toxicity." in text
    assert "whose interval rests on" not in report(tmp_path)


def test_a_judge_that_does_worse_than_a_rater_is_said_to(tmp_path: Path) -> None:
    text = report(tmp_path, judge_agreement=[proof_row("toxicity", alpha=0.2)])
    assert "less well than the raters among themselves on toxicity (α 0.20 against 0.30)" in text


def test_a_judge_that_sides_with_one_group_is_named_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    fair = report(tmp_path, judge_strata=[difference(-0.1, 0.1)])
    assert "0 have a 95% interval without zero" in fair
    assert "does not agree alike" not in fair
    unfair = report(tmp_path, judge_strata=[difference(-0.1, 0.1), difference(-0.3, -0.1, "mean_error")])
    assert "Of 2 comparisons between groups of raters, 1 have a 95% interval without zero" in unfair
    assert (
        "**Note.** The judge does not agree alike with all groups: toxicity, mean error with female less than "
        "with male raters by 0.200 (0.100 to 0.300)."
    ) in unfair


@pytest.mark.parametrize(
    ("below", "consequence"),
    [("stop", "so nothing was trained or judged."), ("mark", "and the study goes on as set: take every effect with")],
)
def test_below_its_floor_the_findings_and_the_section_say_so(tmp_path: Path, below: str, consequence: str) -> None:
    def text(floor: float) -> str:
        settings = {"kind": "embedded", "proof": {"floor": {"agreement": floor}, "below": below}}
        frames = {"judge_agreement": pd.DataFrame([proof_row("toxicity")])}
        return written(study(judge=settings), frames, tmp_path)[1]

    assert "below the floor" not in text(0.8)
    found = text(0.9)
    assert found.count(f"(toxicity: agreement 0.800, floor 0.9), {consequence}") == 2
    assert found.index("below the floor") < found.index("## The judge and the raters")


def test_a_judge_that_gives_nearly_everything_the_same_score_is_told_first(tmp_path: Path) -> None:
    def text(spread: float) -> str:
        spreads = {"toxicity": spread, "awareness": 0.2}
        proved = [proof_row(name) | {"spread": own, "raters_spread": 0.25} for name, own in spreads.items()]
        return report(tmp_path, judge_agreement=proved)

    assert "the same score" not in text(0.05)  # a fifth of the raters'
    found = text(0.049)
    sentence = (
        "The judge gives nearly everything the same score on toxicity (a standard deviation of 0.049, the raters' "
        "means 0.250): it can hardly tell models apart there"
    )
    assert found.count(sentence) == 2  # among the findings and in its chapter
    assert found.index(sentence) < found.index("## The judge and the raters")


def test_what_is_unscored_is_counted_with_its_reason(tmp_path: Path) -> None:
    rows = [{"experiment": "scale", "condition": "binary", "reason": "refused", "n": 1200},
            {"experiment": "scale", "condition": "binary", "reason": "cut off", "n": 34}]  # fmt: skip
    text = report(tmp_path, unscored=rows)
    assert "1,234 answers are unscored" in text
    assert "| scale / binary | refused | 1,200 |" in text
    assert "Every answer was scored." in report(tmp_path, unscored=[])


def test_corrected_effects_stand_beside_the_plain_ones(tmp_path: Path) -> None:
    effect = pooled_row("scale", "5-point - control", "toxicity", -0.2, 0.02)
    effect |= {"corrected": -0.18, "corrected_ci_low": -0.24, "corrected_ci_high": -0.12}
    text = report(tmp_path, judge_calibration=[line_row()], pooled=[effect])
    assert "| Toxicity | 435 | 0.90 | 0.82 to 0.98 | 2.0% | yes |" in text
    assert "| −0.200 | −0.239 to −0.161 | −0.180 | −0.240 to −0.120 |" in text
    assert "outputs lie outside" not in text


def test_where_the_correction_does_not_apply_the_report_says_so(tmp_path: Path) -> None:
    why = "the interval of the slope includes zero"
    text = report(tmp_path, judge_calibration=[line_row(outside=0.3), line_row("awareness", why_not=why)])
    assert f"no: {why}" in text
    assert "**Note.** Over 10% of the outputs lie outside on toxicity" in text
    assert "nor where the judge errs differently on those of one condition" in text


def test_calls_and_their_cost_are_told(tmp_path: Path) -> None:
    assert "made 1,234 calls to the judge, $1.50 at the prices of the settings" in report(
        tmp_path, {"calls": 1234, "dollars": 1.5}
    ).replace("\\", "")
    told = report(tmp_path, {"calls": 9, "dollars": 1.5, "unmetered": 4})
    assert "(the endpoint did not say what 4 of them took; they count at their most)" in told
    assert "calls to the judge" not in report(tmp_path)


@pytest.mark.parametrize("table", ["judge_strata", "judge_calibration", "unscored"])
def test_hostile_text_is_escaped(tmp_path: Path, table: str) -> None:
    rows = {
        "judge_strata": difference(0.1, 0.2) | {"contrast": f"{HOSTILE} - male"},
        "judge_calibration": line_row(why_not=HOSTILE),
        "unscored": {"experiment": HOSTILE, "condition": HOSTILE, "reason": HOSTILE, "n": 1},
    }
    tables = {"judge_agreement": pd.DataFrame([proof_row("toxicity")]), table: pd.DataFrame([rows[table]])}
    html, text = written(study(), tables, tmp_path)
    assert HOSTILE not in html
    assert HOSTILE not in text


def test_a_proof_of_an_older_run_has_fewer_columns_and_is_shown_all_the_same(tmp_path: Path) -> None:
    text = written(study(), {"judge_agreement": made_up(study())["judge_agreement"]}, tmp_path)[1]
    assert "| all raters | Toxicity | judge | 440 | 84.0% |" in text
