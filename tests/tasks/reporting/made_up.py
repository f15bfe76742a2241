"""A made-up study with made-up tables of each kind that the report knows; nothing in them was measured."""

from __future__ import annotations

import hashlib
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.schema import CONTROL, Contrast, Study
from tasks.effects.identity import KEYS
from tasks.effects.tables import Differences, EffectCovariances, ReplicateEffects
from tasks.meta_analysis.published import published_interval
from tasks.meta_analysis.raters import replicate_means
from tasks.meta_analysis.ratios import ratios
from tasks.meta_analysis.study import compare_pairs, other_methods, without_each
from tasks.meta_analysis.tables import VarianceComponents
from tasks.meta_analysis.truth import verdict
from tasks.planning.cell_tables import doses_table
from tasks.reporting.chapters import DECLARED
from tasks.reporting.report import write_report
from tasks.reporting.run_facts import Facts
from tasks.runtime.tables import columns_of

HOSTILE = "<script>alert('x')</script> | $x^2$ ](http://evil.test) `code`\n# heading"
FACTS = Facts(
    created="2025-01-01T00:00:00+00:00",
    status="in part",
    ratings_digest="0123abcd",
    sources=("made up for this test",),
    seconds={"survey": 1.5},
    versions={"pandas": "3"},
    counts={
        "participants": 1095,
        "ratings": 27375,
        "responses": 1761,
        "training prompts": 440,
        "evaluation prompts": 147,
    },
)


def study(simulate: bool = True, tiny: bool = True, **changes: Any) -> Study:
    """Two dimensions, two strata and three architectures; one experiment against control, one between strata."""
    source: dict[str, Any] = {"tiny": {}} if tiny else {"hub": "made/up"}
    names = ("a", "b", "c")
    settings: dict[str, Any] = {
        "name": "made-up", "title": "A made-up study",
        "ratings": {"codebooks": ["x"], **({"simulate": {}} if simulate else {"folder": "x"})},
        "dimensions": {"toxicity": {"title": "Toxicity", "better": "lower"},
                       "awareness": {"title": "Awareness", "better": "higher"}},
        "strata": {name: {"attribute": "gender", "values": [name]} for name in ("female", "male")},
        "scales": {"5-point": [1, 2, 3, 4, 5], "binary": [1, 1, None, 2, 2]},
        "evaluation": {"dimensions": ["toxicity", "awareness"]},
        "experiments": {
            "groups": {
                "title": "Groups", "question": "Whose feedback?",
                "conditions": {name: {"stratum": name, "dimensions": ["toxicity"], "scale": "5-point"}
                               for name in ("female", "male")},
                "contrasts": {"female - male": {"focus": ["toxicity"],
                                                "published": {"toxicity": {"estimate": -0.035, "p": ".002"}}}},
            },
            "scale": {
                "title": "Scale", "question": "How many points?",
                "conditions": {name: {"dimensions": ["toxicity"], "scale": name} for name in ("5-point", "binary")},
                "contrasts": {"5-point - control": {"focus": ["toxicity"],
                                                    "published": {"toxicity": {"estimate": -0.242}}},
                              "binary - control": {"focus": ["toxicity"]}, "5-point - binary": {}},
                "ratios": [{"of": "5-point - control", "to": "binary - control", "dimension": "toxicity",
                            "published": 1.22}],
            },
        },
        "architectures": [{"name": n, "title": f"Model {n}", "family": n, "parameters": 1e9, **source} for n in names],
    }  # fmt: skip
    return Study(**{**settings, **changes})


def blank(name: str) -> dict[str, Any]:
    """A row of a table with nothing in it: text "", every number missing."""
    return {key: "" if column.text else math.nan for key, column in columns_of(DECLARED[name]).items()}


