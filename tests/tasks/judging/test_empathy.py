"""The agreement code on real judges: three experts, GPT, Claude and Gemini on 150 conversations."""

from __future__ import annotations

import ast
from io import StringIO
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from tasks.judging.proof import measures, prove

NAMES = {"Lend an Ear": "lend_an_ear", "Empathetic Dialogues": "empatheticdialogues", "EPITOME": "epitome"}
EXPERTS, JUDGES = ["expert1", "expert2", "expert3"], ["gpt", "claude", "gemini"]


@pytest.fixture(scope="module")
def scores(shared_data: Path) -> pd.DataFrame:
    """dataset, dimension, item_id and a column a rater."""
    table = pd.read_csv(shared_data / "empathy_judge" / "scores.csv")
    return table.pivot(index=["dataset", "dimension", "item_id"], columns="rater", values="score").reset_index()


def scale(dataset: str) -> tuple[int, int]:
    """The lowest category, and how many there are."""
    return (0, 3) if dataset == "epitome" else (1, 5)


def kappa(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Of categories 0 … k - 1."""
    found = measures(x / (k - 1), y / (k - 1), np.ones((1, len(x))), k)
    return float(found["weighted_kappa"][0])


def test_the_thirty_six_published_kappas_of_experts_with_experts_are_reproduced(
    shared_data: Path, scores: pd.DataFrame
) -> None:
    """The authors' software numbers the categories that either of a pair gave, so a category that neither gave moves
    those above it closer. Done likewise all agree; ours keeps the distances of the questionnaire, which changes few."""
    published = pd.read_csv(shared_data / "empathy_judge" / "published_pair_kappas.csv")
    published = published[published["Dataset"].isin(NAMES)]
    likewise, moved = [], 0
    for _, row in published.iterrows():
        a, b = ast.literal_eval(row["Annotator Pair"])
        if not {a, b} <= set(EXPERTS):
            continue
        dataset = NAMES[row["Dataset"]]
        part = scores[(scores["dataset"] == dataset) & (scores["dimension"] == row["Dimension"])]
        assert len(part) == 50
        low, k = scale(dataset)
        x, y = (np.round(part[side].to_numpy()) - low for side in (a, b))
        given, code = np.unique(np.concatenate([x, y]), return_inverse=True)
        likewise.append(abs(kappa(code[:50], code[50:], len(given)) - row["Weighted Cohen's Kappa"]))
        moved += abs(kappa(x, y, k) - row["Weighted Cohen's Kappa"]) > 0.01
    assert len(likewise) == 36
    assert max(likewise) <= 0.01
    assert moved <= 2, moved


def proof(scores: pd.DataFrame, judge: str) -> pd.DataFrame:
    """A judge against the experts, each conversation a prompt of its own: dataset, dimension and the proof."""
    tables = []
    for (dataset, dimension), part in scores.groupby(["dataset", "dimension"]):
        low, k = scale(str(dataset))
        long = part.melt("item_id", EXPERTS, "participant_id", dimension).astype({dimension: int})
        long = long.assign(
            **{dimension: long[dimension] - low + 1}, response_id=long["item_id"], prompt_id=long["item_id"]
        )
        judged = pd.DataFrame({"response_id": part["item_id"], dimension: (part[judge] - low) / (k - 1)})
        table, _ = prove(judged, {"all": long}, [str(dimension)], k, draws=200)
        tables.append(table.assign(dataset=dataset))
    return pd.concat(tables, ignore_index=True)


PROOF = """
dataset             dimension                    gpt    claude gemini experts
empatheticdialogues empathy                      0.270  0.236  0.391  0.566
empatheticdialogues fluency                      0.029  0.047  0.215  0.207
empatheticdialogues relevance                    0.149  0.369  0.314  0.551
epitome             level_emotional_reactions    0.687  0.774  0.663  0.462
epitome             level_explorations           0.774  0.722  0.740  0.847
epitome             level_interpretations        0.129  0.396  0.620  0.413
lend_an_ear         advice_giving                0.658  0.374  0.642  0.696
lend_an_ear         demonstrating_understanding  0.429  0.369  0.649  0.470
lend_an_ear         dismissing_emotions          0.165  0.193  0.188  0.467
lend_an_ear         encouraging_elaboration      0.693  0.786  0.801  0.712
lend_an_ear         self_oriented                0.685  0.709  0.702  0.732
lend_an_ear         validating_emotions          0.688  0.671  0.675  0.406
"""
"""Weighted kappa of each judge with the experts' mean, and of one expert with the mean of the other two."""


def test_the_proof_of_gpt_claude_and_gemini_against_the_experts(scores: pd.DataFrame) -> None:
    known = pd.read_csv(StringIO(PROOF), sep=r"\s+").set_index(["dataset", "dimension"])
    found = {judge: proof(scores, judge).set_index(["dataset", "dimension"]) for judge in JUDGES}
    for judge, table in found.items():
        assert (table["n"] == 50).all()
        np.testing.assert_allclose(table["weighted_kappa"].loc[known.index], known[judge], atol=0.0005)
        np.testing.assert_allclose(table["human_weighted_kappa"].loc[known.index], known["experts"], atol=0.0005)
    # the three are better than the experts among themselves on reactions, and far from them on dismissal
    assert all(table.loc[("epitome", "level_emotional_reactions"), "alpha"] > 0.507 for table in found.values())
    assert all(table.loc[("lend_an_ear", "dismissing_emotions"), "mean_error_low"] > 0.2 for table in found.values())


@pytest.mark.parametrize("judge", JUDGES)
def test_the_proof_is_what_other_libraries_make_of_the_same_scores(scores: pd.DataFrame, judge: str) -> None:
    for row in proof(scores, judge).itertuples():
        part = scores[(scores["dataset"] == row.dataset) & (scores["dimension"] == row.dimension)]
        low, k = scale(row.dataset)
        mean, score = part[EXPERTS].mean(axis=1) - low, part[judge] - low
        rounded = np.floor(mean + 0.5 + 1e-9).astype(int)
        known = cohen_kappa_score(rounded, score.astype(int), weights="quadratic", labels=range(k))
        assert row.weighted_kappa == pytest.approx(known)
        assert row.spearman == pytest.approx(spearmanr(mean, score).statistic)
        assert row.mean_error == pytest.approx((score - mean).mean() / (k - 1))
        experts = krippendorff.alpha(
            reliability_data=part[EXPERTS].T.to_numpy(), level_of_measurement="ordinal",
            value_domain=list(range(low, low + k)),
        )  # fmt: skip
        assert row.human_alpha == pytest.approx(experts)
