"""Pooling in the report: beside the paper, ratios, dose, budgets, forest plots, lineage, LaTeX."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import Study
from tasks.planning.cell_tables import doses_table
from tasks.reporting.chapters import budgets, experiments, health, pooling, provenance
from tasks.reporting.chapters import published as beside
from tasks.reporting.chapters.budgets import repeated
from tasks.reporting.chapters.dose_figure import doses, spread
from tasks.reporting.chapters.published_figure import published_effects
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.document import Link, TablePart
from tasks.reporting.house.drawing import house_style, write_canvas
from tasks.reporting.house.effects import with_interval
from tasks.reporting.house.forest import draw_forest, lines
from tasks.reporting.house.latex import LatexTable, escape, latex
from tests.tasks.reporting.made_up import FACTS, HOSTILE, full, made_up, pooled_row, study, written

FIVE, BINARY = "5-point - control", "binary - control"


def texts(parts: list[Any]) -> str:
    return "\n".join(part.text for part in parts if part.kind == "text")


# ---- beside the paper


def test_ours_and_the_published_are_counted_not_tested() -> None:
    rows = [
        pooled_row("groups", "female - male", "toxicity", -0.03, 0.02),  # same sign, not clear, holds -.035
        pooled_row("scale", FIVE, "toxicity", 0.1, 0.02),  # other sign, clear, does not hold -.242
    ]
    parts = beside.CHAPTER.parts(Results(study(), {"pooled": pd.DataFrame(rows)}))
    assert texts(parts).startswith(
        "The paper prints 2 of these pooled effects. 1 of ours have the same sign, 0 clearly so; 1 of our "
        "intervals (HKSJ) hold the published value. That is no test of the paper"
    )
    table = next(part for part in parts if part.kind == "table")
    assert [line[-1] for line in table.body] == ["yes", "no"]


def test_an_experiment_that_extends_another_is_not_the_papers() -> None:
    two = twice()
    assert [row["experiment"] for row in published_effects(Results(two, made_up(two)))] == ["groups", "scale"]


# ---- ratios


def ratio_row(**changes: Any) -> pd.DataFrame:
    row = {
        "experiment": "scale", "of": FIVE, "to": BINARY, "dimension": "toxicity", "k": 7, "estimate_of": -0.3,
        "estimate_to": -0.2, "ratio": 1.5, "ci_low": 1.2, "ci_high": 2.0, "n_replicates": 0,
        "total_ci_low": math.nan, "total_ci_high": math.nan, "published": 1.22,
    }  # fmt: skip
    return pd.DataFrame([row | changes])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "5-point moved toxicity 1.50 (1.20 to 2.00) times as much as binary (published: 1.22)."),
        ({"ci_low": 0.9}, "1.50 (0.90 to 2.00) times as much as binary, not clearly different from 1 (published"),
        ({"ci_low": -math.inf, "ci_high": math.inf}, "no bounds, since the effect of binary may be zero."),
    ],
)  # fmt: skip
def test_a_ratio_claims_no_more_than_its_interval(changes: dict[str, float], sentence: str) -> None:
    assert sentence in beside.CHAPTER.findings(Results(study(), {"ratios": ratio_row(**changes)}))[0]


def test_a_ratio_has_the_interval_that_knows_who_was_asked_where_there_is_one() -> None:
    found = ratio_row(n_replicates=8, total_ci_low=0.8, total_ci_high=3.0)
    text = beside.CHAPTER.findings(Results(study(), {"ratios": found}))[0]
    assert "1.50 (0.80 to 3.00) times as much as binary, not clearly different from 1" in text


def test_a_ratio_without_bounds_is_drawn_and_told(tmp_path: Path) -> None:
    found = ratio_row(ratio=-40.0, ci_low=-math.inf, ci_high=math.inf)
    _, text = written(study(), {"ratios": found}, tmp_path)
    assert "no bounds" in text
    assert not re.search(r"\b(nan|inf)\b", text)


# ---- pooling


def test_effects_that_hang_on_one_architecture_are_counted_and_it_is_named() -> None:
    row = pooled_row("scale", FIVE, "toxicity", -0.2)
    without = [
        {"experiment": "scale", "contrast": FIVE, "dimension": "toxicity", "without": name, "k": 2, "estimate": -0.1,
         "ci_low": -0.3, "ci_high": high, "hksj_ci_low": -0.4, "hksj_ci_high": high}
        for name, high in (("a", -0.05), ("b", 0.1))
    ]  # fmt: skip
    tables = {"pooled": pd.DataFrame([row]), "leave_one_out": full("leave_one_out", pd.DataFrame(without))}
    text = texts(pooling.CHAPTER.parts(Results(study(), tables)))
    assert "of 1 clear effects 1 would not be so without one architecture (b)." in text
    assert "Egger's test is not made: with fewer than 10 effects it tells nothing" in text


def test_methods_that_know_what_prompts_give_stand_apart_and_say_what_they_do_not_know() -> None:
    tables = made_up(study())
    tables["pooled"].loc[0, "mean_correlation"] = -0.04
    fold = next(
        part
        for part in pooling.CHAPTER.parts(Results(study(), tables))
        if part.kind == "fold" and part.title == "The same effects by other methods"
    )
    alone, shared = (part for part in fold.parts if part.kind == "table")
    assert alone.header[2:] == ("Fixed effect", "DerSimonian–Laird", "REML", "Paule–Mandel")
    assert shared.header[2:] == ("DerSimonian–Laird", "REML", "CR2", "Half-normal τ")
    text = texts(fold.parts)
    assert "correlated: by 0.30 in the middle of 5 pooled effects (from −0.04 to 0.30" in text
    assert "none knows that architectures learn from the same raters: the full interval alone does." in text
    methods = tables["pooling_methods"].set_index(["contrast", "dimension", "method"])
    cr2 = methods.loc[("5-point - control", "toxicity", "cr2")]
    line = next(line for line in shared.body if line[0].startswith("5-point") and line[1] == "Toxicity")
    assert line[4] == with_interval(cr2.to_dict())


def test_marked_runs_are_told_with_what_they_change() -> None:
    row = pooled_row("scale", FIVE, "toxicity", -0.2) | {"n_marked": 1}
    same = {"unmarked_estimate": -0.2, "unmarked_ci_low": -0.3, "unmarked_ci_high": -0.1}
    other = same | {"unmarked_ci_high": 0.1}
    assert health.marked_runs(Results(study(), {"pooled": pd.DataFrame([row | same])}))[0].endswith(
        "what is clear stays clear."
    )
    assert health.marked_runs(Results(study(), {"pooled": pd.DataFrame([row | other])}))[0].endswith(
        "whether an effect is clear changes for 5-point − control on toxicity."
    )
    assert health.marked_runs(Results(study(), made_up(study()))) == []


# ---- equal epochs, equal steps


def twice() -> Study:
    """The made-up study, and its scale experiment once more with equal steps."""
    experiments = study().model_dump()["experiments"]
    again = experiments["scale"] | {"extends": "scale", "budget": "steps", "title": "Scale, equal steps"}
    return study(experiments=experiments | {"scale-steps": again})


def test_an_experiment_stands_beside_the_one_that_it_extends() -> None:
    rows = [
        pooled_row(name, contrast, "toxicity", estimate)
        for name, estimates in (("scale", (-0.2, -0.1)), ("scale-steps", (-0.2, 0.0)))
        for contrast, estimate in zip((FIVE, BINARY), estimates, strict=True)
    ]
    parts = budgets.CHAPTER.parts(Results(twice(), {"pooled": pd.DataFrame(rows)}))
    assert "of 2 effects that are clear in the first, 1 are clear in the same direction in the second" in texts(parts)
    table = next(part for part in parts if part.kind == "table")
    assert [line[2:5:2] for line in table.body] == [["−0.200", "−0.200"], ["−0.100", "0.000"]]


def test_nothing_is_said_of_budgets_where_no_experiment_extends_another() -> None:
    assert budgets.CHAPTER.parts(Results(study(), made_up(study()))) == []
    assert repeated(Results(study(), made_up(study()))) == {}


@pytest.mark.usefixtures("unrendered")
def test_an_experiment_that_extends_another_is_drawn_beside_it(tmp_path: Path) -> None:
    html, _ = written(twice(), made_up(twice()), tmp_path)
    assert 'id="figure-budget-scale-steps"' in html
    assert "those of Scale, equal steps for the same number of optimiser steps" in html


# ---- dose


def test_a_dose_is_the_mean_number_of_pairs_of_a_condition() -> None:
    tables = made_up(study())
    cells = tables["cells"]
    cells.loc[(cells["condition"] == "binary") & (cells["architecture"] == "a"), "n_pairs"] = 300  # 900 in b and c
    tables["doses"] = doses_table(cells)
    found = {row["first"]: row["pairs"] for row in doses(Results(study(), tables))}
    assert found == {"5-point": 900, "binary": 700}


@given(st.lists(st.floats(-1, 1), max_size=12), st.floats(0.01, 0.5))
def test_names_stand_apart_in_their_order_and_stay_where_there_is_room(values: list[float], gap: float) -> None:
    ordered = sorted(values)
    places = spread(ordered, gap)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(places))
    if all(b - a >= gap for a, b in pairwise(ordered)):
        assert places == pytest.approx(ordered)


# ---- forest plots


def svg(tmp_path: Path, *effects: tuple[str, float, float], **pooled: float) -> str:
    row = pooled_row("scale", FIVE, "toxicity", -0.2) | pooled
    with house_style():
        path = write_canvas(draw_forest(lines(list(effects), 0.0), row, "heading", "axis"), tmp_path / "forest")
    return path.read_text()


def test_a_forest_plot_says_every_number_it_shows(tmp_path: Path) -> None:
    text = svg(tmp_path, ("first", -0.1234, 0.01), ("second", 0.5, 0.02))
    assert "−0.123 (−0.143 to −0.104)  80%" in text  # weights 1 / .01² and 1 / .02²: 4 to 1
    assert "0.500 (0.461 to 0.539)  20%" in text
    for line in ("Pooled, Wald 95% CI", "Pooled, HKSJ 95% CI", "Prediction 95%"):
        assert line in text


def test_one_effect_and_a_huge_outlier_are_drawn(tmp_path: Path) -> None:
    missing = dict.fromkeys(("hksj_ci_low", "hksj_ci_high", "pi_low", "pi_high", "tau2"), math.nan)
    assert "HKSJ" not in svg(tmp_path, ("alone", -0.2, 0.02), **missing)
    assert "1000000.000" in svg(tmp_path, ("usual", -0.2, 0.02), ("outlier", 1e6, 0.02))


def test_a_very_wide_interval_leaves_the_axis_and_does_not_press_the_effects_together() -> None:
    wide = pooled_row("scale", FIVE, "toxicity", -0.2, k=2) | {"hksj_ci_low": -50.0, "hksj_ci_high": 50.0}
    with house_style():
        low, high = draw_forest(lines([("a", -0.3, 0.02), ("b", -0.1, 0.02)], 0.0), wide, "h", "x").axes[0].get_xlim()
    assert -0.6 < low < -0.34
    assert 0.1 < high < 0.25


def test_a_weight_below_zero_is_said_and_drawn_as_the_least() -> None:
    line = replace(lines([("a", 0.1, 0.1)], 0.0)[0], weight=-0.03)
    with house_style():
        canvas = draw_forest([line], pooled_row("scale", FIVE, "toxicity", -0.2), "heading", "axis")
    assert any(text.get_text().endswith("-3%") for text in canvas.axes[0].texts)
    sizes = [size for marks in canvas.axes[0].collections for size in getattr(marks, "get_sizes", list)()]
    assert min(sizes) == pytest.approx(2.5**2)


def test_hostile_names_stay_text_in_a_figure(tmp_path: Path) -> None:
    assert "<script" not in svg(tmp_path, (HOSTILE, -0.2, 0.02)).lower()


# ---- from a number to its rows


def every_effect() -> TablePart:
    """The made-up study's effects of its scale experiment in every architecture."""
    sections = experiments.CHAPTER.sections(Results(study(), made_up(study())))
    scale = next(section for section in sections if section.key == "experiment-scale")
    return scale.parts[-1].parts[1]


