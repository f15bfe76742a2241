"""Whether `pluralign design` foretells the errors of studies: `python tests/benchmarks/design.py [STUDIES]`.

Ten pilots are simulated and measured, each of its own raters, and from the tables of each alone the design predicts
five studies of other sizes. Each of these is then simulated STUDIES times (by default 100), every time with new raters,
responses, held-out prompts and architectures, and with its own replicates. Two things are compared, in the mean over
the pilots, each of which must lie within 15%:

- the standard error that a study states, with what the studies state (the root of their mean variance),
- the scatter of the estimate, with the standard deviation of the studies' estimates.

It also says how many predictions of a single pilot lie so near, and how often the predicted ranges hold what studies
state: of these pilots, and of the first setting's studies, which have as few replicates as a study has.

All but the training is the product's: ratings are simulated, read, split, balanced between groups and made into pairs
with targets and weights, reweighted in replicates, and scores become effects, replicate effects and pooled effects.
**The training is a stand-in**: training hundreds of studies would take weeks. An architecture is a random lens through
which it sees the words of a response, its own preference among answers, and its own pace. It is trained on the pairs
with DPO's gradient, a fixed number of steps on a linear reward, and answers a held-out prompt with the one of eight
candidate replies that it likes best. Its scores are the simulation's own. So this tests the laws and the estimates, not
how language models behave.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from configs.load import load_codebook, load_study
from configs.schema import CONTROL, Architecture, Assumptions, Contrast, Study, Tiny
from tasks.effects.correction import correct_effects
from tasks.effects.covariance import effect_covariances
from tasks.effects.effects import effects
from tasks.effects.identity import EffectKey
from tasks.effects.replicates import replicate_effects
from tasks.judging.tables import JudgeCalibration
from tasks.meta_analysis.components import variance_components
from tasks.meta_analysis.study import pool_contrasts
from tasks.planning.design import Components, Design, predict
from tasks.planning.design_basis import asked_raters, contrast_lean
from tasks.planning.design_terms import ContrastFacts, components_of, run_terms
from tasks.planning.finished import FinishedRun
from tasks.preferences.condition import ConditionData, experiment_data, reweighted
from tasks.preferences.raters import rater_weights
from tasks.ratings.reading.load import load_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.spreadsheet import as_csv
from tasks.simulation.language import prompts, replies
from tasks.simulation.simulate import simulate_export

STUDIES, PILOTS, PROCESSES, TARGET = 100, 10, 2, 0.15
PROMPTS, CANDIDATES = 300, 8
LENS, STEPS, PACE = 48, 60, 2.0
OWN_PREFERENCE, OWN_PACE = 1.0, 0.3
"""Standard deviations between architectures: of what an answer is liked from the start, and of the log of the pace."""
EFFECT = EffectKey("gender", Contrast("female - male"), "toxicity")


@dataclass(frozen=True)
class Setting:
    """A study's size; participants are of all groups, of whom about half are in either of the two."""

    participants: int
    ratings_each: int
    prompts: int
    architectures: int
    replicates: int


PILOT = Setting(800, 5, 75, 7, 48)
SETTINGS = (
    Setting(400, 5, 75, 7, 8),
    Setting(1600, 5, 75, 3, 8),
    Setting(800, 10, 75, 7, 16),
    Setting(800, 5, 30, 5, 8),
    Setting(600, 8, 50, 12, 12),
)


@dataclass(frozen=True)
class Simulated:
    """What became of one simulated study: its estimate, the error that it states, and what a design can read of it."""

    estimate: float
    std_error: float
    components: Components
    raters: int


