"""What effects of architectures share, by hand, by simulation, and where prompts are missing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.effects.covariance import (
    LEAST_EIGENVALUE,
    covariance_matrix,
    effect_covariances,
    shared_correlations,
    shrinkage,
)
from tasks.effects.effects import two_way_variance
from tasks.effects.tables import EffectCovariances
from tests.tasks.effects.test_effects import STEP, measured, study

NAMES = ["tiny-llama", "tiny-falcon"]


def scores_of(differences: dict[str, np.ndarray]) -> pd.DataFrame:
    """Scores of 5-point and of control whose differences, by seed and prompt, are these in each architecture."""
    rows = []
    for model, values in differences.items():
        for prompt in range(values.shape[1]):
            rows.append(("control", model, "control", 0, f"q{prompt}", "toxicity", 0.5))
        for seed, prompt in np.ndindex(values.shape):
            score = 0.5 + values[seed, prompt]
            rows.append(("scale", model, "5-point", seed, f"q{prompt}", "toxicity", score))
    columns = ["experiment", "architecture", "condition", "seed", "prompt_id", "dimension", "score"]
    return pd.DataFrame(rows, columns=columns)


def covariances_of(differences: dict[str, np.ndarray]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The covariances and the effects."""
    scores = scores_of(differences)
    effects = measured(scores)
    return effect_covariances(study(), scores, effects), effects


def test_the_covariance_of_two_effects_by_hand() -> None:
    # 40 prompts: (0.1, 0.2), (0.3, 0.4), (0.1, 0.4), (0.3, 0.2) ten times over, and twice that the first two
    a, b = np.tile([0.1, 0.3, 0.1, 0.3, 0.1, 0.3], 10), np.tile([0.2, 0.4, 0.4, 0.2, 0.2, 0.4], 10)
    found, effects = covariances_of({NAMES[0]: a[None], NAMES[1]: b[None]})
    # deviations ±0.1: Σ = 60 · 0.01 · (4 - 2) / 6 = 0.2; over 59 degrees of freedom, by 60 prompts
    assert found["covariance"].tolist() == pytest.approx([0.6 / 59 / 60, 0.2 / 59 / 60, 0.6 / 59 / 60])
    assert found["correlation"].tolist() == pytest.approx([1, 1 / 3, 1])
    assert found["n_prompts"].tolist() == [60, 60, 60]
    assert found[["architecture", "other"]].to_numpy().tolist() == [[NAMES[0]] * 2, NAMES, [NAMES[1]] * 2]
    assert found["covariance"].iloc[[0, 2]].tolist() == pytest.approx((effects["std_error"] ** 2).tolist(), rel=1e-15)


def test_variances_are_two_way_and_seeds_add_nothing_between_architectures() -> None:
    generator = np.random.default_rng(0)
    prompts, seeds = 0.2 * generator.standard_normal(50), 0.3 * generator.standard_normal((3, 1))
    differences = {
        name: prompts + seeds + 0.1 * generator.standard_normal((3, 50)) for name in NAMES
    }  # the seeds' part is the same in both, and still is no covariance: three seeds can't tell
    found, _ = covariances_of(differences)
    a, b = differences.values()
    by_prompt = np.cov(a.mean(axis=0), b.mean(axis=0))[0, 1] / 50
    assert found["covariance"].tolist() == pytest.approx([two_way_variance(a), by_prompt, two_way_variance(b)])


def test_the_covariance_is_that_of_the_effects_on_average() -> None:
    generator = np.random.default_rng(1)
    means, estimates = [], []
    for _ in range(400):
        common = 0.3 * generator.standard_normal(30)
        differences = pd.DataFrame({n: common + 0.2 * (n + 1) * generator.standard_normal(30) for n in range(2)})
        errors = differences.std().to_numpy() / math.sqrt(30)
        r, _ = shared_correlations(differences, errors)
        estimates.append(r[0, 1] * errors[0] * errors[1])
        means.append(differences.mean())
    truth = 0.09 / 30
    assert np.mean(estimates) == pytest.approx(truth, rel=0.05)
    assert np.cov(np.array(means).T)[0, 1] == pytest.approx(truth, rel=0.2)


def test_prompts_that_one_has_not_scored_count_where_both_have() -> None:
    differences = pd.DataFrame({"a": [0.1, 0.3, 0.2, 0.4, np.nan], "b": [0.0, 0.4, np.nan, 0.2, 0.9]})
    errors = differences.std().to_numpy() / 2  # four prompts each
    shared = np.cov([0.1, 0.3, 0.4], [0.0, 0.4, 0.2])[0, 1] * 3 / (4 * 4)
    r, prompts = shared_correlations(differences, errors)
    kept = 1 - shrinkage(differences)
    assert r[0, 1] * errors[0] * errors[1] == pytest.approx(kept * shared)
    assert prompts.tolist() == [[4, 3], [3, 4]]


