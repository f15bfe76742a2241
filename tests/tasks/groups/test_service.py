"""What groups get of each way to serve: by hand, what must not matter, and what the correction of the bias gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Contrast, Dimension
from tasks.groups.measures import GAP, MEAN, POPULATION, WORST, measured, measures_of
from tasks.groups.service import ServiceMeasures, measure_groups, measure_service
from tasks.judging.proof import bootstrap_weights
from tests.tasks.groups.simulated_scores import BETTER, by_hand, simulated_scores

ROBUST = {"e": [Contrast("robust - pooled")]}


def service(scores: pd.DataFrame, **options: object) -> ServiceMeasures:
    return measure_service(scores, BETTER, ROBUST, 5, **{"draws": 200, **options})


def effect(measures: ServiceMeasures, contrast: str, measure: str, architecture: str = "m") -> pd.Series:
    table = measures.effects
    chosen = table[["contrast", "measure", "architecture"]] == [contrast, measure, architecture]
    return table[chosen.all(axis=1)].iloc[0]


TWO = by_hand(
    [
        ("own", "a", [0.8, 0.6, 0.7]), ("own", "b", [0.6, 0.6, 0.3]),
        ("pooled", "a", [0.7, 0.5, 0.6]), ("pooled", "b", [0.3, 0.2, 0.1]),
        ("robust", "a", [0.5, 0.5, 0.5]), ("robust", "b", [0.4, 0.5, 0.3]),
    ]
)  # fmt: skip


def test_utility_and_regret_are_means_and_paired_differences() -> None:
    table = measure_groups(TWO, BETTER, 101).set_index(["condition", "group"])
    assert table["utility"].round(9).to_dict() == {
        ("own", "a"): 0.7, ("own", "b"): 0.5, ("pooled", "a"): 0.6, ("pooled", "b"): 0.2,
        ("robust", "a"): 0.5, ("robust", "b"): 0.4,
    }  # fmt: skip
    # own - robust of b: .2, .1, 0: mean .1, sd .1, error .1 / √3; of pooled - own for a all the same: the least error
    assert table.loc[("robust", "b"), ["regret", "regret_std_error"]].tolist() == pytest.approx([0.1, 0.1 / 3**0.5])
    assert table.loc[("pooled", "a"), ["regret", "regret_std_error"]].tolist() == pytest.approx([0.1, 0.01 / 3])
    assert table.loc[("own", "a"), ["regret", "regret_std_error"]].tolist() == [0, 0]
    assert set(table["ceiling"]) == {"own"}


def test_lower_is_better_is_turned() -> None:
    turned = TWO.assign(score=1 - TWO["score"])
    lower = {"x": Dimension(title="X", better="lower")}
    pd.testing.assert_frame_equal(measure_groups(turned, lower, 5), measure_groups(TWO, BETTER, 5))


def test_without_a_ceiling_there_is_no_regret() -> None:
    table = measure_groups(TWO, BETTER, 5, ceiling="none such")
    assert table["regret"].isna().all()
    assert set(table["ceiling"]) == {""}


def test_measures_in_the_sample_are_those_of_the_groups_means() -> None:
    found = service(TWO, shares={"a": 0.75, "b": 0.25})
    for way, (a, b) in {"own": (0.7, 0.5), "pooled": (0.6, 0.2), "robust": (0.5, 0.4)}.items():
        expected = {WORST: b, GAP: a - b, MEAN: (a + b) / 2, POPULATION: 0.75 * a + 0.25 * b, "group: a": a}
        for measure, value in expected.items():
            assert effect(found, way, measure)["uncorrected"] == pytest.approx(value), (way, measure)
    row = effect(found, "robust - pooled", GAP)
    assert row["uncorrected"] == pytest.approx(0.1 - 0.4)
    # a - b by prompt: robust .1, 0, .2; pooled .4, .3, .5: differences all -.3, so the least error
    assert row["std_error"] == pytest.approx(0.25 / 3)
    assert effect(found, "own - pooled", WORST)["uncorrected"] == pytest.approx(0.3)


def test_means_and_groups_need_no_correction() -> None:
    for row in service(TWO, shares={"a": 0.75, "b": 0.25}).effects.itertuples():
        if row.measure not in (WORST, GAP):
            assert row.estimate == pytest.approx(row.uncorrected, abs=1e-12)


def test_one_group_is_its_own_worst_and_mean() -> None:
    found = service(TWO[TWO["group"] == "b"])
    for way in ("own", "pooled", "robust", "robust - pooled"):
        values = [effect(found, way, measure)["estimate"] for measure in (WORST, MEAN, "group: b")]
        assert values == pytest.approx([values[0]] * 3)
        assert effect(found, way, GAP)["estimate"] == 0


def test_groups_that_get_and_judge_the_same_have_no_gap() -> None:
    same = TWO[TWO["group"] == "a"]
    found = service(pd.concat([same, same.assign(group="b")]))
    assert effect(found, "pooled", GAP)[["estimate", "uncorrected"]].tolist() == [0, 0]
    assert effect(found, "pooled", WORST)["estimate"] == pytest.approx(0.6)


def test_an_unscored_answer_leaves_its_prompt_out_for_every_group_and_on_both_sides() -> None:
    scores = TWO.copy()
    scores.loc[
        (scores["condition"] == "pooled") & (scores["group"] == "b") & (scores["prompt_id"] == "q0"), "score"
    ] = np.nan
    found = service(scores)
    assert effect(found, "pooled", "group: a")["uncorrected"] == pytest.approx(0.55)
    row = effect(found, "robust - pooled", "group: a")
    assert (row["uncorrected"], row["n_prompts"]) == pytest.approx((0.5 - 0.55, 2))
    assert effect(found, "robust", "group: b")["n_prompts"] == 3
    table = measure_groups(scores, BETTER, 5).set_index(["condition", "group"])
    assert table.loc[("pooled", "a"), "n_prompts"] == 3
    assert table.loc[("pooled", "b"), ["n_prompts", "n_unscored"]].tolist() == [2, 1]


def test_a_way_that_lacks_a_group_has_no_measure_but_a_utility() -> None:
    scores = TWO[~((TWO["condition"] == "robust") & (TWO["group"] == "a"))]
    found = service(scores)
    assert set(found.effects["contrast"]) == {"own", "pooled", "own - pooled"}
    assert len(measure_groups(scores, BETTER, 5)) == 5


def test_seeds_are_averaged_and_the_control_stands_beside_each() -> None:
    control = by_hand([("control", "a", [0.5, 0.5, 0.5]), ("control", "b", [0.1, 0.2, 0.3])])
    second = TWO.assign(seed=1, score=TWO["score"] + 0.1)
    found = measure_service(pd.concat([TWO, second, control]), BETTER, {"e": [Contrast("pooled - control")]}, 5)
    assert effect(found, "pooled", "group: a")["uncorrected"] == pytest.approx(0.65)
    row = effect(found, "pooled - control", "group: a")
    assert (row["uncorrected"], row["n_seeds"]) == pytest.approx((0.15, 2))
    assert effect(found, "control", WORST)["uncorrected"] == pytest.approx(0.2)
    assert effect(found, "own - control", WORST)["uncorrected"] == pytest.approx(0.55 - 0.2)


def test_replicates_have_the_same_measures_and_the_studys_control() -> None:
    control = by_hand([("control", "a", [0.5, 0.5, 0.5]), ("control", "b", [0.1, 0.2, 0.3])])
    again = TWO.assign(replicate=1, score=TWO["score"] - 0.1)
    found = service(pd.concat([TWO, again, control]))
    table = found.replicates.set_index(["contrast", "measure"])["estimate"]
    assert set(found.replicates["replicate"]) == {1}
    assert table["pooled", "group: a"] == pytest.approx(0.5)
    assert table["own - control", "group: a"] == pytest.approx(0.6 - 0.5)
    assert table["robust - pooled", WORST] == pytest.approx(effect(found, "robust - pooled", WORST)["estimate"])


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"a": 1.0}, "population shares of \\['a'\\], but the groups are \\['a', 'b'\\]"),
     ({"a": 0.5, "b": 0.4}, "population shares must sum to 1, got 0.9")],
)  # fmt: skip
def test_shares_must_be_those_of_the_groups(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        service(TWO, shares=shares)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(2, 30), st.integers(0, 10_000))
def test_the_order_of_groups_does_not_matter_and_measures_keep_their_order(
    groups: int, prompts: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(size=(1, groups, prompts))
    draws, names = bootstrap_weights(prompts, 50, seed)[1:], [f"g{n}" for n in range(groups)]
    turned = rng.permutation(groups)
    one = measured(scores, draws, measures_of(names))
    other = measured(scores[:, turned], draws, measures_of([names[n] for n in turned]))
    for name in one:
        assert one[name].estimate == pytest.approx(other[name].estimate, abs=1e-12)
        np.testing.assert_allclose(one[name].parts, other[name].parts, atol=1e-12)
        assert one[name].parts.mean() == pytest.approx(one[name].value)
    assert one[WORST].value <= one[MEAN].value
    assert one[GAP].value >= 0
    assert one[WORST].bias <= 1e-12
    assert one[GAP].bias >= -1e-12


def test_conditions_and_architectures_do_not_touch_each_other() -> None:
    scores = simulated_scores({"pooled": {"a": 0.6, "b": 0.5}, "robust": {"a": 0.55, "b": 0.54}}, architectures=2)
    mixed = scores.sample(frac=1, random_state=0)
    keys = ["contrast", "measure", "architecture"]
    one, other = (service(table).effects.set_index(keys)["estimate"] for table in (scores, mixed))
    np.testing.assert_allclose(one, other.loc[one.index])
    alone = service(scores[scores["architecture"] == "m1"]).effects.set_index(keys)["estimate"]
    np.testing.assert_allclose(alone, one.loc[alone.index])


def test_correction_takes_most_of_the_bias_where_groups_are_alike() -> None:
    names, rng = [f"g{n}" for n in range(3)], np.random.default_rng(0)
    draws, found = bootstrap_weights(40, 200, 1)[1:], []
    for _ in range(300):
        own = measured(0.5 + rng.normal(size=(1, 3, 40)), draws, measures_of(names))
        found.append((own[GAP].value, own[GAP].estimate, own[WORST].value - 0.5, own[WORST].estimate - 0.5))
    gap, corrected_gap, worst, corrected_worst = np.mean(found, axis=0)
    assert gap > 0.2
    assert abs(corrected_gap) < 0.4 * gap
    assert abs(corrected_worst) < 0.4 * abs(worst)


def test_errors_of_architectures_share_the_prompts() -> None:
    found = service(simulated_scores({"pooled": {"a": 0.6, "b": 0.5}}, architectures=3, prompts=200))
    shared = found.covariances.query("measure == 'mean' and architecture != other")
    # a prompt's own noise is one of three parts, an answer's another, and the judges' noise halves over two groups:
    # correlation 1 / (1 + 1 + 1 / 2) = .4
    assert shared["correlation"].mean() == pytest.approx(0.4, abs=0.1)
