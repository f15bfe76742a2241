"""Who rated, how far raters agree and who rates differently, on made-up numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.reporting.chapters.regression_terms import change, odds
from tasks.reporting.house.chapter import Results
from tasks.reporting.report import draw_all, findings
from tasks.reporting.run_facts import Facts
from tasks.survey.holm import holm
from tests.tasks.reporting.made_up import made_up, model_row, study, term_row, written


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without pictures, which take most of the time; `draw_all` is tested by itself."""
    monkeypatch.setattr("tasks.reporting.report.draw_all", lambda *_: [])


def reported(tmp_path: Path, *rows: dict[str, Any], models: list[dict[str, Any]] | None = None, **changes: Any) -> str:
    """The Markdown of a report of these terms alone."""
    table = pd.DataFrame(list(rows))
    tables = {"ordinal_regression": table.assign(p_holm=holm(table["p"]))}
    if models is not None:
        tables["ordinal_models"] = pd.DataFrame(models)
    return written(study(**changes), tables, tmp_path)[1]


def line_of(text: str, start: str) -> list[str]:
    """The cells of the first line of a table that starts so."""
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


# ---- who rated


def test_participants_are_counted_by_what_they_declare(tmp_path: Path) -> None:
    _, text = written(study(), {"participants": made_up(study())["participants"]}, tmp_path)
    assert "100 participants, by what they declare" in text  # 60 / .6
    assert "Most often: gender female (60.0%) and age old (99.0%)." in text
    assert "| gender | male | 40 | 40.0% |" in text


@pytest.mark.parametrize(("values", "folded"), [(12, False), (13, True)])
def test_many_values_are_folded(values: int, folded: bool, tmp_path: Path) -> None:
    rows = [("age", f"value {number}", 10, 0.1) for number in range(values)]
    table = pd.DataFrame(rows, columns=["attribute", "value", "n", "share"])
    html, _ = written(study(), {"participants": table}, tmp_path, facts=Facts())
    assert (f"<summary>{values} values of 1 attribute" in html) == folded


def test_attribute_names_are_words(tmp_path: Path) -> None:
    row = term_row("toxicity", "political-spectrum", "centre", -0.5, 0.1)
    assert line_of(reported(tmp_path, row), "| Toxicity | political")[1] == "political spectrum: centre"


# ---- how far raters agree


def test_reliability_is_drawn_where_there_are_strata(tmp_path: Path) -> None:
    table = made_up(study())["reliability"]
    drawn = [figure.name for figure in draw_all(Results(study(), {"reliability": table}), tmp_path)]
    assert drawn == ["reliability"]
    without = study(strata={}, experiments={})
    assert draw_all(Results(without, {"reliability": table}), tmp_path) == []
    assert "Krippendorff" in written(without, {"reliability": table}, tmp_path)[1]


def test_reliability_that_is_unknown_leaves_its_place_empty(tmp_path: Path) -> None:
    table = made_up(study())["reliability"]
    table.loc[table["stratum"] == "female", ["alpha", "ci_low", "ci_high"]] = math.nan
    figure = draw_all(Results(study(), {"reliability": table}), tmp_path)[0]
    assert "male 0.38 (0.33 to 0.43)" in figure.alt
    assert "female" not in figure.alt


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_the_level_of_measurement_stands_beside_alpha_wherever_it_is(tmp_path: Path, level: str) -> None:
    table = made_up(study())["reliability"].assign(level=level)
    html, markdown = written(study(), {"reliability": table}, tmp_path)
    figure = draw_all(Results(study(), {"reliability": table}), tmp_path)[0]
    for text in (
        html.replace("&#x27;", "'").replace("&#39;", "'"),
        markdown,
        figure.caption,
        figure.alt,
        figure.svg.read_text(),
    ):
        assert f"Krippendorff's α ({level})" in text
        assert text.count("Krippendorff's α") == text.count(f"Krippendorff's α ({level})")


def test_a_difference_without_an_interval_is_not_called_clear_or_unclear(tmp_path: Path) -> None:
    table = made_up(study())["survey_contrasts"].assign(
        estimate=0.5, std_error=math.nan, ci_low=math.nan, ci_high=math.nan
    )
    text = written(study(), {"survey_contrasts": table}, tmp_path)[1]
    assert "raters are 0.500 apart in toxicity, and nobody differs within a group" in text
    assert "no clear difference" not in text


