"""The pooled tables of a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study
from tasks.effects.tables import ReplicateEffects
from tasks.judging.tables import JudgeCalibration
from tasks.meta_analysis.correlated import error_of_pool, pool_correlated
from tasks.meta_analysis.groups import LEFT_OUT
from tasks.meta_analysis.half_normal import half_normal
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import STATISTICS, pool
from tasks.meta_analysis.published import published_interval
from tasks.meta_analysis.robust import cr2
from tasks.meta_analysis.shared_prompts import TITLES
from tasks.meta_analysis.study import KEYS, other_methods, pool_contrasts, without_each
from tests.tasks.reporting.made_up import shared

DESIGN = (
    "experiment contrast dimension k estimate std_error ci_low ci_high p tau2 q q_p i2 pi_low pi_high hksj_ci_low "
    "hksj_ci_high hksj_p published"
)
UNCALIBRATED, NO_REPLICATES = JudgeCalibration.checked([]), ReplicateEffects.checked([])
CONTRASTS = {"5-point - control": (-0.2, -0.3, -0.25, -0.9), "binary - control": (-0.1, -0.12, -0.14, -0.1)}


def table(marked: str = "") -> pd.DataFrame:
    """Four architectures; `marked` is what the last one's 5-point effect says."""
    rows = [
        ("scale", contrast, "toxicity", f"m{n}", estimate, 0.02, marked if estimate == -0.9 else "")
        for contrast, estimates in CONTRASTS.items()
        for n, estimate in enumerate(estimates)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "architecture", "estimate", "std_error", "marked"])


def pooled_of(effects: pd.DataFrame, correlation: float = 0.3) -> pd.DataFrame:
    return pool_contrasts(load_study("paper"), effects, shared(effects, correlation), NO_REPLICATES, UNCALIBRATED)


def test_the_columns_of_the_design_come_first() -> None:
    pooled = pooled_of(table())
    assert " ".join(pooled.columns).startswith(f"{DESIGN} published_p ")
    assert pooled["published"].tolist() == [-0.242, -0.198]
    for row in pooled.itertuples():
        expected = published_interval(row.published, row.published_p)
        assert (row.published_low, row.published_high, row.published_at_most) == pytest.approx(expected, nan_ok=True)


def test_marked_effects_are_pooled_counted_and_left_out_beside() -> None:
    pooled = pooled_of(table("too repetitive")).set_index("contrast")
    five, binary = (pooled.loc[name] for name in CONTRASTS)
    assert (five["k"], five["n_marked"], five["unmarked_k"]) == (4, 1, 3)
    assert five["unmarked_estimate"] == pytest.approx(-0.25)  # (-0.2 - 0.3 - 0.25) / 3, equal errors
    assert five["estimate"] == pytest.approx(pooled_of(table())["estimate"][0])
    assert binary["n_marked"] == 0
    assert pd.isna(binary["unmarked_estimate"])


def test_all_effects_marked_leave_nothing_beside() -> None:
    pooled = pooled_of(table().assign(marked="broken"))
    assert pooled["n_marked"].tolist() == [4, 4]
    assert pooled["unmarked_estimate"].isna().all()


def test_p_values_are_adjusted_within_the_experiment() -> None:
    pooled = pooled_of(table())
    for name in ("p", "hksj_p"):
        low, high = sorted(pooled[name])
        assert sorted(pooled[f"{name}_holm"]) == pytest.approx(
            [min(2 * low, high), high] if 2 * low > high else [2 * low, high]
        )


def test_every_method_and_every_architecture_left_out_has_its_row() -> None:
    methods, without = methods_of(table(), 0.3), without_each(table())
    assert {*methods.columns} == {*KEYS, "method", *STATISTICS, "df", "tau2_low", "tau2_high"}
    assert [*methods.groupby(["method", "contrast"], sort=False).groups] == [
        *((name, contrast) for name in METHODS for contrast in CONTRASTS),
        *((name, contrast) for contrast in CONTRASTS for name in TITLES),
    ]
    assert list(without.columns) == [*KEYS, "without", *LEFT_OUT]
    row = without[(without["contrast"] == "5-point - control") & (without["without"] == "m3")].iloc[0]
    alone = pool(pd.Series([-0.2, -0.3, -0.25]).to_numpy(), pd.Series([0.02] * 3).to_numpy())
    assert row["estimate"] == pytest.approx(alone["estimate"])


def test_no_effects_have_empty_tables() -> None:
    for made in (pooled_of(table()[:0]), methods_of(table()[:0], 0.3), without_each(table()[:0])):
        assert len(made) == 0