def full(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with all of its columns; those that it lacks have nothing in them."""
    empty = blank(name)
    return table.assign(**{key: empty[key] for key in empty if key not in table})[list(empty)]


def made_up(study: Study, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Synthetic tables for any study, one of each kind that the report knows; nothing in them was measured.

    They are the caller's own. Those of the same study are computed once.
    """
    return {name: table.copy() for name, table in _made_up(study.model_dump_json(), seed).items()}


@cache
def _made_up(settings: str, seed: int) -> dict[str, pd.DataFrame]:
    study, draw = Study.model_validate_json(settings), random.Random(seed)
    tables = _survey_tables(study, draw) | _regression_tables(study) | {"audit": _audit_table(study)}
    tables |= _cell_tables(study, draw) | _effect_tables(study, draw)
    return {name: full(name, table) for name, table in tables.items()}


def _survey_tables(study: Study, draw: random.Random) -> dict[str, pd.DataFrame]:
    names = list(study.dimensions)
    pairs = {c for e in study.experiments.values() for c in e.contrasts if set(c.split(" - ")) <= set(study.strata)}
    together = [(a, b, 1.0 if a == b else draw.uniform(0.1, 0.9), 900) for a in names for b in names]
    return {
        "disagreement": pd.DataFrame([(d, 1761, draw.uniform(0.84, 0.87)) for d in names],
                                     columns=["dimension", "n_responses", "disagreement"]),
        "cooccurrence": pd.DataFrame(together, columns=["row", "column", "probability", "n"]),
        "reliability": pd.DataFrame(
            [(d, s, 0.38, 0.33, 0.43, 500, 1700, 2500, "ordinal", 1000, 0)
             for d in names for s in ("all", *study.strata)],
            columns=["dimension", "stratum", "alpha", "ci_low", "ci_high", "n_participants", "n_responses",
                     "n_ratings", "level", "draws", "undefined"]),
        "survey_contrasts": pd.DataFrame(
            [(c, d, 0.04, 0.01, 0.02, 0.06, 500, 490) for c in sorted(pairs) for d in study.evaluation.dimensions],
            columns=["contrast", "dimension", "estimate", "std_error", "ci_low", "ci_high", "n_a", "n_b"]),
        "participants": pd.DataFrame(
            [("gender", "female", 60, 0.6), ("gender", "male", 40, 0.4), ("age", "old", 99, 0.99)],
            columns=["attribute", "value", "n", "share"]),
        "raters": raters_table(names, draw),
        "rater_fits": pd.DataFrame([
            fits_row(index, d, s) for d in ("all", *names) for s in ("all", *study.strata)
            for index in ("outfit", "lz", "long_string", "irv", "even_odd")
        ]),
        "filtered_raters": pd.DataFrame([filtered_row("scale", "binary", s) for s in ("all", *study.strata)]),
        "population_weights": pd.DataFrame([weighted_row("scale", "binary", s) for s in ("all", *study.strata)]),
        "judge_agreement": pd.DataFrame(
            [(d, s, 440, 0.84, 0.61, 0.7, -0.01) for d in study.evaluation.dimensions for s in ("all", *study.strata)],
            columns=["dimension", "stratum", "n", "agreement", "weighted_kappa", "spearman", "mean_error"]),
        "judge_features": pd.DataFrame(
            [(d, f, f == "both", 4 * (f == "both") + (f == "words"), 5, 440, 0.8, 0.6, 0.7)
             for d in study.evaluation.dimensions for f in ("words", "embeddings", "both")],
            columns=["dimension", "features", "used", "chosen", "parts", "n", "agreement", "weighted_kappa",
                     "spearman"]),
        "drops": pd.DataFrame([("scale / binary", "scale", "neutral left out", 1100, 4375)],
                              columns=["condition", "step", "reason", "dropped", "kept"]),
    }  # fmt: skip


def raters_table(dimensions: list[str], draw: random.Random, raters: int = 40) -> pd.DataFrame:
    """raters.csv of raters by the names of numbers, with p's that are spread evenly."""
    rows = [
        {"rater": f"{number:020x}", "dimension": name, "n_answers": 25, "n_fit": 25, "outfit": 1.0, "lz": 0.0,
         "failed_checks": number % 2, "outfit_p": draw.random(), "lz_p": draw.random(), "long_string": 3, "irv": 1.2}
        for number in range(raters)
        for name in ("all", *dimensions)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def fits_row(index: str, dimension: str, stratum: str, **changes: Any) -> dict[str, Any]:
    """A row of rater_fits.csv: of 100 raters 4 beyond, where the index is one of person fit."""
    beyond = {"n_beyond": 4, "share_beyond": 0.04, "ci_low": 0.016, "ci_high": 0.098, "p_beyond": 0.742}
    row = {"index": index, "dimension": dimension, "stratum": stratum, "n_raters": 100, "low": -1.6, "median": 0.1,
           "high": 1.5, "notes": "", **(beyond if index in ("outfit", "lz") else {})}  # fmt: skip
    return {**blank("rater_fits"), **row, **changes}


def filtered_row(experiment: str, condition: str, stratum: str, **changes: Any) -> dict[str, Any]:
    """A row of filtered_raters.csv: a tenth of 50 raters left out, with a tenth of 200 ratings."""
    return {
        "experiment": experiment, "condition": condition, "stratum": stratum, "n_participants": 50, "left_out": 5,
        "share_left_out": 0.1, "expected": 0.1, "p_chance": math.nan if stratum == "all" else 0.6, "n_ratings": 200,
        "ratings_left_out": 20, "share_of_ratings_left_out": 0.1, **changes,
    }  # fmt: skip


def weighted_row(experiment: str, condition: str, stratum: str, **changes: Any) -> dict[str, Any]:
    """A row of population_weights.csv: 50 raters worth 40."""
    return {
        "experiment": experiment, "condition": condition, "stratum": stratum, "n_participants": 50, "n_without": 3,
        "effective_participants": 40.0, "design_effect": 1.25, **changes,
    }  # fmt: skip


def term_row(
    dimension: str, attribute: str, value: str, estimate: float, error: float, n: int = 100,
    published: float = math.nan, published_p: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A row of ordinal_regression.csv with its Wald test and interval."""
    with np.errstate(over="ignore"):
        ends = np.exp([estimate, estimate - 1.96 * error, estimate + 1.96 * error])
    return {
        **blank("ordinal_regression"), "p_holm": math.erfc(abs(estimate) / error / math.sqrt(2)),
        "dimension": dimension, "term": f"{attribute}[{value}]", "attribute": attribute, "value": value,
        "n_participants": n, "estimate": estimate, "std_error": error, "z": estimate / error,
        "p": math.erfc(abs(estimate) / error / math.sqrt(2)), "odds_ratio": ends[0], "ci_low": ends[1],
        "ci_high": ends[2], "percent": 100 * (ends[0] - 1), "published": published, "published_p": published_p,
    }  # fmt: skip


def model_row(dimension: str, **changes: Any) -> dict[str, Any]:
    """A row of ordinal_models.csv."""
    return {
        "dimension": dimension, "reference": "gender: female; age: young", "n_ratings": 480, "n_participants": 96,
        "n_responses": 160, "left_out": 20, "log_likelihood": -612.5, "aic": 1241.0, "sd_participant": 0.81,
        "sd_response": 1.1, "converged": True, "notes": "", **changes,
    }  # fmt: skip


def _regression_tables(study: Study) -> dict[str, pd.DataFrame]:
    """On the first dimension, `male` is significant as in the paper; on the others nothing is."""
    first, *others = study.dimensions
    terms = [term_row(first, "gender", "male", -0.3, 0.06, published=-18.0, published_p="< .01")]
    terms += [term_row(dimension, "gender", "male", 0.05, 0.06) for dimension in others]
    terms += [term_row(dimension, "age", "old", 0.1, 0.2) for dimension in study.dimensions]
    models = [model_row(dimension) for dimension in study.dimensions]
    return {"ordinal_regression": pd.DataFrame(terms), "ordinal_models": pd.DataFrame(models)}


def audit_row(experiment: str, condition: str, stratum: str, **changes: Any) -> dict[str, Any]:
    """A row of audit.csv: half of everything, half retained, a tenth of 80 heard majorities lost."""
    return {
        "experiment": experiment, "condition": condition, "stratum": stratum, "n_participants": 50, "n_ratings": 200,
        "share_of_participants": 0.5, "share_of_ratings": 0.5, "share_of_preferences": 0.5, "retained": 0.5,
        "majority_loses": 0.1, "majority_unheard": 0.2, "n_majorities": 100, "chance_loses": 0.09,
        "chance_sd": 0.02, **changes,
    }  # fmt: skip


def _audit_table(study: Study) -> pd.DataFrame:
    rows = [
        audit_row(experiment, condition, stratum)
        for experiment, settings in study.experiments.items()
        for condition in settings.conditions
        for stratum in study.strata
    ]
    return pd.DataFrame(rows)


def _cell_tables(study: Study, draw: random.Random) -> dict[str, pd.DataFrame]:
    """The last architecture's last condition fails; every condition with the same settings is one training run."""
    cells, health = [], []
    for model in study.architectures:
        grid = [(name, key, c) for name, e in study.experiments.items() for key, c in e.conditions.items()]
        for name, key, condition in [(CONTROL, CONTROL, None), *grid]:
            run = hashlib.sha256(f"{model.name}{condition}".encode()).hexdigest()[:8] if condition else None
            status = "trained" if condition else "control"
            cells.append([name, model.name, key, 0, 0, run, status, 900 if condition else None, 2000, 2.5, "", None])
            health.append([name, model.name, key, 0, 147, 0.01, draw.uniform(0.93, 1), 0.0, 0.01, 14.2, ""])
    if cells:
        cells[-1][6], cells[-1][-1] = "failed", "out of memory"
    columns = [
        "experiment",
        "architecture",
        "condition",
        "seed",
        "replicate",
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
        "seed",
        "n_outputs",
        "cut_off",
        "well_formed",
        "empty",
        "repetitive",
        "mean_words",
        "marked",
    ]
    grid = pd.DataFrame(cells, columns=columns)
    return {"cells": grid, "doses": doses_table(grid), "health": pd.DataFrame(health, columns=marks)}


def _effect_tables(study: Study, draw: random.Random) -> dict[str, pd.DataFrame]:
    effects, pooled = [], []
    for name, experiment in study.experiments.items():
        for contrast in experiment.contrasts:
            for dimension in study.evaluation.dimensions:
                sign = -1 if study.dimensions[dimension].better == "lower" else 1
                size = sign * draw.uniform(0, 0.25) * (1 if contrast.endswith(CONTROL) else 0.3)
                each = [draw.gauss(size, 0.03) for _ in study.architectures]
                effects += [(name, contrast, dimension, m.name, x, 0.02, math.nan, 147, 1, 0, 3, "")
                            for m, x in zip(study.architectures, each, strict=True)]  # fmt: skip
                row = pooled_row(name, contrast, dimension, sum(each) / len(each), 0.015, len(each))
                pooled.append(row | published(study, name, contrast, dimension))
    table, frame, replicates = Differences.checked(effects), pd.DataFrame(pooled), ReplicateEffects.checked([])
    covariances = shared(table, 0.3)
    truth = {"truth": _truth_table(study, pooled)} if study.ratings.simulate else {}
    return truth | {
        "effects": table, "effect_covariances": covariances, "pooled": frame, "leave_one_out": without_each(table),
        "pooling_methods": other_methods(study, table, covariances), "replicate_effects": replicates,
        "variance_components": VarianceComponents.checked([]),
        "ratios": ratios(study, table, replicate_means(table, frame, replicates)),
        "pairwise": compare_pairs(table, replicates),
    }  # fmt: skip


def truth_row(contrast: str, dimension: str, sign: int, strength: float, estimate: float, reach: float = 0.02) -> dict:
    """A row of truth.csv, of the experiment `groups`, with the interval estimate ± reach."""
    low, high = estimate - reach, estimate + reach
    return {
        "experiment": "groups", "contrast": contrast, "dimension": dimension, "sign": sign, "strength": strength,
        "estimate": estimate, "ci_low": low, "ci_high": high, "verdict": verdict(sign, low, high),
    }  # fmt: skip


def _truth_table(study: Study, pooled: list[dict[str, Any]]) -> pd.DataFrame:
    """Something planted in every contrast of groups on what is trained on, towards what is good; elsewhere nothing."""
    rows = []
    for row in pooled:
        experiment = study.experiments[row["experiment"]]
        if sides := experiment.compared_strata.get(Contrast(row["contrast"])):
            trained = row["dimension"] in experiment.conditions[sides[0]].dimensions
            sign = (-1 if study.dimensions[row["dimension"]].better == "lower" else 1) if trained else 0
            own = truth_row(row["contrast"], row["dimension"], sign, 2.0 * trained, row["estimate"])
            rows.append(own | {"experiment": row["experiment"]})
    return pd.DataFrame(rows)


def shared(effects: pd.DataFrame, correlation: float) -> pd.DataFrame:
    """The covariances of effects of which every two of a contrast and dimension have the same correlation."""
    rows = [
        (*key, *own["architecture"].iloc[[i, j]], r * own["std_error"].iloc[i] * own["std_error"].iloc[j], r, 147)
        for key, own in effects.groupby(KEYS, sort=False)
        for i in range(len(own))
        for j in range(i, len(own))
        for r in [1.0 if i == j else correlation]
    ]
    return EffectCovariances.checked(rows)


def published(study: Study, experiment: str, contrast: str, dimension: str) -> dict[str, Any]:
    """The published values of a pooled effect, as the study's settings have them."""
    contrasts = study.experiments[experiment].contrasts if experiment in study.experiments else {}
    known = contrasts[Contrast(contrast)].published.get(dimension) if contrast in contrasts else None
    estimate = math.nan if known is None or known.estimate is None else known.estimate
    p = (known and known.p) or ""
    low, high, at_most = published_interval(estimate, p)
    ends = {"published_low": low, "published_high": high, "published_at_most": at_most}
    return {"published": estimate, "published_p": p, **ends}


def pooled_row(
    experiment: str, contrast: str, dimension: str, estimate: float, error: float = 0.02, k: int = 3
) -> dict[str, Any]:
    """A row of pooled.csv with the interval estimate ± 1.96 error, and an HKSJ interval 1.3 times as wide."""
    reach = 1.96 * error
    return {
        **blank("pooled"), **published(study(), experiment, contrast, dimension),
        "experiment": experiment, "contrast": contrast, "dimension": dimension, "k": k, "estimate": estimate,
        "std_error": error, "ci_low": estimate - reach, "ci_high": estimate + reach,
        "p": math.erfc(abs(estimate) / error / math.sqrt(2)), "i2": 41.0, "hksj_ci_low": estimate - 1.3 * reach,
        "hksj_ci_high": estimate + 1.3 * reach, "hksj_p": 0.02, "hksj_p_holm": 0.04, "n_marked": 0,
        "n_replicates": 0, "tau2": 0.001, "q": 9.0, "q_p": 0.01, "mean_correlation": 0.3,
        "pi_low": estimate - 3 * reach, "pi_high": estimate + 3 * reach,
    }  # fmt: skip


def written(study: Study, tables: dict[str, pd.DataFrame], folder: Path, facts: Facts = FACTS) -> tuple[str, str]:
    """The report's HTML and Markdown."""
    path = write_report(study, tables, facts, folder)
    return path.read_text(encoding="utf-8"), (folder / "report.md").read_text(encoding="utf-8")