def test_draws_without_alpha_are_counted_in_the_report(tmp_path: Path) -> None:
    table = made_up(study())["reliability"]
    assert "rests on the others" not in written(study(), {"reliability": table}, tmp_path)[1]
    table.loc[(table["stratum"] == "all") & (table["dimension"] == "toxicity"), "undefined"] = 41
    assert "the interval rests on the others: 41 of 1,000 for all raters on toxicity." in " ".join(
        written(study(), {"reliability": table}, tmp_path)[1].split()
    )


# ---- beside the paper


def test_term_that_is_significant_here_and_in_the_paper(tmp_path: Path) -> None:
    row = term_row("toxicity", "gender", "male", -0.3, 0.1, n=480, published=-18.0, published_p="< .01")
    cells = line_of(reported(tmp_path, row), "| Toxicity | gender: male")
    # exp(-.3) = .741; exp(-.3 ± .196) = .609 to .901; z = 3, p = .0027
    assert cells[2:] == [
        "480", r"−25.9% \*\*", "0.61 to 0.90", ".003", ".003", "−18.0%", "&lt; .01", "both",
    ]  # fmt: skip


def test_term_that_only_the_paper_finds_is_shown_all_the_same(tmp_path: Path) -> None:
    row = term_row("toxicity", "gender", "male", -0.1, 0.1, published=-18.0, published_p="< .01")
    text = reported(tmp_path, row, term_row("toxicity", "age", "old", -0.1, 0.1))
    cells = line_of(text, "| Toxicity | gender: male")
    assert (cells[3], cells[-3:]) == ("−9.5%", ["−18.0%", "&lt; .01", "paper only"])
    assert "Not significant here: gender male on toxicity." in text
    assert "| Toxicity | age: old" not in text


def test_opposite_direction_is_told(tmp_path: Path) -> None:
    row = term_row("toxicity", "gender", "male", 0.3, 0.06, published=-18.0, published_p="< .01")
    text = reported(tmp_path, row, term_row("awareness", "gender", "male", 0.3, 0.06, published=20, published_p="***"))
    assert line_of(text, "| Toxicity | gender: male")[-1] == "both, opposite"
    assert "1 of the 2 effects that the paper calls significant is significant here too" in text
    assert "Significant in the opposite direction: gender male on toxicity." in text


def test_p_that_the_paper_does_not_call_significant_is_no_effect_of_the_papers(tmp_path: Path) -> None:
    text = reported(tmp_path, term_row("toxicity", "gender", "male", -0.1, 0.1, published=-3.0, published_p=".41"))
    assert line_of(text, "| Toxicity | gender: male")[-1] == "neither"
    assert "that the paper calls significant" not in text


def test_without_published_values_there_is_no_column_for_them(tmp_path: Path) -> None:
    text = reported(tmp_path, term_row("toxicity", "gender", "male", -0.3, 0.06), simulate=False, tiny=False)
    assert "| Dimension | Predictor | n | Change in the odds | Odds ratio, 95% CI | p | p (Holm) |" in text
    assert "Published" not in text
    assert "imulated" not in text.split("<summary>Settings")[0]


def test_number_of_tests_and_what_chance_would_give_are_told(tmp_path: Path) -> None:
    few = [term_row("toxicity", "age", str(number), -0.2, 0.1) for number in range(3)]  # p = .0455 each
    text = reported(tmp_path, *few, *(term_row("awareness", "age", str(number), 0.0, 0.1) for number in range(27)))
    assert "30 terms were tested." in text
    assert "about 1.5 would be significant (p &lt; .05) by chance; 3 are." in text
    assert "After Holm's adjustment for all 30 tests, none is." in text


def test_finding_names_what_remains_after_the_adjustment() -> None:
    rows = [
        term_row("toxicity", "gender", "male", -0.3, 0.06, published=-18.0, published_p="< .01"),
        term_row("toxicity", "age", "old", 0.2, 0.1),
    ]
    assert findings(Results(study(), {"ordinal_regression": pd.DataFrame(rows)}))[0] == (
        "Who rates differently: of 2 terms of the ordinal regression, 2 are significant after Holm's adjustment: "
        "gender male on toxicity (25.9% lower odds of a higher rating) and age old on toxicity (22.1% higher odds of a "
        "higher rating); the one effect that the paper calls significant is significant here too (p < .05, same "
        "direction)."
    )
    none = findings(Results(study(), {"ordinal_regression": pd.DataFrame(rows[1:]).assign(p=0.3, p_holm=0.3)}))
    assert none == [
        "Who rates differently: of 1 term of the ordinal regression, none is significant after Holm's adjustment."
    ]


