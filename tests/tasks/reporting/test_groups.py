"""Can one model serve all? The chapter says no more than the intervals, whom they know, and who can't be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.reporting.chapters import groups
from tasks.reporting.chapters.groups_figure import draw_groups, frontier
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import house_style
from tests.tasks.reporting.made_up import FACTS, HOSTILE, made_up, study, written
from tests.tasks.reporting.made_up_groups import group_tables, judge_row, serving

SERVING = serving()
KNOWN, UNKNOWN = (group_tables(SERVING, "serving", replicates=number) for number in (6, 0))


def results(tables: dict[str, pd.DataFrame], **changes: Any) -> Results:
    return Results(SERVING, {**tables, **changes}, FACTS)


def text(tables: dict[str, pd.DataFrame], **changes: Any) -> str:
    """All text of the chapter, and its findings."""
    own = results(tables, **changes)
    parts = [*groups.CHAPTER.parts(own), *(part for p in groups.CHAPTER.parts(own) for part in getattr(p, "parts", ()))]
    lines = [line for part in parts for line in (getattr(part, "items", None) or [getattr(part, "text", "")])]
    return "\n".join([*lines, *groups.CHAPTER.findings(own)])


def with_contrast(measure: str, estimate: float, reach: float, total: bool = True) -> dict[str, pd.DataFrame]:
    """The tables with another interval of robust - pooled on toxicity."""
    service = (KNOWN if total else UNKNOWN)["service"].copy()
    row = (service["contrast"] == "robust - pooled") & (service["measure"] == measure)
    row &= (service["dimension"] == "toxicity") & (service["architecture"] == "")
    for kind in ("ci", "hksj_ci", *(["total_ci"] if total else [])):
        service.loc[row, [f"{kind}_low", f"{kind}_high"]] = [estimate - reach, estimate + reach]
    service.loc[row, "estimate"] = estimate
    return {**(KNOWN if total else UNKNOWN), "service": service}


def test_a_study_without_groups_has_no_such_chapter() -> None:
    own = Results(study(), made_up(study()), FACTS)
    assert groups.CHAPTER.sections(own) == []
    assert groups.CHAPTER.findings(own) == []
    assert draw_groups(own) == []


def test_a_clear_change_is_said_with_its_interval_and_an_unclear_one_is_not_claimed() -> None:
    said = text(with_contrast("worst group", 0.05, 0.02))
    assert "robust raises the worst group against pooled by 0.050 (0.030 to 0.070)" in said
    said = text(with_contrast("worst group", 0.05, 0.06))
    assert "robust − pooled on the worst group (0.050, −0.010 to 0.110)" in said
    on_toxicity = next(line for line in said.split("\n") if line.startswith("Serving all groups, toxicity"))
    assert "robust raises the worst group" not in on_toxicity
    assert "robust narrows the gap between groups against pooled by 0.050" in text(with_contrast("gap", -0.05, 0.02))


def test_an_interval_that_does_not_know_who_was_asked_says_so() -> None:
    said = text(with_contrast("worst group", 0.05, 0.02, total=False))
    sentence = next(line for line in said.split("\n") if line.startswith("Serving all groups, toxicity"))
    assert "by 0.050 (0.030 to 0.070)" in sentence
    assert sentence.endswith("; no interval here knows who was asked.")
    prices = [line for line in said.split("\n") if line.startswith("pooled, ")]
    assert prices
    assert all(line.endswith("; no interval here knows who was asked.") for line in prices)
    assert "they do not know who was asked" in said
    said = text(KNOWN)
    assert "knows who was asked" not in said
    assert "They know who was asked." in said


def test_the_price_of_sharing_is_what_the_own_adapter_gives_more() -> None:
    service = KNOWN["service"].copy()
    row = (service["contrast"] == "own - pooled") & (service["measure"] == "group: male")
    row &= (service["dimension"] == "toxicity") & (service["architecture"] == "")
    for kind in ("ci", "hksj_ci", "total_ci"):
        service.loc[row, [f"{kind}_low", f"{kind}_high"]] = [0.15, 0.25]
    service.loc[row, "estimate"] = 0.2
    assert "pooled, toxicity: costs male 0.200 (0.150 to 0.250)" in text(KNOWN, service=service)
    service.loc[row, ["estimate", "ci_low", "ci_high"]] = [-0.2, -0.25, -0.15]
    for kind in ("hksj_ci", "total_ci"):
        service.loc[row, [f"{kind}_low", f"{kind}_high"]] = [-0.25, -0.15]
    assert "gives more than their own adapters to male 0.200 (0.150 to 0.250)" in text(KNOWN, service=service)


def test_without_own_adapters_there_is_no_price() -> None:
    tables = {**KNOWN, "groups": KNOWN["groups"].assign(ceiling="", regret=float("nan"))}
    assert "The price of sharing" not in text(tables)
    assert "The price of sharing" in text(KNOWN)


def test_groups_that_cant_be_told_apart_are_named() -> None:
    rows = [judge_row(name, "toxicity", used=False) for name in ("female", "male")]
    rows += [judge_row("female", "awareness", used=False), judge_row("male", "awareness")]
    said = text(KNOWN, judge_groups=pd.DataFrame(rows))
    assert "On toxicity the groups can't be told apart" in said
    assert "nothing tells them from everybody: female on awareness." in said
    assert "can't be told apart" not in text(KNOWN)


def test_ways_that_tell_the_model_the_group_are_said_to() -> None:
    assert "told the group" not in text(KNOWN)
    named = SERVING.experiments["serving"]
    conditions = named.conditions | {"named": named.conditions["named"].model_copy(update={"voices": "named"})}
    settings = SERVING.model_copy(
        update={"experiments": {"serving": named.model_copy(update={"conditions": conditions})}}
    )
    own = Results(settings, KNOWN, FACTS)
    said = "\n".join(getattr(part, "text", "") for part in groups.CHAPTER.parts(own))
    assert "Under named the model is told the group and answers each for itself;" in said


def test_of_ways_that_give_all_the_same_only_the_mean_is_compared() -> None:
    service = KNOWN["service"].copy()
    gap = (service["dimension"] == "toxicity") & (service["measure"] == "gap")
    service.loc[gap & service["contrast"].isin(["robust", "pooled"]), "uncorrected"] = 0.0
    said = next(line for line in text(KNOWN, service=service).split("\n") if line.startswith("Serving all groups, tox"))
    assert "robust − pooled on the mean over groups" in said or "the mean over groups against pooled" in said
    assert "equal − pooled on the worst group" in said or "the worst group against pooled" in said
    both = [row for row in groups._asked_for(results({**KNOWN, "service": service}), "serving", "toxicity")]
    assert {row["measure"] for row in both if row["contrast"] == "robust - pooled"} == {"mean", "population mean"}
    assert {"worst group", "gap"} <= {row["measure"] for row in both if row["contrast"] == "equal - pooled"}


def test_findings_of_several_experiments_say_which() -> None:
    settings = SERVING.model_copy(
        update={"experiments": {name: SERVING.experiments["serving"] for name in ("serving", "again")}}
    )
    twice = pd.concat([KNOWN["service"], KNOWN["service"].assign(experiment="again")])
    sentences = groups.CHAPTER.findings(Results(settings, {**KNOWN, "service": twice}, FACTS))
    assert all(line.startswith("Serving all groups (Serving groups), ") for line in sentences)
    assert len(sentences) == 2 * len(groups.CHAPTER.findings(results(KNOWN)))


def test_the_frontier_has_the_ways_that_no_other_beats_in_both() -> None:
    points = {"a": (0.5, 0.4), "b": (0.6, 0.3), "c": (0.55, 0.3), "d": (0.4, 0.2), "e": (0.5, 0.4)}
    assert frontier(points) == ["a", "e", "b"]
    assert frontier({}) == []


def test_every_way_and_group_is_drawn_and_told_to_who_can_not_see() -> None:
    with house_style():
        drawings = {drawing.name: drawing for drawing in draw_groups(results(KNOWN))}
    assert set(drawings) == {"served-serving", "trade-off-serving", "voices-serving"}
    for way in SERVING.experiments["serving"].conditions:
        assert f"{way}: female" in drawings["served-serving"].alt
        assert f"{way}: worst group" in drawings["trade-off-serving"].alt
    assert "Upright strokes" in drawings["served-serving"].caption


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("missing", ["voices", "judge_groups", "groups"])
def test_a_table_that_is_missing_leaves_out_what_is_made_of_it(missing: str, tmp_path: Path) -> None:
    html, _ = written(SERVING, {name: table for name, table in KNOWN.items() if name != missing}, tmp_path)
    assert "Can one model serve all?" in html
    assert ("figure-voices-serving" in html) == (missing != "voices")


def test_names_from_data_are_text_in_the_page(tmp_path: Path) -> None:
    strata = {name: {"attribute": "gender", "values": [name], "title": HOSTILE} for name in ("female", "male")}
    html, markdown = written(serving(strata=strata), KNOWN, tmp_path)
    assert "<script>alert" not in html
    assert "<script>alert" not in markdown
    assert "Simulated raters, tiny models." in html
