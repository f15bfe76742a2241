"""`pluralign trace`: what a number rests on, and what a participant's ratings touched. Nothing runs; all is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.load import load_study
from configs.schema import CONTROL, Condition, Study
from tasks.effects.identity import EffectKey
from tasks.methods import METHODS
from tasks.methods.step import ADAPTER, RUNS
from tasks.methods.training_rows import training_rows, why_not
from tasks.planning.finished import FinishedRun, finished_run
from tasks.preferences.aggregation import behind
from tasks.preferences.condition import ConditionData
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.step import load_data
from tasks.ratings.study_data import StudyData
from tasks.runtime.home import home
from tasks.runtime.store import Artifact, Store
from tasks.runtime.stores import chosen_store

SHAPE = "EXPERIMENT:FIRST:SECOND:DIMENSION, with :ARCHITECTURE for one of those pooled"
USED = ["participant_id", "response_id", "prompt_id", "dimension"]
COLUMNS = ["architecture", "estimate", "std_error", "n_prompts", "n_seeds", "n_unscored", "marked"]


@dataclass(frozen=True)
class Finished(FinishedRun):
    """A study as it was last run, with its ratings."""

    ratings: Artifact
    data: StudyData
    store: Store

    def used(self, experiment: str) -> dict[str, pd.DataFrame]:
        """Condition → the ratings that its training data was made of."""
        preferences = keep_preferences(self.study, experiment, self.data, self.ratings, self.store)
        conditions = self.study.experiments[experiment].conditions
        return {name: used_ratings(self.study, item, preferences.of(name)) for name, item in conditions.items()}


def trace(name: str, what: str, output: Path | None) -> list[str]:
    """The lines that answer: `what` is an effect's id, or a participant's.

    Raises:
        InputError: the study has not run, its ratings are gone, or it has no such effect or participant.
    """
    finished = _finished(name, output)
    effect = EffectKey.parse(what)
    return trace_effect(finished, effect) if effect else trace_participant(finished, what)


def _finished(name: str, output: Path | None) -> Finished:
    run, store = finished_run(output or Path("outputs") / load_study(name).name), chosen_store()
    finished = with_ratings(run, store)
    if finished is None:
        digest = run.facts["ratings_digest"]
        raise InputError(f"{home()}: no ratings {digest}; PLURALIGN_HOME says where the run kept them")
    return finished


def with_ratings(run: FinishedRun, store: Store) -> Finished | None:
    """The run with the ratings that it read; None where the store has them no more."""
    ratings = run.kept_ratings(store)
    if ratings is None:
        return None
    return Finished(run.study, run.tables, run.facts, ratings, load_data(run.study, ratings), store)


# ---- what a number rests on


def trace_effect(finished: Finished, effect: EffectKey) -> list[str]:
    """The pooled effect or one architecture's, its runs with their adapters, and the ratings behind each side."""
    study = finished.study
    effect.check(study)
    effects = effect.rows_of(finished.table("effects"))
    if effects.empty:
        raise InputError(f"{effect}: this run has no such effect; its cells may have failed")
    lines = [f"{effect}", *_numbers(finished, effect, effects)]
    for side, condition in zip(("first", "second"), effect.contrast.sides, strict=True):
        lines += ["", f"{side} side: {condition}", *_runs(finished, effect, condition, list(effects["architecture"]))]
        trained = condition != CONTROL
        lines += _ratings(finished, effect, condition) if trained else ["  not trained: rests on no rating"]
    return [*lines, "", *_shared(finished)]


def _numbers(finished: Finished, effect: EffectKey, effects: pd.DataFrame) -> list[str]:
    lines = []
    pooled = None if effect.architecture else effect.rows_of(finished.table("pooled"))
    if pooled is not None and len(pooled):
        row = pooled.iloc[0]
        wald, hksj = _interval(row["ci_low"], row["ci_high"]), _interval(row["hksj_ci_low"], row["hksj_ci_high"])
        over = "1 architecture" if row["k"] == 1 else f"{row['k']} architectures"
        lines.append(f"pooled over {over}: {row['estimate']:.4f}, Wald {wald}, HKSJ {hksj}")
    shown = effects[COLUMNS].assign(marked=effects["marked"].fillna(""))
    return [*lines, *shown.round(4).to_string(index=False).splitlines()]


def _interval(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}" if pd.notna(low) else "none"


def _runs(finished: Finished, effect: EffectKey, condition: str, architectures: list[str]) -> list[str]:
    """The training runs of one side."""
    cells = finished.table("cells")
    experiment = CONTROL if condition == CONTROL else effect.experiment
    own = cells[(cells["experiment"] == experiment) & (cells["condition"] == condition)]
    own = own[own["architecture"].isin(architectures)].fillna({"training_run": "", "mlflow_run_id": ""})
    lines = []
    for row in own.itertuples():
        run = ": untouched"
        if row.training_run:
            run = f": run {row.training_run}, adapter {finished.store.where(RUNS, row.training_run)}/{ADAPTER}"
        logged = f", MLflow run {row.mlflow_run_id}" if row.training_run and row.mlflow_run_id else ""
        lines.append(f"  {row.architecture}, seed {row.seed}{run}{logged}")
    return lines