# ---- what architectures share

STUDY = load_study("paper").model_copy(
    update={"architectures": tuple(
        load_study("paper").architectures[n].model_copy(update={"name": f"m{n}", "family": "pq"[n % 2]})
        for n in range(4)
    )},
)  # fmt: skip


def methods_of(effects: pd.DataFrame, correlation: float) -> pd.DataFrame:
    return other_methods(STUDY, effects, shared(effects, correlation))


def test_without_correlation_the_shared_errors_are_those_of_the_pool() -> None:
    pooled = pooled_of(table(), 0.0)
    assert pooled["shared_std_error"].to_numpy() == pytest.approx(pooled["std_error"].to_numpy(), rel=1e-12)
    # t(3) at 97.5%: 3.182446305
    hksj = (pooled["hksj_ci_high"] - pooled["estimate"]) / 3.182446305
    assert pooled["shared_hksj_std_error"].to_numpy() == pytest.approx(hksj.to_numpy(), rel=1e-8)
    assert pooled["mean_correlation"].tolist() == [0, 0]


def test_shared_errors_use_the_covariance_of_their_own_contrast() -> None:
    covariances = shared(table(), 0.3)
    weak = covariances["contrast"] == "binary - control"
    weak &= covariances["architecture"] != covariances["other"]
    covariances.loc[weak, ["covariance", "correlation"]] /= 3
    pooled = pool_contrasts(STUDY, table(), covariances.sample(frac=1, random_state=0), NO_REPLICATES, UNCALIBRATED)
    assert pooled["mean_correlation"].tolist() == pytest.approx([0.3, 0.1])
    for row, r in zip(pooled.itertuples(), (0.3, 0.1), strict=True):
        v = 0.0004 * (np.full((4, 4), r) + (1 - r) * np.eye(4))
        expected = error_of_pool(np.array(CONTRASTS[row.contrast]), v)
        assert (row.shared_std_error, row.shared_hksj_std_error) == pytest.approx(expected, rel=1e-9)


def test_an_effect_without_an_error_or_without_others_shares_nothing() -> None:
    effects = table()[:4]
    effects["std_error"] = [0.02, np.nan, np.nan, np.nan]
    covariances = shared(effects[:1], 0.3)
    pooled = pool_contrasts(STUDY, effects, covariances, NO_REPLICATES, UNCALIBRATED).iloc[0]
    assert (pooled["k"], pooled["shared_std_error"]) == (1, pytest.approx(0.02))
    assert pooled[["shared_hksj_std_error", "mean_correlation"]].isna().all()


def test_methods_with_the_covariance_are_those_of_the_effects_and_cr2_clusters_families() -> None:
    methods = methods_of(table(), 0.3).set_index(["contrast", "method"]).loc["5-point - control"]
    y = np.array(CONTRASTS["5-point - control"])
    v = 0.0004 * (np.full((4, 4), 0.3) + 0.7 * np.eye(4))
    reml = pool_correlated(y, v, "reml")
    assert methods.loc["reml-shared", STATISTICS].to_dict() == pytest.approx({name: reml[name] for name in STATISTICS})
    robust = cr2(y, v + reml["tau2"] * np.eye(4), list("pqpq"))
    assert methods.loc["cr2", ["estimate", "std_error", "df", "ci_low", "ci_high", "p"]].tolist() == pytest.approx(
        robust[1:]
    )
    posterior = half_normal(y, v, 0.1)
    assert methods.loc["half-normal", ["estimate", "std_error", "ci_low", "ci_high"]].tolist() == pytest.approx(
        posterior[:4]
    )
    assert methods.loc["half-normal", "tau2"] == pytest.approx(posterior.tau**2 + posterior.tau_sd**2)
    assert methods["df"].to_dict() == pytest.approx(
        {**dict.fromkeys([*METHODS, "dl-shared", "reml-shared"], 3), "cr2": robust.df, "half-normal": np.nan},
        nan_ok=True,
    )


def test_the_scale_of_the_prior_is_a_setting() -> None:
    narrow = STUDY.model_copy(update={"pooling": STUDY.pooling.model_copy(update={"tau_scale": 0.01})})
    both = [
        other_methods(study, table(), shared(table(), 0.3)).set_index(["contrast", "method"])["tau2"]
        for study in (STUDY, narrow)
    ]
    assert both[1]["5-point - control", "half-normal"] < both[0]["5-point - control", "half-normal"] / 5