def test_every_effect_leads_to_runs_that_are_in_the_table_of_runs() -> None:
    links = [cell for line in every_effect().body for cell in line if isinstance(cell, Link)]
    runs = provenance.CHAPTER.parts(Results(study(), made_up(study()), FACTS))[1].parts[0]
    assert links
    assert {link.target.removeprefix("#") for link in links} <= set(runs.ids)
    assert all(line[-1].startswith("store/training-runs/") for line in runs.body)


def test_a_side_without_a_run_says_so() -> None:
    against_control = [line for line in every_effect().body if str(line[0]).endswith("control")]
    assert {line[-1] for line in against_control} == {"none"}


@pytest.mark.usefixtures("unrendered")
def test_every_link_within_the_report_leads_somewhere(tmp_path: Path) -> None:
    html, _ = written(study(), made_up(study()), tmp_path)
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(ids)
    assert 'href="#figure-forest-scale-5-point-minus-control-toxicity"' in html


# ---- LaTeX


def test_text_is_escaped_for_latex() -> None:
    assert escape("a_b & 50% −1 <x> {y} \\input") == r"a\_b \& 50\% $-$1 $<$x$>$ \{y\} \textbackslash{}input"
    assert escape("two\nlines\x00") == "two lines?"


def test_a_latex_table_has_as_many_cells_as_columns() -> None:
    text = latex(LatexTable("name", "caption", TablePart(["a", "b"], "lr", [["x", Link("y", "#z")]])), "label")
    assert r"x & y \\" in text
    assert r"\begin{tabular}{lr}" in text


@pytest.mark.usefixtures("unrendered")
def test_the_papers_tables_are_written_beside_the_csv(tmp_path: Path) -> None:
    written(study(title=HOSTILE), made_up(study()), tmp_path)
    names = sorted(path.name for path in (tmp_path / "tables").glob("*.tex"))
    assert names == ["ordinal_regression.tex", "pooled.tex", "published.tex", "ratios.tex"]
    for name in names:
        text = (tmp_path / "tables" / name).read_text()
        assert "Simulated raters, tiny models." in text
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
        widths = {len(re.findall(r"(?<!\\)&", line)) for line in text.splitlines() if line.endswith(r"\\")}
        assert len(widths) == 1