def test_few_prompts_shrink_all_correlations_by_one_share_and_many_don_t() -> None:
    generator = np.random.default_rng(2)

    def drawn(prompts: int) -> tuple[pd.DataFrame, np.ndarray]:
        common = generator.standard_normal((prompts, 1))
        differences = pd.DataFrame(common + generator.standard_normal((prompts, 4)))
        return differences, differences.std().to_numpy() / math.sqrt(prompts)

    few, errors = drawn(39)
    off = ~np.eye(4, dtype=bool)
    ratio = shared_correlations(few, errors)[0][off] / few.corr().to_numpy()[off]
    assert ratio == pytest.approx(1 - shrinkage(few))
    assert 0.5 < ratio[0] < 0.99
    enough, errors = drawn(40)
    assert shared_correlations(enough, errors)[0] == pytest.approx(enough.corr().to_numpy())


def test_the_share_is_schaefers_and_strimmers_by_hand() -> None:
    # z of a: (-1.1619, -0.3873, 0.3873, 1.1619), of b in the order 2 1 4 3; w = z_a z_b, n = 4
    differences = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [2.0, 1, 4, 3]})
    w = np.array([0.45, 0.45, 0.45, 0.45])
    assert np.sum(w) / 3 == pytest.approx(differences.corr().iloc[0, 1])
    assert shrinkage(differences) == pytest.approx(0)  # all w are equal: no variance
    other = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [1.0, 2, 4, 3]})
    w = np.array([1.35, 0.15, 0.45, 0.45])  # Σ = 2.4, r = 0.8; Σ (w - 0.6)² = 0.81
    assert shrinkage(other) == pytest.approx(4 / 27 * 0.81 / 0.64)


def test_unrelated_differences_are_shrunk_to_nothing() -> None:
    generator = np.random.default_rng(3)
    differences = pd.DataFrame(generator.standard_normal((20, 7)))
    assert shrinkage(differences) > 0.7
    assert shrinkage(pd.DataFrame({"a": [0.1, 0.2, 0.3], "b": [0.0, 0.0, 0.0]})) == 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.floats(0, 0.9))
def test_whatever_is_missing_the_covariance_can_be_inverted(seed: int, k: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    prompts = int(generator.integers(3, 12 * k))
    differences = generator.standard_normal((prompts, 1)) + 0.01 * generator.standard_normal((prompts, k))
    differences[:, -1] = differences[:, 0]  # one is another's copy
    differences[generator.random((prompts, k)) < share] = np.nan
    differences[:2] = generator.standard_normal((2, k))
    table = pd.DataFrame(differences)
    errors = (table.std() / np.sqrt(table.count())).to_numpy()
    r, n = shared_correlations(table, errors)
    assert np.linalg.eigvalsh(r).min() > 0.99 * LEAST_EIGENVALUE
    assert np.diagonal(r).tolist() == [1] * k
    assert n.tolist() == [[int((table[i].notna() & table[j].notna()).sum()) for j in range(k)] for i in range(k)]


def test_differences_without_spread_share_nothing() -> None:
    found, effects = covariances_of({NAMES[0]: np.zeros((1, 30)), NAMES[1]: np.linspace(0, 0.3, 30)[None]})
    assert found["correlation"].tolist() == [1, 0, 1]
    assert found["covariance"].iloc[0] == pytest.approx((STEP / 30) ** 2)  # the least error
    assert effects["std_error"].notna().all()


def test_an_effect_without_an_error_has_no_row_and_a_study_without_scores_none() -> None:
    scores = scores_of({NAMES[0]: np.array([[0.1, 0.3]]), NAMES[1]: np.array([[0.2, 0.2]])})
    one = scores[(scores["architecture"] == NAMES[0]) | (scores["prompt_id"] == "q0")]
    found = effect_covariances(study(), one, measured(one))
    assert found[["architecture", "other"]].to_numpy().tolist() == [[NAMES[0]] * 2]
    assert len(effect_covariances(study(), scores[:0], measured(scores[:0]))) == 0
    alone = one[one["prompt_id"] == "q0"]
    assert len(effect_covariances(study(), alone, measured(alone))) == 0


def test_the_matrix_of_a_table_is_in_the_order_of_the_effects() -> None:
    rows = [("x", "a - b", "d", *pair, math.nan, r, 9) for pair, r in (
        (("p", "p"), 1.0), (("q", "p"), 0.5), (("q", "q"), 1.0),
    )]  # fmt: skip
    table = EffectCovariances.checked([(*row[:5], 0.0, *row[6:]) for row in rows])
    errors = np.array([0.2, np.nan, 0.1])
    found = covariance_matrix(table, ["q", "unknown", "p"], errors)
    assert found[np.ix_([0, 2], [0, 2])] == pytest.approx(np.array([[0.04, 0.01], [0.01, 0.01]]))
    assert np.isnan(found[1]).all()
    with pytest.raises(KeyError):
        covariance_matrix(table, ["q", "unknown"], np.array([0.2, 0.1]))
