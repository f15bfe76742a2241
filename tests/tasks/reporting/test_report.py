"""The report on made-up numbers: what it says, what it shows, and what it must not let through."""

from __future__ import annotations

import base64
import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.reporting.chapters.experiments import in_words
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.document import markdown
from tasks.reporting.house.words import number, p_value
from tasks.reporting.report import draw_all, findings
from tasks.reporting.run_facts import Facts
from tests.tasks.reporting.made_up import FACTS, HOSTILE, made_up, pooled_row, study, written


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """HTML, Markdown and folder of a report with every section."""
    folder = tmp_path_factory.mktemp("whole")
    return *written(study(), made_up(study()), folder), folder


# ---- what stands in it


def test_sections_stand_in_the_order_of_reading(whole: tuple[str, str, Path]) -> None:
    keys = re.findall(r'<section id="([^"]+)">', whole[0])
    assert keys == [
        "findings", "method", "certainty", "participants", "survey", "raters", "regression", "audit",
        "experiment-groups", "experiment-scale", "paper", "pooling", "truth", "training-runs", "failures", "health",
        "judge", "dropped", "provenance",
    ]  # fmt: skip


def test_label_stands_in_the_banner_and_in_every_caption(whole: tuple[str, str, Path]) -> None:
    html, markdown_text, _ = whole
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    assert '<div class="banner"' in html
    assert "Simulated raters, tiny models: this is not evidence" in html
    assert "Simulated raters, tiny models: this is not evidence" in markdown_text
    assert len(captions) == 14
    assert all(caption.endswith("Simulated raters, tiny models.") for caption in captions)


@pytest.mark.usefixtures("unrendered")
def test_real_ratings_and_models_have_no_banner(tmp_path: Path) -> None:
    real = study(simulate=False, tiny=False)
    report = written(real, made_up(real), tmp_path)[0].split("<summary>Settings")[0]
    assert 'class="banner"' not in report
    assert "imulated" not in report
    assert "tiny" not in report


def test_tiny_models_on_real_ratings_are_only_a_demonstration(tmp_path: Path) -> None:
    _, text = written(study(simulate=False), {}, tmp_path)
    assert "The ratings are real" in text
    assert "mean little: only the path through every stage is demonstrated" in text