def _ratings(finished: Finished, effect: EffectKey, condition: str) -> list[str]:
    """How many ratings and participants, by stratum, and what of the training data."""
    counts = by_stratum(finished.data, finished.used(effect.experiment)[condition])
    dimensions = ", ".join(finished.study.experiments[effect.experiment].conditions[condition].dimensions)
    lines = [f"  trained on ratings of {dimensions}; participants and ratings behind them, by stratum:"]
    return [*lines, *(f"    {line}" for line in counts.to_string(index=False).splitlines())]


def _shared(finished: Finished) -> list[str]:
    """What every number of the study rests on."""
    facts, study = finished.facts, finished.study
    snapshot = f"snapshot {facts['snapshot']}" if "snapshot" in facts else f"digest {facts['ratings_digest']}"
    judge = "fitted on the ratings of held-out prompts" if study.judge.learns else study.judge.title
    held = finished.data.evaluation(finished.data.ratings)
    return [
        f"ratings: {snapshot}, run of {facts['created']}",
        f"judge: {study.judge.kind}, {judge} ({held['prompt_id'].nunique()} prompts, {len(held)} rated responses by "
        f"{held['participant_id'].nunique()} participants)",
        f"rows: {finished.tables / 'effects.csv'}, {finished.tables / 'scores.csv'}",
    ]


# ---- what a participant's ratings touched


def trace_participant(finished: Finished, participant: str) -> list[str]:
    """The conditions, training runs and effects that rest on one participant's ratings."""
    study, data = finished.study, finished.data
    own = data.ratings[data.ratings["participant_id"] == participant]
    if own.empty:
        raise InputError(f"{participant!r}: neither an effect ({SHAPE}) nor a participant of this run")
    held = len(data.evaluation(own))
    given = own[list(study.dimensions)].notna().to_numpy().sum()
    fits, tries = "and fit the judge, on whose scores every effect rests", "and are what the judge is held against"
    judged = fits if study.judge.learns else tries
    unused = f"; {held} responses are to held-out prompts: they train nothing, {judged}" if held else ""
    lines = [f"{participant}: {given} ratings of {len(own)} responses{unused}"]
    touched = touched_by(finished, participant)
    if touched.empty:
        return [*lines, "no training run rests on them"]
    runs = touched["runs"].explode().dropna().nunique()
    lines += [f"{runs} training runs rest on them:", *touched.drop(columns="runs").to_string(index=False).splitlines()]
    names = set(zip(touched["experiment"], touched["condition"], strict=True))
    effects = [
        f"  {EffectKey(experiment, contrast, dimension)}"
        for experiment, settings in study.experiments.items()
        for contrast in settings.contrasts
        if any((experiment, side) in names for side in contrast.sides)
        for dimension in study.evaluation.dimensions
    ]
    return [*lines, "", "pooled effects that rest on these:", *effects]


def touched_by(finished: Finished, participant: str) -> pd.DataFrame:
    """experiment, condition, ratings, of (all that the condition uses), architectures, runs."""
    cells, rows = finished.table("cells"), []
    for experiment in finished.study.experiments:
        for condition, used in finished.used(experiment).items():
            own = int((used["participant_id"] == participant).sum())
            mine = cells[(cells["experiment"] == experiment) & (cells["condition"] == condition)]
            if own:
                runs = sorted(set(mine["training_run"].dropna()))
                rows.append((experiment, condition, own, len(used), mine["architecture"].nunique(), runs))
    return pd.DataFrame(rows, columns=["experiment", "condition", "ratings", "of", "architectures", "runs"])


# ---- whose ratings a condition's training data was made of


def used_ratings(study: Study, condition: Condition, data: ConditionData) -> pd.DataFrame:
    """The ratings that a condition's training data was made of, one row a participant, response and dimension.

    A rating counts where a label that trains was made of it: the scale and the aggregation leave it, and its response
    is among those that the method trains on. Nothing for a condition without training data.
    """
    method = METHODS[condition.method]
    if why_not(method, data):
        return pd.DataFrame(columns=USED)
    trained = method.responses(training_rows(method, data, study.recipe, study.seed)[0])
    parts = []
    for dimension, labels in data.labels.items():
        counts = behind(labels.scaled, labels.final, condition.aggregation)["part"] > 0
        rows = labels.scaled[counts & labels.scaled["response_id"].isin(trained)]
        parts.append(rows.assign(dimension=dimension)[USED])
    return pd.concat(parts, ignore_index=True)


def by_stratum(data: StudyData, used: pd.DataFrame) -> pd.DataFrame:
    """stratum, participants, ratings: everybody first, then each stratum that is large enough to be shown."""
    groups = {"all": set(data.participants["participant_id"]), **data.strata_shown}
    parts = {name: used[used["participant_id"].isin(ids)] for name, ids in groups.items()}
    rows = [(name, part["participant_id"].nunique(), len(part)) for name, part in parts.items()]
    return pd.DataFrame(rows, columns=["stratum", "participants", "ratings"])
