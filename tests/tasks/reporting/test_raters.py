"""Answers that the model does not expect, and whom filters leave out, on made-up numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.reporting.house.chapter import Results
from tasks.reporting.report import draw_all, findings
from tests.tasks.reporting.made_up import HOSTILE, audit_row, filtered_row, fits_row, made_up, study, written


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without pictures, which take most of the time; `draw_all` is tested by itself."""
    monkeypatch.setattr("tasks.reporting.report.draw_all", lambda *_: [])


def reported(tmp_path: Path, *rows: dict[str, Any], **changes: Any) -> str:
    """The Markdown of a report of these rows of rater_fits.csv."""
    return written(study(**changes), {"rater_fits": pd.DataFrame(list(rows))}, tmp_path)[1]


def test_the_finding_says_no_more_than_the_test_allows() -> None:
    def said(**changes: Any) -> list[str]:
        table = pd.DataFrame([fits_row("lz", "all", "all", **changes)])
        return findings(Results(study(), {"rater_fits": table}))

    start = (
        "Answers that the model does not expect: 4 of 100 raters (4.0%; 95% CI 1.6% to 9.8%), where chance gives about"
    )
    assert said() == [f"{start} 5: not clearly more than chance gives."]
    assert said(p_beyond=0.0104) == [f"{start} 5: more than chance gives (p = .010)."]
    assert said(p_beyond=0.0001)[0].endswith("(p < .001).")
    assert said(share_beyond=math.nan) == []


def test_nobody_is_called_careless(tmp_path: Path) -> None:
    text = written(study(simulate=False), {"rater_fits": made_up(study())["rater_fits"]}, tmp_path)[1]
    chapter = text.partition("## Answers that the model does not expect")[2].partition("\n## ")[0]
    assert "the considered view of somebody" in chapter
    for word in ("careless", "liar", "cheat", "imulated"):
        assert word not in chapter


def test_groups_stand_beside_one_of_twenty(tmp_path: Path) -> None:
    rows = [fits_row("lz", "all", name) for name in ("all", "female", "male")]
    assert "The interval is above one of twenty for no group." in reported(tmp_path, *rows)
    rows[1] |= {"ci_low": 0.07}
    assert "The interval is above one of twenty for female." in reported(tmp_path, *rows)
    assert "| female | 100 | 4 | 4.0% | 7.0% to 9.8% |" in reported(tmp_path, *rows)


def test_what_the_simulation_knows_is_called_simulated_truth(tmp_path: Path) -> None:
    rows = [fits_row("lz", "all", "all", auc=0.951), fits_row("irv", "all", "all", auc=0.5)]
    text = reported(tmp_path, *rows)
    assert "Simulated truth: some of these raters answer at random" in text
    assert r"chance): l\_z 0.95 and spread (IRV) 0.50." in text
    assert "Simulated truth" not in reported(tmp_path, fits_row("lz", "all", "all"))


def test_a_dimension_without_person_fit_is_told_with_its_reason(tmp_path: Path) -> None:
    nothing = {"n_raters": 0, "share_beyond": math.nan, "notes": "no response has two raters"}
    rows = [fits_row("lz", "toxicity", "all", **nothing), fits_row("outfit", "toxicity", "all", **nothing)]
    text = reported(tmp_path, *rows, fits_row("irv", "all", "all"))
    assert "There is no person fit on toxicity (no response has two raters)." in text
    assert "where chance gives" not in text


def test_hostile_reasons_and_groups_stay_text(tmp_path: Path) -> None:
    tables = {
        "rater_fits": pd.DataFrame([fits_row("lz", HOSTILE, "all", notes=HOSTILE), fits_row("lz", "all", HOSTILE)]),
        "audit": pd.DataFrame([audit_row("scale", "binary", "female")]),
        "filtered_raters": pd.DataFrame([filtered_row("scale", HOSTILE, HOSTILE, p_chance=0.01)]),
    }
    html, text = written(study(), tables, tmp_path)
    assert "<script>alert" not in html
    assert "<script>alert" not in text


def test_the_figure_has_a_panel_for_each_dimension_and_no_rater_by_name(tmp_path: Path) -> None:
    tables = {name: made_up(study())[name] for name in ("raters", "rater_fits")}
    (figure,) = draw_all(Results(study(), tables), tmp_path)
    assert figure.alt.startswith("Histograms of p. all dimensions: 4.0% of 100 raters below .05 by l_z; Toxicity:")
    assert tables["raters"]["rater"].iloc[0] not in figure.svg.read_text()
    assert draw_all(Results(study(), {"raters": tables["raters"].assign(lz_p=math.nan)}), tmp_path) == []


# ---- filters, in the audit


def test_whom_a_filter_leaves_out_more_than_chance_would_is_named(tmp_path: Path) -> None:
    rows = [
        filtered_row("scale", "binary", "all"),
        filtered_row("scale", "binary", "female", share_left_out=0.2, p_chance=0.004),
        filtered_row("scale", "binary", "male"),
    ]
    audit = {"audit": pd.DataFrame([audit_row("scale", "binary", "female")])}
    text = written(study(), audit | {"filtered_raters": pd.DataFrame(rows)}, tmp_path)[1]
    assert (
        "of 2 comparisons about 0.1 would have p &lt; .05 by chance: binary leaves out 20.0% of female raters " in text
    )
    assert "(10.0% of everybody; p = .004)." in text
    assert "| binary | all raters | 50 | 5 | 10.0% | 10.0% | – | 10.0% |" in text
    quiet = written(study(), audit | {"filtered_raters": pd.DataFrame([rows[0], rows[2]])}, tmp_path)[1]
    assert "by chance: no group has." in quiet
    assert "filters of raters" not in written(study(), audit, tmp_path)[1]


def test_a_condition_says_whom_it_leaves_out(tmp_path: Path) -> None:
    from configs.schema import Condition, RaterFilter
    from tasks.reporting.chapters.experiments import _whose

    def whose(**changes: Any) -> str:
        condition = Condition(dimensions=("toxicity",), scale="5-point", raters=RaterFilter(**changes))
        return _whose(study(), condition)

    assert whose(drop=0.1) == "everybody, without the 10.0% with the answers that the model expects least, by l_z"
    assert whose(drop=0.05, by="chance") == "everybody, without 5.0% at random"
    equal = Condition(dimensions=("toxicity",), scale="5-point", voices="equal")
    assert _whose(study(), equal, ("female", "male")) == "female and male (equal)"