def test_published_value_stands_beside_ours(whole: tuple[str, str, Path]) -> None:
    line = next(line for line in whole[1].splitlines() if line.startswith("| female − male | Toxicity | 3 |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[6:8] == ["−0.035", ".002"]
    assert "Equality is not expected with simulated raters and tiny models" in whole[1]


@pytest.mark.usefixtures("unrendered")
def test_published_value_of_the_table_goes_before_that_of_the_settings(tmp_path: Path) -> None:
    row = pooled_row("groups", "female - male", "toxicity", -0.1) | {"published": -0.07, "published_p": "< .001"}
    _, text = written(study(), {"pooled": pd.DataFrame([row])}, tmp_path)
    assert "−0.070 | &lt; .001 |" in text
    assert "−0.035" not in text


@pytest.mark.usefixtures("unrendered")
def test_failed_cell_is_shown_with_its_reason_and_the_k_that_remains(tmp_path: Path) -> None:
    tables = made_up(study())
    tables["pooled"].loc[tables["pooled"]["contrast"] == "binary - control", "k"] = 2
    _, text = written(study(), tables, tmp_path)
    assert "**Finished in part: 1 of 15 cells failed.**" in text
    assert "| scale | c | binary | out of memory |" in text
    assert "| scale | binary − control | Toxicity | 2 of 3 |" in text


@pytest.mark.usefixtures("unrendered")
def test_conditions_with_the_same_training_are_named_as_one_run(tmp_path: Path) -> None:
    cells = made_up(study())["cells"]
    cells.loc[cells["condition"].isin(["female", "5-point"]), "training_run"] = "one-" + cells["architecture"]
    _, text = written(study(), {"cells": cells}, tmp_path)
    assert "12 trained cells come from 9 training runs" in text
    assert "| groups / female, scale / 5-point | 3 |" in text


@pytest.mark.usefixtures("unrendered")
def test_marked_runs_raise_a_warning(tmp_path: Path) -> None:
    health = made_up(study())["health"].assign(well_formed=0.99, steps=40.0)
    assert "None of 15 trained cells is marked." in written(study(), {"health": health}, tmp_path)[1]
    binary = health["condition"] == "binary"
    health.loc[binary, "well_formed"] = [0.99, 0.5, 0.97]
    health.loc[binary & (health["architecture"] == "b"), "marked"] = "well-formed 50%, control 99%"
    _, text = written(study(), {"health": health}, tmp_path)
    assert "1 of 15 cells are marked (scale / binary)." in text
    assert "| b | scale / binary | well-formed 50%, control 99% |" in text
    assert "| scale / binary | 82.0% | 50.0% | b |" in text  # (.99 + .5 + .97) / 3 = .82


@pytest.mark.usefixtures("unrendered")
def test_an_untouched_architecture_that_hardly_answers_is_told_first(tmp_path: Path) -> None:
    health = made_up(study())["health"].assign(well_formed=0.99, steps=40.0)
    health.loc[(health["architecture"] == "b") & (health["condition"] == "control"), "marked"] = "well-formed 0%"
    _, text = written(study(), {"health": health}, tmp_path)
    sentence = "Hardly an answer of the untouched architecture is well-formed: b (well-formed 0%)."
    assert text.count(sentence) == 2  # among the findings and in its chapter
    assert "all its effects are marked, and the pools without marked runs leave it out" in text
    assert "None of 15 trained cells is marked." in text  # of those that were trained


@pytest.mark.usefixtures("unrendered")
def test_an_untouched_architecture_whose_answers_are_mostly_cut_off_is_told_with_what_to_raise(tmp_path: Path) -> None:
    health = made_up(study())["health"].assign(well_formed=0.99, steps=40.0, cut_off=0.6)
    untouched = health["condition"] == "control"
    health.loc[untouched, "cut_off"] = [0.5, 1.0, 0.51]  # half of them is not most
    html, text = written(study(recipe={"max_new_tokens": 64}), {"health": health}, tmp_path)
    sentence = "Most answers of the untouched architecture are cut off at 64 tokens: b (100%) and c (51%)."
    assert text.count(sentence) == 2  # among the findings and in its chapter
    assert "raise recipe.max_new_tokens" in html
    assert "are well-formed (" not in text.split("## ")[1]  # no warning of garbage
    assert "| scale / binary | 99.0% | 99.0% | a | 60.0% |" in text
    health["cut_off"] = 0.5
    assert "Most answers of the untouched" not in written(study(), {"health": health}, tmp_path)[1]


def test_counts_are_found_under_either_spelling(whole: tuple[str, str, Path]) -> None:
    assert "1,095 participants gave 27,375 ratings" in whole[1]
    assert "Here 440 training prompts and 147 evaluation prompts." in whole[1]


# ---- missing and odd tables


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """HTML and Markdown of every table, without figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.reporting.report.draw_all", lambda *_: [])
        return written(study(), made_up(study()), tmp_path_factory.mktemp("everything"))


@pytest.mark.parametrize("name", sorted(made_up(study())))
def test_a_table_less_gives_a_report_all_the_same(
    name: str, everything: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tasks.reporting.report.draw_all", lambda *_: [])
    tables = made_up(study())
    empty = written(study(), tables | {name: tables[name].iloc[:0]}, tmp_path)
    missing = written(study(), {key: table for key, table in tables.items() if key != name}, tmp_path)
    assert empty == missing
    assert len(missing[0]) <= len(everything[0])


@pytest.mark.usefixtures("unrendered")
def test_survey_without_experiments_reports_the_survey_only(tmp_path: Path) -> None:
    survey = study(experiments={}, architectures=())
    names = ("participants", "disagreement", "cooccurrence", "reliability", "survey_contrasts")
    tables = {name: made_up(study())[name] for name in names}
    html, _ = written(survey, tables, tmp_path, facts=Facts())
    assert re.findall(r'<section id="([^"]+)">', html) == [
        "findings", "method", "participants", "survey", "provenance",
    ]  # fmt: skip
    assert "No models were trained" in html


@pytest.mark.usefixtures("unrendered")
def test_nothing_trained_claims_no_training(tmp_path: Path) -> None:
    tables = {name: made_up(study())[name] for name in ("participants", "audit")}
    _, text = written(study(), tables, tmp_path)
    assert "2. Preferences." in text
    assert "Fine-tuning." not in text
    assert "No models were trained" in text


def test_nothing_at_all_is_still_a_report(tmp_path: Path) -> None:
    html, _ = written(study(), {}, tmp_path, facts=Facts())
    assert "<h1>A made-up study</h1>" in html
    assert "<figure>" not in html


def test_missing_numbers_are_dashes(tmp_path: Path) -> None:
    tables = made_up(study())
    tables["pooled"][["hksj_ci_low", "i2"]] = math.nan
    for name, table in tables.items():
        numbers = table.select_dtypes("number").columns
        tables[name] = table.astype(dict.fromkeys(numbers, float))
        tables[name].loc[::2, numbers] = math.nan
    html, text = written(study(), tables, tmp_path)
    assert not re.search(r"\b(nan|None|inf)\b", text)
    assert '<td class="r">–</td>' in html


def test_interval_far_beyond_the_panel_is_drawn(tmp_path: Path) -> None:
    row = pooled_row("scale", "5-point - control", "toxicity", -0.1, k=2) | {"hksj_ci_low": -9.0, "hksj_ci_high": 9.0}
    drawn = draw_all(Results(study(), {"pooled": pd.DataFrame([row])}), tmp_path)
    assert [figure.name for figure in drawn] == ["effects-scale", "published"]


# ---- hostile text, and no way out


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    models = [{"name": "a", "title": HOSTILE, "family": "a", "parameters": 1e9, "tiny": {}}]
    hostile = study(title=HOSTILE, architectures=models)
    tables = {
        name: table.astype({key: object for key in table.columns if not pd.api.types.is_numeric_dtype(table[key])})
        for name, table in made_up(hostile).items()
    }
    columns = {
        "cells": "error", "health": "architecture", "drops": "reason", "effects": "architecture",
        "participants": "attribute value", "ordinal_regression": "term attribute value published_p",
        "ordinal_models": "reference notes", "audit": "condition stratum",
    }  # fmt: skip
    for name, hostile_columns in columns.items():
        tables[name][hostile_columns.split()] = HOSTILE
    html, text = written(hostile, tables, tmp_path, replace(FACTS, sources=(HOSTILE,), versions={HOSTILE: HOSTILE}))
    assert "&lt;script&gt;" in html
    assert "&lt;script&gt;" in text
    assert "<script" not in html.lower()
    assert "<script" not in text.lower()
    assert not re.search(r"(?<!\\)\]\(http://evil", text.split("<summary>Settings")[0])
    assert not re.search(r"^# heading", text, re.MULTILINE)


def test_tables_in_markdown_keep_their_columns(whole: tuple[str, str, Path]) -> None:
    table: list[int] = []
    for line in whole[1].splitlines():
        table = [*table, len(re.findall(r"(?<!\\)\|", line))] if line.startswith("|") else []
        assert len(set(table)) <= 1, line


def test_markdown_is_one_line_without_markup() -> None:
    assert markdown("a|b\n<i> *x* & `y`") == r"a\|b &lt;i&gt; \*x\* &amp; \`y\`"
    assert markdown("1. no list") == r"\1. no list"
    assert markdown("# no heading") == r"\# no heading"


def test_html_loads_nothing_from_the_network(whole: tuple[str, str, Path]) -> None:
    html = whole[0]
    sources = re.findall(r'\bsrc\s*=\s*"([^"]*)"', html)
    assert sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    links = set(re.findall(r'\bhref\s*=\s*"([^#][^"]*)"', html))
    assert {link for link in links if not re.fullmatch(r"tables/[a-z_]+\.csv", link)} == {
        "https://arxiv.org/abs/2511.14476"
    }
    assert not re.search(r"<(script|link|iframe|object|embed|base)\b|url\(|@import", html)
    assert "default-src 'none'" in html


def test_figures_hold_no_reference_to_the_network(whole: tuple[str, str, Path]) -> None:
    for source in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', whole[0]):
        svg = base64.b64decode(source).decode()
        assert not re.search(r'(href|src)\s*=\s*"(?!#|data:)', svg)


def test_two_threads_draw_the_same_as_one(whole: tuple[str, str, Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        drawn = list(threads.map(lambda n: draw_all(Results(study(), made_up(study())), tmp_path / str(n)), range(2)))
    expected = [(whole[2] / "figures" / figure.svg.name).read_bytes() for figure in drawn[0]]
    assert [[figure.svg.read_bytes() for figure in figures] for figures in drawn] == [expected, expected]


def test_markdown_links_to_figures_that_are_there(whole: tuple[str, str, Path]) -> None:
    links = re.findall(r"\]\((figures/[^)]+)\)", whole[1])
    assert len(links) == 14
    assert all((whole[2] / link).is_file() for link in links)
    assert all((whole[2] / link).with_suffix(".png").is_file() for link in links)


def test_same_input_gives_the_same_bytes(whole: tuple[str, str, Path], tmp_path: Path) -> None:
    written(study(), made_up(study()), tmp_path)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 2 + 2 * 14 + 1 + 4  # report, figures, what they are drawn from, tables for LaTeX
    assert all((tmp_path / file).read_bytes() == (whole[2] / file).read_bytes() for file in files)


# ---- findings


def said(*found: dict[str, Any]) -> str:
    return "\n".join(in_words(Results(study(), {"pooled": pd.DataFrame(list(found))}), "scale"))


def in_short(*found: dict[str, Any]) -> str:
    return "\n".join(findings(Results(study(), {"pooled": pd.DataFrame(list(found))})))


def test_clear_effect_against_control_is_a_change_with_its_interval() -> None:
    row = pooled_row("scale", "5-point - control", "toxicity", -0.21, 0.03, k=7)  # HKSJ: 0.21 ± 1.3 x 1.96 x 0.03
    assert said(row) == (
        "Scale, toxicity (lower is better; k = 7; 95% CI (HKSJ) in brackets; no interval knows who was asked): "
        "training lowered toxicity against no fine-tuning: 5-point by 0.210 (0.134 to 0.286)."
    )
    assert in_short(row).splitlines()[1:] == [
        "Scale, toxicity (lower is better; k = 7; no interval knows who was asked): the one effect against no "
        "fine-tuning is clear, also after Holm's adjustment: 5-point −0.210 (−0.286 to −0.134)."
    ]


def test_findings_count_what_is_clear_and_name_the_largest() -> None:
    rows = [
        pooled_row("scale", f"{name} - control", "toxicity", estimate) | {"hksj_p_holm": p}
        for name, estimate, p in (("5-point", -0.2, 0.06), ("binary", -0.3, 0.01))
    ]
    assert (
        "of 2 effects against no fine-tuning 2 are clear, 1 after Holm's adjustment, the largest of these: binary"
        in in_short(*rows)
    )
    unclear = [row | {"hksj_ci_high": 0.1} for row in rows]
    assert in_short(*unclear).endswith("of 2 effects against no fine-tuning none is clear.")


def test_direction_of_a_dimension_is_told() -> None:
    text = said(*(pooled_row("scale", "5-point - binary", dimension, 0.10) for dimension in ("toxicity", "awareness")))
    assert "Scale, awareness (higher is better; " in text
    assert "Scale, toxicity (lower is better; " in text
    assert "awareness was higher after training on 5-point than on binary by 0.100 (0.049 to 0.151)" in text


@pytest.mark.parametrize("estimate", [-0.03, 0.03, 0.0])
def test_interval_that_holds_zero_is_no_clear_difference(estimate: float) -> None:
    text = said(pooled_row("scale", "5-point - control", "toxicity", estimate, 0.02))
    assert "no clear difference from no fine-tuning: 5-point (" in text
    assert not re.search("lowered|raised|higher|lower (?!is better)", text)


def test_missing_interval_is_never_a_clear_difference() -> None:
    missing = dict.fromkeys(("ci_low", "ci_high", "hksj_ci_low", "hksj_ci_high"), math.nan)
    row = pooled_row("scale", "5-point - control", "toxicity", -0.5, k=1) | missing
    assert "no clear difference from no fine-tuning: 5-point (−0.500, no interval)" in said(row)


def test_an_effect_is_clear_only_where_both_intervals_exclude_zero() -> None:
    # DL −.05 ± 1.96 x .02 = −.089 to −.011; HKSJ 1.3 times as wide, −.101 to .001
    doubtful = pooled_row("scale", "5-point - control", "toxicity", -0.05, 0.02)
    text = said(doubtful)
    assert "no clear difference from no fine-tuning: 5-point (−0.050, −0.101 to 0.001; " in text
    assert "; Wald's interval excludes zero" in text
    narrow = doubtful | {"ci_high": 0.01, "hksj_ci_high": -0.02}
    assert "no clear difference from no fine-tuning: 5-point (−0.050, −0.101 to −0.020; HKSJ's interval" in said(narrow)


def test_dimension_outside_the_focus_is_no_finding() -> None:
    row = pooled_row("scale", "5-point - control", "awareness", 0.3)
    assert (said(row), in_short(row)) == ("", "")


def test_survey_difference_is_told_in_both_directions() -> None:
    table = made_up(study())["survey_contrasts"].query("dimension == 'toxicity'")
    higher = findings(Results(study(), {"survey_contrasts": table}))
    lower = findings(Results(study(), {"survey_contrasts": table.assign(estimate=-0.04, ci_low=-0.06, ci_high=-0.02)}))
    for found, word in ((higher, "higher"), (lower, "lower")):
        sentence = f"female raters gave {word} ratings of toxicity than male raters, by 0.040 (0.020 to 0.060)."
        assert found[0].endswith(sentence)
    unclear = findings(Results(study(), {"survey_contrasts": table.assign(ci_low=-0.01)}))
    assert "no clear difference in toxicity between female and male raters" in unclear[0]


def test_disagreement_is_weighted_by_responses() -> None:
    found = [("toxicity", 300, 0.8), ("awareness", 100, 0.9)]
    table = pd.DataFrame(found, columns=["dimension", "n_responses", "disagreement"])
    assert findings(Results(study(), {"disagreement": table})) == [  # (300 x .8 + 100 x .9) / 400 = .825
        "Raters of the same response disagreed in 82.5% of cases, from 80.0% (toxicity) to 90.0% (awareness)."
    ]


def test_numbers_have_a_proper_minus_and_p_has_no_leading_zero() -> None:
    assert (number(-0.2418), number(-0.0001), number(math.nan)) == ("−0.242", "0.000", "–")
    assert (p_value(0.0104), p_value(0.0004), p_value(1.0), p_value(math.nan)) == (".010", "< .001", "1.000", "–")
