"""The report on made-up numbers: what it says, what it shows, and what it must not let through."""

from __future__ import annotations

import hashlib
import math
import random
from pathlib import Path
from typing import Any

import pandas as pd

from configs.schema import CONTROL, Study
from tasks.reporting.report import write_report

HOSTILE = "<script>alert('x')</script> | $x^2$ ](http://evil.test) `code`\n# heading"
FACTS: dict[str, Any] = {
    "created": "2025-01-01T00:00:00+00:00", "status": "in part", "seed": 0, "ratings_digest": "0123abcd",
    "sources": ["made up for this test"], "seconds": {"survey": 1.5}, "versions": {"pandas": "3"},
    "counts": {"participants": 1095, "ratings": 27375, "responses": 1761, "training prompts": 440,
               "evaluation_prompts": 147},
}  # fmt: skip


def study(simulate: bool = True, tiny: bool = True, **changes: Any) -> Study:
    """Two dimensions, two strata and three architectures; one experiment against control, one between strata."""
    source = {"tiny": {}} if tiny else {"hub": "made/up"}
    names = ("a", "b", "c")
    settings: dict[str, Any] = {
        "name": "made-up", "title": "A made-up study",
        "ratings": {"codebooks": ["x"], **({"simulate": {}} if simulate else {"folder": "x"})},
        "dimensions": {"toxicity": {"title": "Toxicity", "better": "lower"},
                       "awareness": {"title": "Awareness", "better": "higher"}},
        "strata": {"female": {"attribute": "gender", "values": ["f"]}, "male": {"attribute": "gender", "values": ["m"]}},
        "scales": {"5-point": [1, 2, 3, 4, 5], "binary": [1, 1, None, 2, 2]},
        "evaluation": {"dimensions": ["toxicity", "awareness"]},
        "experiments": {
            "groups": {
                "title": "Groups", "question": "Whose feedback?",
                "conditions": {name: {"stratum": name, "dimensions": ["toxicity"], "scale": "5-point"}
                               for name in ("female", "male")},
                "contrasts": {"female - male": {"focus": ["toxicity"], "published": {"toxicity": {"estimate": -0.035,
                                                                                                 "p": ".002"}}}},
            },
            "scale": {
                "title": "Scale", "question": "How many points?",
                "conditions": {name: {"dimensions": ["toxicity"], "scale": name} for name in ("5-point", "binary")},
                "contrasts": {"5-point - control": {"focus": ["toxicity"], "published": {"toxicity": {"estimate": -0.242}}},
                              "binary - control": {"focus": ["toxicity"]}, "5-point - binary": {}},
            },
        },
        "architectures": [{"name": n, "title": f"Model {n}", "family": n, "parameters": "1B", **source} for n in names],
    }  # fmt: skip
    return Study(**{**settings, **changes})


