"""What a planned contrast is predicted from: a finished run, ratings that exist, or simulated ones in their place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.load import load_codebooks
from configs.schema import CONTROL, Assumptions, Simulation, Study
from tasks.architectures.cost import Texts
from tasks.effects.identity import EffectKey
from tasks.judging.evidence import gather_evidence
from tasks.methods.text_regression import TextRegression
from tasks.planning.design import Components, Design
from tasks.planning.design_terms import AskedRaters, ContrastFacts, Origin, components_of, run_terms
from tasks.planning.finished import FinishedRun, finished_run
from tasks.planning.rater_shares import Lean, lean
from tasks.planning.workload import Workload, workload_of
from tasks.preferences.condition import ConditionData, experiment_data
from tasks.ratings.landing.snapshot import collection_of
from tasks.ratings.reading.load import files_of
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.home import home
from tasks.runtime.store import Store
from tasks.runtime.stores import chosen_store
from tasks.simulation.population import ENGLISH, GERMAN
from tasks.simulation.step import simulated_export

log = logging.getLogger(__name__)
REPLICATES = 8
"""Where the study has none: its interval would not know who was asked."""


@dataclass(frozen=True)
class Basis:
    """A contrast as it can be predicted. `own`: the numbers of the study itself; `groups`: of raters, 1 or 2."""

    effect: EffectKey
    groups: int
    own: Design
    components: Components
    workload: Workload
    sources: list[Origin]


def find_run(study: Study, folder: Path | None) -> FinishedRun | None:
    """The run in the folder, or where the study's own outputs are; None where it has none with its components yet.

    Raises:
        InputError: the named folder has no run.
    """
    if folder is not None:
        run = finished_run(folder)
        run.table("variance_components")
        return run
    own = Path("outputs") / study.name
    return finished_run(own) if (own / "tables" / "variance_components.csv").exists() else None


def find_basis(study: Study, effect: EffectKey, run: FinishedRun | None, assumptions: Assumptions) -> Basis:
    """All that is known of a contrast of the study.

    Raises:
        InputError: the study or the run has no such contrast; the contrast's ratings give no preference; there are no
            ratings, and none that could be simulated in their place.
    """
    effect.check(study)
    if run:
        effect.check(run.study)
    data, origin = _ratings(study, run, chosen_store())
    log.info("counting preferences of %s", origin)
    conditions = experiment_data(study, data, study.experiments[effect.experiment])
    for side in effect.contrast.sides:
        if side != CONTROL and conditions[side].no_pairs:
            raise InputError(f"{effect}: {side}: {conditions[side].no_pairs}")
    texts = Texts(*(float(data.responses[name].str.len().mean()) for name in ("prompt", "response")))
    facts = ContrastFacts(
        asked=asked_raters(data, effect, origin, {name: made.left_out or [] for name, made in conditions.items()}),
        prompts=max(len(data.evaluation_prompts), 2),
        architectures=max(len(study.architectures), 2),
        seeds=study.seeds,
        replicates=study.raters.replicates or REPLICATES,
        run=run_terms(run, effect) if run else None,
        lean=contrast_lean(data, effect, conditions),
        assumptions=assumptions,
    )
    components, sources = components_of(facts)
    asked = facts.asked
    each = max(round(asked.ratings_each), 1)
    own = Design(asked.raters, each, facts.prompts, facts.architectures, facts.replicates, facts.seeds)
    return Basis(effect, asked.groups, own, components, workload_of(study, effect, conditions, texts), sources)


def asked_raters(data: StudyData, effect: EffectKey, origin: str, left_out: Mapping[str, Sequence[str]]) -> AskedRaters:
    """Whom the sides of a contrast ask: the smaller one where they ask different people.

    left_out: condition → whom its rater filter leaves out; two filters of the same raters leave mostly the same people,
    and count as asking the same.

    Raises:
        InputError: fewer than two raters.
    """
    conditions = data.study.experiments[effect.experiment].conditions
    counts: dict[object, tuple[int, int]] = {}
    for name in (side for side in effect.contrast.sides if side != CONTROL):
        condition = conditions[name]
        people = data.raters(condition)
        answered = data.ratings.dropna(subset=list(condition.dimensions), how="all")
        own = answered if people is None else answered[answered["participant_id"].isin(people)]
        own = own[~own["participant_id"].isin(left_out.get(name, []))]
        whose, count = (condition.stratum, condition.half), (own["participant_id"].nunique(), len(own))
        counts[whose] = min(counts.get(whose, count), count)
    raters, ratings = min(counts.values())
    if raters < 2:
        raise InputError(f"{effect}: {raters} raters on one side; a design needs at least 2")
    return AskedRaters(raters, ratings / raters, len(counts), origin)


def contrast_lean(data: StudyData, effect: EffectKey, conditions: dict[str, ConditionData]) -> Lean | None:
    """What a contrast's preferences say of its raters; None where there is too little to tell.

    What is preferred is scored by a text regression of the ratings of held-out prompts, which train nothing.
    """
    try:
        rated = gather_evidence(data.study, data).rated
    except InputError:
        return None
    line = TextRegression(
        rated["response"].tolist(), rated[[effect.dimension]].to_numpy(float), rated["n"].to_numpy(float)
    )
    responses = data.training(data.responses)
    scores = pd.Series(line.predict(responses["response"].tolist())[:, 0], index=responses["response_id"])
    return lean(data.study.experiments[effect.experiment], conditions, effect.contrast, scores)


# ---- ratings


def _ratings(study: Study, run: FinishedRun | None, store: Store) -> tuple[StudyData, str]:
    """Those that the run read, else the study's, else simulated ones, and what they are called."""
    if run and (kept := run.kept_ratings(store)):
        return load_data(study, kept), f"the ratings of {run.tables.parent}"
    read, name = study, "simulated ratings" if study.ratings.simulate else "the study's ratings"
    try:
        _check_there(study)
    except InputError as missing:
        if not set(study.ratings.codebooks) <= {ENGLISH.codebook, GERMAN.codebook}:
            raise
        log.info("no ratings (%s): simulated raters stand in for them", missing)
        simulated = study.ratings.model_copy(update={"folder": None, "collection": None, "simulate": Simulation()})
        read, name = study.model_copy(update={"ratings": simulated}), "simulated ratings, assumed: there are no others"
    log.info("reading %s", name)
    return load_data(study, read_ratings(read, store, simulated_export(read, store))), name


def _check_there(study: Study) -> None:
    """Raise `InputError` where the study's ratings are not there."""
    if study.ratings.folder is not None:
        files_of(load_codebooks(study.ratings.codebooks), Path(study.ratings.folder))
    if study.ratings.collection is not None:
        collection_of(study, home()).find(study.ratings.snapshot)