def main(studies: int) -> int:
    """Print the comparison; 1 where a prediction misses by more than the target."""
    started = time.perf_counter()
    rows, small = [], list[Simulated]()
    with ProcessPoolExecutor(PROCESSES) as pool:
        pilots = list(pool.map(simulate, [PILOT] * PILOTS, range(10_000, 10_000 + PILOTS)))
        print(f"{PILOTS} pilots: {PILOT}; standard errors {', '.join(f'{pilot.std_error:.4f}' for pilot in pilots)}")
        for number, setting in enumerate(SETTINGS):
            seeds = range(1000 * number, 1000 * number + studies)
            results = list(pool.map(simulate, [setting] * studies, seeds))
            small = small or results
            rows.append(_compared(setting, pilots, results))
            print(f"{setting}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="{:.4f}".format))
    missed = sum((abs(table[name] - 1) > TARGET).sum() for name in ("stated, ratio", "scatter, ratio"))
    for each, replicates in ((pilots, PILOT.replicates), (small, SETTINGS[0].replicates)):
        print(f"pilots of {replicates} replicates: {_alone(each, table)}")
    return int(missed > 0)


def _design(setting: Setting, raters: int) -> Design:
    each, architectures, replicates = setting.ratings_each, setting.architectures, setting.replicates
    return Design(raters, each, setting.prompts, architectures, replicates)


def _compared(setting: Setting, pilots: list[Simulated], results: list[Simulated]) -> dict[str, object]:
    raters = round(np.mean([result.raters for result in results]))
    predicted = [predict(pilot.components, _design(setting, raters)) for pilot in pilots]
    error, spread = (np.mean([getattr(each, name).value for each in predicted]) for name in ("std_error", "scatter"))
    stated = float(np.sqrt(np.mean([result.std_error**2 for result in results])))
    scatter = float(np.std([result.estimate for result in results], ddof=1))
    return {
        "raters a group": raters,
        **{name: value for name, value in vars(setting).items() if name != "participants"},
        "stated, predicted": error,
        "stated, simulated": stated,
        "stated, ratio": error / stated,
        "scatter, predicted": spread,
        "scatter, simulated": scatter,
        "scatter, ratio": spread / scatter,
        "± (95%)": 1.96 / np.sqrt(2 * (len(results) - 1)),
    }


def _alone(pilots: list[Simulated], table: pd.DataFrame) -> str:
    """How each of these does as the only pilot for all settings."""
    near, held, n = 0, 0, 0
    for row, setting in zip(table.to_dict("records"), SETTINGS, strict=True):
        for pilot in pilots:
            error = predict(pilot.components, _design(setting, row["raters a group"])).std_error
            near += abs(error.value / row["stated, simulated"] - 1) <= TARGET
            held += error.low <= row["stated, simulated"] <= error.high
            n += 1
    return f"{near / n:.0%} of predictions within {TARGET:.0%}, {held / n:.0%} of ranges hold"


# ---- one simulated study, by the product but for the training


def simulate(setting: Setting, seed: int) -> Simulated:
    """A study of this size from new raters to its pooled effect."""
    study, data = _ratings(setting, seed)
    experiment = study.experiments[EFFECT.experiment]
    conditions = experiment_data(study, data, experiment)
    scores, replicated = _trained(study, data, conditions, setting.replicates)
    health = pd.DataFrame(
        columns=["experiment", "architecture", "condition", "seed", "n_outputs", "well_formed", "marked"]
    )
    calibration = JudgeCalibration.checked([])
    own = correct_effects(effects(study, scores, health, data.categories), calibration)
    contrasts = {EFFECT.experiment: list(experiment.contrasts)}
    by_replicate = replicate_effects(study, contrasts, scores, replicated)
    covariances = effect_covariances(study, scores, own)
    pooled = pool_contrasts(study, own, covariances, by_replicate, calibration)
    tables = {"effects": own, "replicate_effects": by_replicate, "pooled": pooled}
    tables["variance_components"] = variance_components(own, covariances, pooled, calibration)
    with tempfile.TemporaryDirectory() as folder:
        for name, table in tables.items():
            (Path(folder) / f"{name}.csv").write_text(as_csv(table))
        run = run_terms(FinishedRun(study, Path(folder), {}), EFFECT)
    asked = asked_raters(data, EFFECT, "the pilot", {})
    facts = ContrastFacts(
        asked=asked,
        prompts=setting.prompts,
        architectures=setting.architectures,
        seeds=1,
        replicates=setting.replicates,
        run=run,
        lean=contrast_lean(data, EFFECT, conditions),
        assumptions=Assumptions(),
    )
    row = EFFECT.rows_of(pooled).iloc[0]
    return Simulated(row["estimate"], row["total_std_error"], components_of(facts)[0], asked.raters)


def _ratings(setting: Setting, seed: int) -> tuple[Study, StudyData]:
    sizes = {"participants": setting.participants, "responses_each": setting.ratings_each, "prompts": PROMPTS}
    sides = {name: {"stratum": name, "dimensions": ["toxicity"], "scale": "5-point"} for name in ("female", "male")}
    gender = {"title": "", "question": "", "conditions": sides, "contrasts": {"female - male": {"focus": ["toxicity"]}}}
    names = load_study("demo").experiments
    overrides = {f"experiments.{name}": None for name in names} | {"experiments.gender": gender, "seed": seed}
    overrides |= {
        "ratings.simulate": sizes,
        "evaluation.max_prompts": setting.prompts,
        "evaluation.dimensions": ["toxicity"],
    }
    study = load_study("demo", overrides)
    stand_ins = tuple(
        Architecture(name=f"stand-in-{n}", title="", family="", parameters=1, tiny=Tiny())
        for n in range(setting.architectures)
    )
    study = study.model_copy(update={"architectures": stand_ins})
    with tempfile.TemporaryDirectory() as folder:
        simulate_export(study.ratings.simulate, seed, Path(folder))
        codebooks = [load_codebook(name) for name in study.ratings.codebooks]
        return study, StudyData.of(study, load_ratings(list(study.dimensions), codebooks, Path(folder)))


# ---- the stand-in


def _trained(
    study: Study, data: StudyData, conditions: dict[str, ConditionData], replicates: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of the study's answers, and those of its replicates."""
    rng = np.random.default_rng([study.seed, 1])
    held_out = data.evaluation_prompts["prompt_id"].tolist()
    candidates = [replies(_prompt(name), CANDIDATES, rng) for name in held_out]
    seen = _words(reply.text.en for own in candidates for reply in own)
    worth = np.array([[reply.scores["toxicity"] for reply in own] for own in candidates])
    pairs = {name: _weighed(study, data, name, own, replicates) for name, own in conditions.items()}
    rows = []
    for architecture in study.architectures:
        lens = rng.normal(size=(seen.shape[1], LENS)) / np.sqrt(LENS)
        liked, pace = OWN_PREFERENCE * rng.normal(size=worth.shape), PACE * np.exp(OWN_PACE * rng.normal())
        for name, (differences, targets, weights) in pairs.items():
            rewards = _dpo(differences @ lens, targets, weights, pace) @ (seen @ lens).T
            best = (rewards.reshape(-1, *worth.shape) + liked).argmax(axis=2)
            for replicate, chosen in enumerate(best):
                scores = np.take_along_axis(worth, chosen[:, None], axis=1)[:, 0]
                rows += [(architecture.name, name, replicate, *both) for both in zip(held_out, scores, strict=True)]
        untouched = np.take_along_axis(worth, liked.argmax(axis=1)[:, None], axis=1)[:, 0]
        rows += [(architecture.name, CONTROL, 0, *both) for both in zip(held_out, untouched, strict=True)]
    table = pd.DataFrame(rows, columns=["architecture", "condition", "replicate", "prompt_id", "score"])
    where = np.where(table["condition"] == CONTROL, CONTROL, EFFECT.experiment)
    table = table.assign(experiment=where, dimension="toxicity", seed=0)
    return table[table["replicate"] == 0], table[table["replicate"] > 0]


def _weighed(
    study: Study, data: StudyData, name: str, own: ConditionData, replicates: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of a condition's pairs in words (N, words), their targets and weights (1 + replicates, N)."""
    condition, people = study.experiments[EFFECT.experiment].conditions[name], data.ratings["participant_id"]
    weights = [rater_weights(people, number, study.seed) for number in range(1, replicates + 1)]
    tables = [own.pairs, *(reweighted(condition, own, data.responses, each).pairs for each in weights)]
    differences = _words(own.pairs["text_a"]) - _words(own.pairs["text_b"])
    return differences, *(np.array([table[column] for table in tables]) for column in ("target", "weight"))  # type: ignore[return-value]


def _dpo(differences: np.ndarray, targets: np.ndarray, weights: np.ndarray, pace: float) -> np.ndarray:
    """Linear rewards (B, features) after some steps down the weighted mean of -t log σ(d) - (1 - t) log σ(-d)."""
    theta = np.zeros((len(targets), differences.shape[1]))
    for _ in range(STEPS):
        d = theta @ differences.T
        theta += pace * (weights * (targets - 1 / (1 + np.exp(-d)))) @ differences / len(differences)
    return theta


def _prompt(prompt_id: str):
    return prompts(PROMPTS)[int(prompt_id.rpartition("-")[2]) - 1]


@cache
def _vocabulary() -> dict[str, int]:
    rng = np.random.default_rng(0)
    texts = [reply.text.en for prompt in prompts(336) for reply in replies(prompt, 6, rng)]
    return {word: place for place, word in enumerate(sorted({word for text in texts for word in _split(text)}))}


def _split(text: str) -> list[str]:
    return text.lower().replace(".", "").split()


def _words(texts: Iterable[str]) -> np.ndarray:
    """How often each word of the language stands in each text (N, words); German words are not counted."""
    vocabulary, rows = _vocabulary(), []
    for text in texts:
        places = [vocabulary[word] for word in _split(text) if word in vocabulary]
        rows.append(np.bincount(places, minlength=len(vocabulary)))
    return np.array(rows, float)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else STUDIES))