def made_up(study: Study, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Synthetic tables for any study: every table of the contract, from a seeded generator. No measurement of anything."""
    draw = random.Random(seed)
    return {**_survey_tables(study, draw), **_cell_tables(study, draw), **_effect_tables(study, draw)}


def _survey_tables(study: Study, draw: random.Random) -> dict[str, pd.DataFrame]:
    names = list(study.dimensions)
    pairs = {c for e in study.experiments.values() for c in e.contrasts if set(c.split(" - ")) <= set(study.strata)}
    return {
        "disagreement": pd.DataFrame([(d, 1761, draw.uniform(0.84, 0.87)) for d in names],
                                     columns=["dimension", "n_responses", "disagreement"]),
        "cooccurrence": pd.DataFrame([(a, b, 1.0 if a == b else draw.uniform(0.1, 0.9), 900) for a in names for b in names],
                                     columns=["row", "column", "probability", "n"]),
        "reliability": pd.DataFrame(
            [(d, s, 0.38, 0.33, 0.43, 500, 1700, 2500) for d in names for s in ("all", *study.strata)],
            columns=["dimension", "stratum", "alpha", "ci_low", "ci_high", "n_participants", "n_responses", "n_ratings"]),
        "survey_contrasts": pd.DataFrame(
            [(c, d, 0.04, 0.01, 0.02, 0.06, 500, 490) for c in sorted(pairs) for d in study.evaluation.dimensions],
            columns=["contrast", "dimension", "estimate", "std_error", "ci_low", "ci_high", "n_a", "n_b"]),
        "judge_agreement": pd.DataFrame(
            [(d, s, 440, 0.84, 0.61, 0.7, -0.01) for d in study.evaluation.dimensions for s in ("all", *study.strata)],
            columns=["dimension", "stratum", "n", "agreement", "weighted_kappa", "spearman", "mean_error"]),
        "drops": pd.DataFrame([("scale / binary", "scale", "neutral left out", 1100, 4375)],
                              columns=["condition", "step", "reason", "dropped", "kept"]),
    }  # fmt: skip


def _cell_tables(study: Study, draw: random.Random) -> dict[str, pd.DataFrame]:
    """The last architecture's last condition fails; every condition with the same settings is one training run."""
    cells, health = [], []
    for model in study.architectures:
        grid = [(name, key, c) for name, e in study.experiments.items() for key, c in e.conditions.items()]
        for name, key, condition in [(CONTROL, CONTROL, None), *grid]:
            run = hashlib.sha256(f"{model.name}{condition}".encode()).hexdigest()[:8] if condition else None
            cells.append([name, model.name, key, run, "trained" if condition else "control", 900, 2000, 2.5, "", None])
            health.append([name, model.name, key, 147, 0.99, draw.uniform(0.93, 1), 0.0, 0.01, 14.2])
    cells[-1][4], cells[-1][-1] = "failed", "out of memory"
    columns = [
        "experiment",
        "architecture",
        "condition",
        "training_run",
        "status",
        "n_pairs",
        "weight",
        "seconds",
        "mlflow_run_id",
        "error",
    ]
    marks = [
        "experiment",
        "architecture",
        "condition",
        "n_outputs",
        "finished",
        "well_formed",
        "empty",
        "repetitive",
        "mean_words",
    ]
    return {"cells": pd.DataFrame(cells, columns=columns), "health": pd.DataFrame(health, columns=marks)}


def _effect_tables(study: Study, draw: random.Random) -> dict[str, pd.DataFrame]:
    effects, pooled = [], []
    for name, experiment in study.experiments.items():
        for contrast in experiment.contrasts:
            for dimension in study.evaluation.dimensions:
                sign = -1 if study.dimensions[dimension].better == "lower" else 1
                size = sign * draw.uniform(0, 0.25) * (1 if contrast.endswith(CONTROL) else 0.3)
                each = [draw.gauss(size, 0.03) for _ in study.architectures]
                effects += [(name, contrast, dimension, m.name, x, 0.02, 147)
                            for m, x in zip(study.architectures, each, strict=True)]  # fmt: skip
                pooled.append(pooled_row(name, contrast, dimension, sum(each) / len(each), 0.015, len(each)))
    columns = ["experiment", "contrast", "dimension", "architecture", "estimate", "std_error", "n_prompts"]
    return {"effects": pd.DataFrame(effects, columns=columns), "pooled": pd.DataFrame(pooled)}


def pooled_row(
    experiment: str, contrast: str, dimension: str, estimate: float, error: float = 0.02, k: int = 3
) -> dict[str, Any]:
    """A row of pooled.csv with the interval estimate ± 1.96 error, and an HKSJ interval 1.3 times as wide."""
    reach = 1.96 * error
    return {
        "experiment": experiment, "contrast": contrast, "dimension": dimension, "k": k, "estimate": estimate,
        "std_error": error, "ci_low": estimate - reach, "ci_high": estimate + reach,
        "p": math.erfc(abs(estimate) / error / math.sqrt(2)), "i2": 41.0, "hksj_ci_low": estimate - 1.3 * reach,
        "hksj_ci_high": estimate + 1.3 * reach, "hksj_p": 0.02,
    }  # fmt: skip


def written(
    study: Study, tables: dict[str, pd.DataFrame], folder: Path, facts: dict[str, Any] | None = None
) -> tuple[str, str]:
    """The report's HTML and Markdown."""
    path = write_report(study, tables, FACTS if facts is None else facts, folder)
    return path.read_text(encoding="utf-8"), (folder / "report.md").read_text(encoding="utf-8")
