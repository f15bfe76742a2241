"""The rows of conditions with voices: by hand, and what one group, or groups that agree, must come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.methods import METHODS
from tasks.methods.group_weights import GROUP
from tasks.methods.training_rows import of_all_groups, rows_digest, training_rows, why_not
from tasks.preferences.condition import ConditionData, experiment_data
from tasks.ratings.study_data import StudyData
from tests.conftest import make_data

EA = "emotional-awareness"
# Two responses to one prompt: x1, x2, x3 are of group x, y1 of y; z1 of neither. All of x's say a, y1 says b.
ROWS = [
    ("x1", "q", "a", 5), ("x2", "q", "a", 5), ("x3", "q", "b", 2), ("x1", "q", "b", 2),
    ("y1", "q", "a", 1), ("y1", "q", "b", 5), ("z1", "q", "a", 5),
    ("x1", "p", "c", 4), ("x1", "p", "d", 1), ("y1", "p", "c", 4), ("y1", "p", "d", 2),
]  # fmt: skip


def study(voices: str | None, groups: str = "xy", method: str = "dpo", **more: Any) -> Study:
    condition = {"dimensions": [EA], "scale": "5-point", "method": method} | ({"voices": voices} if voices else {})
    experiment = {
        "title": "T", "question": "Q", "groups": list(groups), "conditions": {"all": condition},
        "contrasts": {"all - control": {}},
    }  # fmt: skip
    strata = {letter: {"attribute": "group", "values": [letter]} for letter in "xyzw"}
    settings = {"experiments": {"e": experiment}, "strata": strata, "placebo": 0, "raters": {}, "survey": {}}
    return load_study("demo", settings | {"evaluation": {"share": 1e-9, "dimensions": [EA]}} | more)


def made(settings: Study, rows: list[tuple[str, str, str, int]] = ROWS) -> ConditionData:
    data = make_data(rows, EA, {"group": {who: (who[0],) for who, *_ in rows}})
    return experiment_data(settings, StudyData.of(settings, data), settings.experiments["e"])["all"]


def rows_of(settings: Study, rows: list[tuple[str, str, str, int]] = ROWS) -> pd.DataFrame:
    method = METHODS[settings.experiments["e"].conditions["all"].method]
    return training_rows(method, made(settings, rows), settings.recipe, 0)[0]


def test_equal_voices_by_hand() -> None:
    table = rows_of(study("equal")).set_index(["a", "b", GROUP])
    # x: four of four say a over b, one of one c over d; y: one says b, one c
    assert table["target"].to_dict() == {("a", "b", "x"): 1, ("a", "b", "y"): 0, ("c", "d", "x"): 1, ("c", "d", "y"): 1}
    share = table["weight"] / table["weight"].sum()
    assert share.to_dict() == pytest.approx(
        {("a", "b", "x"): 0.5 * 4 / 5, ("c", "d", "x"): 0.5 / 5, ("a", "b", "y"): 0.25, ("c", "d", "y"): 0.25}
    )
    assert table["weight"].mean() == pytest.approx(1)


def test_a_populations_voices_are_its_shares() -> None:
    table = rows_of(study("population", population={"group": {"x": 0.2, "y": 0.8}}))
    share = table.groupby(GROUP)["weight"].sum() / table["weight"].sum()
    assert share.to_dict() == pytest.approx({"x": 0.2, "y": 0.8})


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_one_group_of_everybody_is_all_preferences_alike_bit_for_bit(method: str) -> None:
    everybody = {"strata": {"x": {"attribute": "group", "values": ["x", "y", "z"]}}}
    one = rows_of(study("equal", "x", method, **everybody))
    plain = rows_of(study(None, method=method))
    pd.testing.assert_frame_equal(one, plain, check_exact=True)
    assert METHODS[method].digest(one) == METHODS[method].digest(plain)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_groups_that_say_the_same_come_to_what_one_of_them_says(method: str) -> None:
    same = [row for row in ROWS if row[0] == "x1"]
    rows = [*same, *(("y1", *row[1:]) for row in same)]
    both = of_all_groups(METHODS[method], rows_of(study("equal", method=method), rows))
    alone = rows_of(study("equal", "x", method), rows)
    columns = [name for name in alone if name not in ("n", "weight")]
    pd.testing.assert_frame_equal(both[columns], alone[columns], check_dtype=False)
    assert (both["weight"] / both["weight"].mean()).tolist() == pytest.approx(alone["weight"].tolist())


def test_groups_rewards_stand_side_by_side_and_the_least_leads() -> None:
    table = rows_of(study("maxmin", method="grpo")).set_index(["response_id", GROUP])["reward"]
    # of labels 1 to 5, x and y about a 1.0 and 0.0, b .25 and 1.0
    assert table["a"].to_dict() == {"x": 1.0, "y": 0.0}
    assert table["b"].to_dict() == {"x": 0.25, "y": 1.0}
    grpo = METHODS["grpo"]
    least = of_all_groups(grpo, rows_of(study("maxmin", method="grpo"))).set_index("response_id")["reward"]
    assert least.loc[["a", "b"]].tolist() == [0.0, 0.25]
    assert grpo.size(rows_of(study("maxmin", method="grpo"))) == 1  # all prompts of these data have one text


def test_whose_a_row_is_is_part_of_a_robust_run_only() -> None:
    table = rows_of(study("robust"))
    other = table.assign(**{GROUP: table[GROUP].map({"x": "y", "y": "x"})})
    assert rows_digest(METHODS["dpo"], table, robust=False) == rows_digest(METHODS["dpo"], other, robust=False)
    assert rows_digest(METHODS["dpo"], table, robust=True) != rows_digest(METHODS["dpo"], other, robust=True)
    pd.testing.assert_frame_equal(table, rows_of(study("equal")))


def test_a_group_that_says_nothing_is_named() -> None:
    data = made(study("equal", "xz"))
    assert why_not(METHODS["dpo"], data).startswith("group 'z': no preference pair: after scale '5-point'")
    assert why_not(METHODS["kto"], data) == ""  # a single response trains there
    assert "group 'w': there is no rating" in why_not(METHODS["dpo"], made(study("equal", "xw")))


def test_who_is_in_two_groups_counts_in_both() -> None:
    settings = study("equal", strata={"x": {"attribute": "group", "values": ["x", "y"]},
                                      "y": {"attribute": "group", "values": ["y", "x"]}})  # fmt: skip
    table = rows_of(settings)
    one, other = (table[table[GROUP] == name].drop(columns=GROUP).reset_index(drop=True) for name in "xy")
    pd.testing.assert_frame_equal(one, other)
    assert len(one) == 2


def test_the_rater_replicates_of_a_group_change_its_targets_alone() -> None:
    from tasks.preferences.condition import reweighted

    settings = study("equal")
    data = made(settings)
    texts = pd.DataFrame([{"response_id": name, "prompt": "qp"[name in "cd"], "response": name} for name in "abcd"])
    weights = pd.Series({"x1": 3.0, "x2": 1.0, "x3": 1.0, "y1": 0.1, "z1": 9.0})
    own = reweighted(settings.experiments["e"].conditions["all"], data, texts, weights)
    table, _ = training_rows(METHODS["dpo"], own, settings.recipe, 0)
    share = table.groupby(GROUP)["weight"].sum() / table["weight"].sum()
    assert share.to_dict() == pytest.approx({"x": 0.5, "y": 0.5})  # whatever its raters weigh
    x = table[(table[GROUP] == "x")].set_index("a")["weight"]
    # a over b: x1 with x1 9 / 3 … within a rater and between: (3 + 1) (3 + 1); c over d: x1's own 3 · 3
    assert x["a"] / x["c"] == pytest.approx(16 / 9)
    assert np.isfinite(table["target"]).all()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"voices": "robust", "groups": "x"}, r"conditions\.all\.voices: robust needs two groups or more"),
        ({"voices": "equal", "groups": ""}, r"conditions\.all\.voices: equal needs groups"),
        ({"voices": "loud"}, "voices"),
        ({"voices": "merged"}, r"merged needs a condition with stratum: x, the same but for its voices"),
        ({"voices": "equal", "groups": "xv"}, r"experiments\.e\.groups: unknown 'v'; allowed: x, y, z, w"),
        ({"voices": "equal", "groups": "xx"}, "groups: named twice: x, x"),
        ({"voices": "robust", "method": "grpo"}, "robust can't be trained with grpo; with dpo or kto"),
        ({"voices": "maxmin"}, "maxmin can't be trained with dpo; with grpo"),
        ({"voices": "maxmin", "method": "grpo", "groups": "x"}, "maxmin needs two groups or more"),
        ({"voices": "named", "groups": "x"}, r"conditions\.all\.voices: named needs two groups or more"),
        ({"voices": "named", "groups": ""}, r"conditions\.all\.voices: named needs two groups or more: groups: \["),
        ({"voices": "named", "method": "grpo"}, "named can't be trained with grpo; with dpo or kto"),
        (
            {"voices": "named", "strata.x": {"attribute": "group", "values": ["x"], "title": " y"}},
            r"experiments\.e\.conditions\.all\.voices: named needs groups with different titles: x, y",
        ),
        (
            {"voices": "named", "recipe.name_sentence": "Be kind."},
            r"recipe\.name_sentence: no place for the group's name: \{group\}",
        ),
        ({"voices": "population"}, r"needs its shares: population: \{ATTRIBUTE: \{VALUE: SHARE\}\}"),
        (
            {"voices": "population", "population": {"group": {"x": 0.5, "y": 0.4}}},
            r"population\.group: the shares sum to 0\.9, not to 1",
        ),
    ],
)
def test_settings_that_can_serve_nobody_are_one_clear_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        study(**changes)


def test_a_population_of_unknown_values_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"population\.group: unknown 'v'; allowed: x, y, z"):
        made(study("population", population={"group": {"x": 0.5, "v": 0.5}}))
