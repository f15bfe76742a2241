"""What runs again after ratings land: exactly what they change, and the plan says so beforehand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.load import load_codebook, load_study
from configs.schema import Simulation
from tasks.planning import plan as planning
from tasks.planning.plan import CACHED, RUNS, Plan, plan_study
from tasks.ratings.landing.landing import Landing, land
from tasks.ratings.landing.snapshot import collection_of
from tasks.ratings.study_data import held_out
from tasks.runtime.store import FolderStore
from tasks.simulation.simulate import simulate_export

KEY = b"a key for this test"
STUDY = """
extends: demo
name: landed
ratings: {collection: landed, codebooks: [survey-app-en, survey-app-de]}
architectures: [tiny-llama]
raters: {replicates: 0}
placebo: 0
"""
GENDER_AND_POLITICS = ("female", "male", "liberal", "conservative")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "landed.yaml").write_text(STUDY)
    return "landed.yaml"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The English and German tables of 200 simulated participants."""
    folder = tmp_path / "export"
    simulate_export(Simulation(participants=200, prompts=60, responses_each=6), 0, folder)
    return folder


def landed(export: Path, study: str) -> Landing:
    settings = load_study(study)
    codebooks = [load_codebook(name) for name in settings.ratings.codebooks]
    return land(collection_of(settings, Path("home")), [export], codebooks, KEY)


def copy(export: Path, name: str, changes: dict[str, pd.DataFrame]) -> Path:
    """Another export: the same files but for the tables given."""
    folder = export.with_name(name)
    folder.mkdir()
    for path in export.iterdir():
        table = changes.get(path.name, pd.read_csv(path, dtype=str, keep_default_na=False))
        table.to_csv(folder / path.name, index=False)
    return folder


def as_if_run(study: str, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of a study, after which all its training runs are in the store, though nothing has been trained."""
    keys: list[str] = []
    real = planning.wanted_run

    def noting(*arguments: object) -> object:
        run = real(*arguments)  # type: ignore[arg-type]
        keys.append(run.key)
        return run

    with monkeypatch.context() as patch:
        patch.setattr(planning, "wanted_run", noting)
        plan = plan_study(study, workers=1)
    for key in keys:
        FolderStore(Path("home/store")).make("training-runs", key, lambda _: {"seconds": 0.0})
    return plan


def training(plan: Plan) -> dict[str, str]:
    """Condition → cached or runs."""
    return {cell.condition: cell.training for cell in plan.cells if cell.condition != "control"}


def test_ratings_of_held_out_prompts_repeat_no_training(
    study: str, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_study(study)
    ratings = pd.read_csv(export / "df_ratings.csv", dtype=str)
    apart = held_out(ratings["question_id"], settings.evaluation.share, settings.seed)
    later = ratings["question_id"].isin(apart) & (ratings.index % 2 == 0)
    assert 20 < later.sum() < len(ratings) / 2
    landed(copy(export, "first", {"df_ratings.csv": ratings[~later]}), study)
    before = as_if_run(study, monkeypatch)
    assert before.training_runs > 10
    landing = landed(export, study)
    assert landing.fresh
    assert landing.changes["ratings"].added == 5 * later.sum()
    after = plan_study(study, workers=1)
    assert RUNS not in training(after).values()
    assert list(training(after).values()).count(CACHED) > 10


def test_ratings_of_people_outside_a_stratum_leave_its_runs_alone(
    study: str, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = pd.read_csv(export / "df_participants.csv", dtype=str, keep_default_na=False)
    whites = people["ethnicity"].eq('["White"]')
    silent = people[whites].head(8)["participant_id"]
    people.loc[people["participant_id"].isin(silent), ["gender_identity", "political_spectrum"]] = (
        "I wish not to declare"
    )
    ratings = pd.read_csv(export / "df_ratings.csv", dtype=str)
    later = ratings["participant_id"].isin(silent)
    first = {"df_ratings.csv": ratings[~later], "df_participants.csv": people[~people["participant_id"].isin(silent)]}
    landed(copy(export, "first", first), study)
    as_if_run(study, monkeypatch)
    landed(copy(export, "second", {"df_participants.csv": people}), study)
    plan = plan_study(study, workers=1)
    found = training(plan)
    assert {name: found[name] for name in GENDER_AND_POLITICS} == dict.fromkeys(GENDER_AND_POLITICS, CACHED)
    # what everybody's ratings train necessarily runs again
    assert {found[name] for name in ("5-point", "3-point", "binary", "average", "dpo-ea")} == {RUNS}


def test_landing_the_same_again_repeats_nothing(study: str, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landed(export, study)
    as_if_run(study, monkeypatch)
    assert not landed(export, study).fresh
    assert plan_study(study, workers=1).training_runs == 0


def test_a_study_may_name_a_snapshot_and_stay_with_it(
    study: str, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings = pd.read_csv(export / "df_ratings.csv", dtype=str)
    first = landed(copy(export, "first", {"df_ratings.csv": ratings.head(len(ratings) - 100)}), study)
    as_if_run(study, monkeypatch)
    landed(export, study)
    held = plan_study(study, {"ratings.snapshot": first.snapshot.id}, workers=1)
    assert held.training_runs == 0
    assert plan_study(study, workers=1).training_runs > 0