# ---- the models


def test_facts_of_the_models_stand_behind_a_fold(tmp_path: Path) -> None:
    models = [model_row("toxicity", notes="aliased: age[old]"), model_row("awareness")]
    text = reported(tmp_path, term_row("toxicity", "gender", "male", -0.3, 0.06), models=models)
    assert "the reference group (gender: female; age: young)." in text
    assert "| Toxicity | 480 | 96 | 160 | 20 | 0.81 | 1.10 | −612.5 | 1241.0 | yes |" in text
    assert r"- Toxicity: aliased: age\[old\]" in text
    assert "converge" not in text.replace("Converged", "")


def test_references_that_differ_are_named_one_by_one(tmp_path: Path) -> None:
    models = [model_row("toxicity"), model_row("awareness", reference="gender: male")]
    text = reported(tmp_path, term_row("toxicity", "gender", "male", -0.3, 0.06), models=models)
    assert "the reference group of its dimension, named below" in text
    assert "- Awareness, against gender: male" in text


def test_model_that_did_not_converge_raises_a_warning(tmp_path: Path) -> None:
    models = [model_row("toxicity", converged=False), model_row("awareness")]
    text = reported(tmp_path, term_row("toxicity", "gender", "male", -0.3, 0.06), models=models)
    assert "> **Note.** The model of toxicity did not converge: do not rely on its numbers." in text


def test_dimension_without_a_model_has_its_reason(tmp_path: Path) -> None:
    failed = model_row("toxicity", converged=False, notes="all ratings are equal", log_likelihood=math.nan)
    _, text = written(study(), {"ordinal_models": pd.DataFrame([failed])}, tmp_path)
    assert "No model of toxicity could be fitted: all ratings are equal." in text


# ---- no usable estimate, too many, too long


def test_odds_beyond_all_measure_have_no_digits() -> None:
    assert [odds(value) for value in (0.0, 0.004, 1.0, 123.0, math.inf, math.nan)] == [
        "< 0.01", "< 0.01", "1.00", "> 100", "> 100", "–",
    ]  # fmt: skip
    assert [change(value) for value in (-18.04, 27.9, 7e12, math.inf, math.nan)] == [
        "−18.0%", "+27.9%", "> +999%", "> +999%", "–",
    ]  # fmt: skip


def test_separation_is_named_and_drawn(tmp_path: Path) -> None:
    row = term_row("toxicity", "gender", "other", 25.0, 3000.0, n=4)
    text = reported(tmp_path, row)
    assert "No usable estimate, since too few declare it or they rate too much alike: gender other on toxicity." in text
    assert "| gender: other † | 4 | 25.000 | 3000.000 |" in text
    assert "† fewer than 10 participants." in text
    assert not re.search(r"\b(nan|None|inf)\b", text)
    assert draw_all(Results(study(), {"ordinal_regression": pd.DataFrame([row])}), tmp_path)[0].svg.is_file()


def test_terms_beyond_the_figures_room_are_left_out_of_it_and_counted(tmp_path: Path) -> None:
    rows = [term_row("toxicity", "age", str(number), 0.001 * number, 0.1) for number in range(45)]
    rows[0] |= {"published": 12.0}
    figure = draw_all(Results(study(), {"ordinal_regression": pd.DataFrame(rows)}), tmp_path)[0]
    assert "5 terms with larger p are left out." in figure.caption


def test_many_dimensions_and_long_names_are_drawn(tmp_path: Path) -> None:
    long = "a name that goes on and on " * 4
    names = [f"dimension-{number}" for number in range(7)]
    many = study(
        dimensions={name: {"title": long, "better": "lower"} for name in names}, experiments={}, architectures=(),
        evaluation={"dimensions": names[:1]},
    )  # fmt: skip
    rows = [term_row(name, long, f"{long}{value}", 0.1, 0.1) for name in names for value in range(4)]
    drawn = draw_all(Results(many, {"ordinal_regression": pd.DataFrame(rows)}), tmp_path)
    assert [figure.name for figure in drawn] == ["odds-ratios"]
