"""Was the truth found? The chapter of what a simulated study plants."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from configs.load import load_study
from configs.schema import Study
from tasks.reporting.chapters import truth
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.document import TablePart
from tasks.reporting.report import sections
from tests.tasks.reporting.made_up import FACTS, made_up, study, truth_row

BOTH = ("toxicity", "awareness")


def groups() -> Study:
    """The made-up study with three contrasts of groups: two trained on awareness, one on toxicity."""
    settings = study().model_dump()
    names = {"female": "toxicity", "male": "toxicity", "left": "awareness", "right": "awareness", "north": "awareness",
             "south": "awareness"}  # fmt: skip
    strata = {name: {"attribute": "gender", "values": [name]} for name in names}
    own = settings["experiments"]["groups"]
    own["conditions"] = {n: {"stratum": n, "dimensions": [d], "scale": "5-point"} for n, d in names.items()}
    own["contrasts"] = {"female - male": {}, "left - right": {}, "north - south": {}}
    return study(strata=strata, experiments=settings["experiments"])


def results(*rows: dict[str, Any]) -> Results:
    return Results(groups(), {"truth": pd.DataFrame(rows)}, FACTS)


def text(*rows: dict[str, Any]) -> str:
    return "\n".join(part.text for part in truth.CHAPTER.parts(results(*rows)) if part.kind == "text")


def table(*rows: dict[str, Any]) -> TablePart:
    return next(part for part in truth.CHAPTER.parts(results(*rows)) if part.kind == "table")


FOUND = truth_row("female - male", "toxicity", -1, 2.25, -0.042)
CARRIED = truth_row("female - male", "awareness", 1, 1.4, 0.01)
STRONG = truth_row("left - right", "awareness", 1, 2.6, 0.03)
WEAK = truth_row("north - south", "awareness", 1, 1.9, 0.025)
NULL = truth_row("north - south", "toxicity", 0, 0.0, 0.005)


def test_what_was_found_missed_or_came_out_the_other_way_is_counted_and_named() -> None:
    wrong = truth_row("left - right", "toxicity", -1, 1.0, 0.1)
    said = text(FOUND, CARRIED, wrong, NULL)
    assert "Planted: of 3 planted effects 1 found, 1 missed, 1 wrong sign." in said
    assert "Missed: female − male on awareness 0.010 (−0.010 to 0.030)." in said
    assert "On the wrong side: left − right on toxicity 0.100 (0.080 to 0.120)." in said
    assert "2 of them are on a dimension that was not trained on" in said


def test_nulls_are_counted_and_those_that_broke_are_named() -> None:
    said = text(FOUND, NULL, truth_row("left - right", "toxicity", 0, 0.0, 0.05))
    assert "Nothing planted: of 2 nulls 1 kept, 1 broken." in said
    assert "Broken: left − right on toxicity 0.050 (0.030 to 0.070)." in said
    assert "Broken:" not in text(FOUND, NULL)


def test_the_order_of_strengths_is_held_against_that_of_effects() -> None:
    assert (
        "awareness after training on it: planted left − right (2.60), north − south (1.90); "
        "measured, in the same order, left − right (0.030), north − south (0.025)."
    ) in text(WEAK, STRONG, CARRIED)
    assert "measured, in another order, north − south (0.040), left − right (0.030)." in text(
        STRONG, WEAK | {"estimate": 0.04}
    )


def test_only_effects_on_what_is_trained_on_have_an_order() -> None:
    assert "In order of strength" not in text(STRONG, CARRIED, FOUND, NULL)
    assert "In order of strength" not in text(STRONG, WEAK | {"estimate": math.nan})


def test_the_order_is_that_of_the_planted_direction() -> None:
    down = [truth_row(row["contrast"], "awareness", -1, row["strength"], -row["estimate"]) for row in (WEAK, STRONG)]
    assert "measured, in the same order, left − right (−0.030), north − south (−0.025)." in text(*down)


def test_without_slopes_the_chapter_says_that_every_contrast_is_a_null() -> None:
    said = text(NULL)
    assert "in the level of their ratings alone" in said
    assert "every contrast of groups is a null" in said
    assert "Planted:" not in said
    assert truth.CHAPTER.findings(results(NULL)) == ["What the simulation plants in its groups: of 1 null 1 kept."]


def test_it_says_that_raters_are_made_up_and_what_has_no_known_truth() -> None:
    for rows in ([FOUND, NULL], [NULL]):
        said = text(*rows)
        assert "on raters who were made up for it, and says nothing about people" in said
        assert "Contrasts with the control, and of scales, aggregations or methods, are not in it" in said
        assert said.endswith("Simulated raters, tiny models.")


def test_the_findings_have_one_sentence() -> None:
    assert truth.CHAPTER.findings(results(FOUND, CARRIED, NULL)) == [
        "What the simulation plants in its groups: of 2 planted effects 1 found, 1 missed; of 1 null 1 kept."
    ]


def test_the_table_has_a_line_an_effect_planted_ones_first_in_at_most_six_columns() -> None:
    lines = table(NULL, FOUND, CARRIED, truth_row("left - right", "toxicity", -1, 1.0, math.nan))
    assert len(lines.header) <= 6
    assert lines.body == [
        ["female − male", "Toxicity", "lower (2.25)", "−0.042", "−0.062 to −0.022", "found"],
        ["female − male", "Awareness, not trained on", "higher (1.40)", "0.010", "−0.010 to 0.030", "missed"],
        ["left − right", "Toxicity, not trained on", "lower (1.00)", "–", "–", "not measured"],
        ["north − south", "Toxicity, not trained on", "nothing", "0.005", "−0.015 to 0.025", "kept"],
    ]


def test_a_contrast_that_two_experiments_have_is_told_with_its_experiment() -> None:
    settings = groups().model_dump()["experiments"]
    twice = study(
        strata=groups().model_dump()["strata"],
        experiments=settings | {"again": settings["groups"] | {"title": "Again"}},
    )
    rows = [FOUND, FOUND | {"experiment": "again"}, STRONG]
    parts = truth.CHAPTER.parts(Results(twice, {"truth": pd.DataFrame(rows)}, FACTS))
    body = next(part for part in parts if part.kind == "table").body
    assert [line[0] for line in body] == ["Groups: female − male", "Again: female − male", "left − right"]


def test_a_study_of_real_ratings_has_no_such_chapter() -> None:
    real = study(simulate=False)
    assert "truth" not in {section.key for section in sections(Results(real, made_up(real), FACTS))}


def test_the_chapter_stands_after_the_results_of_a_simulated_study() -> None:
    demo = load_study("demo", {"architectures": ["tiny-llama", "tiny-falcon"]})
    keys = [section.key for section in sections(Results(demo, made_up(demo), FACTS))]
    assert keys.index("pooling") < keys.index("truth") < keys.index("training-runs")


def test_a_single_planted_effect_reads_as_one() -> None:
    assert "of 1 planted effect 1 found" in text(FOUND)
