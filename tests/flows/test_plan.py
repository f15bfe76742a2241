"""What `pluralign plan` says beforehand, held against what then runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from configs.load import load_study
from configs.schema import Study
from flows.cli import main
from tasks.planning.plan import CACHED, FAILS, RUNS, SHARED, Plan, describe, plan_study
from tests.flows.conftest import Place, new_place


def planned(place: Place, monkeypatch: pytest.MonkeyPatch, **overrides: object) -> Plan:
    monkeypatch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
    monkeypatch.chdir(place.folder)
    return plan_study(place.study, overrides or None, workers=2)


def test_before_the_first_run_every_training_run_is_counted_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(place, monkeypatch)
    # 2 architectures x (female, male, binary, 5-point = dpo, grpo): dpo shares the run of 5-point
    assert (len(plan.cells), plan.training_runs) == (14, 10)
    assert [cell.condition for cell in plan.cells if cell.training == SHARED] == ["dpo", "dpo"]
    assert {cell.because for cell in plan.cells if cell.training == RUNS} == {"it has never finished"}
    assert plan.seconds is None
    assert "time: unknown, no earlier run tells" in describe(plan)
    assert plan.disk is not None
    assert (plan.disk.there, plan.disk.size > 10 * 80_000) == (0, True)  # adapters of some 80 kB
    parts = {cell.condition: cell.parts for cell in plan.cells if cell.architecture == "tiny-llama"}
    assert [[part.unit for part in parts[name]] for name in ("control", "grpo")] == [["answers"], ["steps", "answers"]]
    assert [part.kind for part in parts["grpo"]] == ["grpo", "answers"]
    keys = {name: [part.key for part in own] for name, own in parts.items()}
    assert keys["dpo"] == keys["5-point"]  # whoever comes first does it for both
    assert len({key for own in keys.values() for key in own}) == 1 + 5 * 2


def test_a_chat_models_calls_and_their_price_are_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = {"kind": "llm", "model": "m"}
    plan = planned(place, monkeypatch, judge=judge)
    answers = plan.judge_calls - plan.proof_calls
    prompts = answers // 12  # 10 training runs and 2 controls; shared cells have the same answers
    assert answers == 12 * prompts > 0
    assert plan.proof_calls == 3 * prompts  # each prompt has three rated responses
    assert f"judge calls: {plan.judge_calls:,} to m ({plan.proof_calls} for its proof), cost" in describe(plan)
    assert plan.cost is None
    assert "cost unknown (set judge.price)" in describe(plan)
    priced = planned(place, monkeypatch, judge=judge | {"price": {"input": 1000.0, "output": 0.0}})
    text_of_rubric = (priced.cost or 0.0) / priced.judge_calls * 1000 - 96 - 40  # less the longest prompt and answer
    assert 50 < text_of_rubric < 300  # tokens


def test_a_hub_model_that_was_never_used_is_planned_without_asking_the_hub(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.architectures.step.resolve_revision", lambda _: pytest.fail("the hub was asked"))
    plan = planned(place, monkeypatch, architectures=["qwen3-4b"])
    assert {cell.because for cell in plan.cells if cell.training == RUNS} == {
        "its base has not been resolved yet: the hub is asked at the first run"
    }
    assert plan.training_runs == 5
    assert [cell.condition for cell in plan.cells if cell.training == SHARED] == ["dpo"]
    assert "  qwen3-4b: 5 training runs, " in describe(plan)
    hours = {cell.condition: cell.gpu_hours for cell in plan.cells}
    assert hours["dpo"] == 0 < hours["control"] < hours["5-point"]  # shared runs take nothing, the control only answers


def test_a_condition_that_names_groups_is_one_run_with_answers_for_each(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"dimensions": ["toxicity"], "scale": "5-point"}
    ways = {
        "title": "Ways", "question": "Which?", "groups": ["female", "male"],
        "conditions": {way: plain | {"voices": way} for way in ("equal", "named")},
        "contrasts": {"named - equal": {}},
    }  # fmt: skip
    changes = {"architectures": ["tiny-llama"], "raters": {"replicates": 2, "experiments": ["ways"]}}
    plan = planned(place, monkeypatch, **{"experiments.ways": ways}, **changes)
    cells = {(cell.condition, cell.replicates): cell for cell in plan.cells if cell.experiment == "ways"}
    assert {cell.training for cell in cells.values()} == {RUNS}
    prompts = cells["equal", 0].judged
    assert cells["named", 0].judged == 2 * prompts > 0
    assert (cells["equal", 2].judged, cells["named", 2].judged) == (2 * prompts, 4 * prompts)
    other = planned(place, monkeypatch, **{"experiments.ways": ways, "recipe.name_sentence": "For {group}"}, **changes)
    assert other.training_runs == plan.training_runs


@pytest.mark.slow
def test_after_a_run_nothing_is_left_and_a_changed_setting_is_named(
    finished: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(finished, monkeypatch)
    assert {(cell.training, cell.answers) for cell in plan.cells} == {("", CACHED), (CACHED, CACHED)}
    assert (plan.training_runs, plan.seconds) == (0, 0)
    assert plan.disk is not None
    assert plan.disk.there == plan.disk.size
    assert sum(cell.judged for cell in plan.cells) == 0
    longer = planned(finished, monkeypatch, **{"recipe.grpo.epochs": 2.0})
    (first, second) = (cell for cell in longer.cells if cell.training == RUNS)
    assert {first.condition, second.condition} == {"grpo"}
    assert first.because == "settings changed: grpo.epochs 1.0 → 2.0"
    assert longer.seconds is not None
    assert longer.seconds > 0


@pytest.mark.slow
def test_answers_that_cells_share_are_judged_once_by_another_judge(
    finished: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(finished, monkeypatch, judge={"kind": "llm", "model": "m"})
    prompts = max(cell.judged for cell in plan.cells)
    shared = [cell for cell in plan.cells if cell.answers == SHARED]
    assert [(cell.condition, cell.training, cell.judged) for cell in shared] == [("dpo", CACHED, 0)] * 2
    assert sum(cell.judged for cell in plan.cells) == 12 * prompts  # 10 training runs and 2 controls


@pytest.mark.slow
def test_a_lost_adapter_runs_again_and_the_cells_that_share_it_wait_for_it(
    finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place(tmp_path)
    shutil.copytree(finished.folder / "home", tmp_path / "home", ignore=shutil.ignore_patterns("*.lock", "mlflow*"))
    shutil.rmtree(tmp_path / "home" / "store" / "training-runs")
    plan = planned(place, monkeypatch)
    assert plan.training_runs == 10
    assert {cell.because for cell in plan.cells if cell.training == RUNS} == {"what it made is gone from the store"}
    assert {cell.answers for cell in plan.cells if cell.training == RUNS} == {CACHED}


def test_equal_steps_train_small_conditions_longer_and_share_the_largest_one_s_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(
        place, monkeypatch, architectures=["tiny-llama"],
        **{"experiments.scale-steps": {"extends": "scale", "budget": "steps"}},
    )  # fmt: skip
    steps = {cell.condition: cell for cell in plan.cells if cell.experiment == "scale-steps"}
    assert (steps["5-point"].training, steps["binary"].training) == (SHARED, RUNS)
    assert steps["5-point"].because == "the training run of tiny-llama · scale · 5-point"
    assert plan.training_runs == 6  # female, male, 5-point, binary, grpo, and binary with the steps of 5-point


def test_every_seed_trains_a_run_of_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(place, monkeypatch, seeds=3, architectures=["tiny-llama"])
    assert (len(plan.cells), plan.training_runs) == (1 + 6 * 3, 5 * 3)
    assert [cell.seed for cell in plan.cells if cell.condition == "binary"] == [0, 1, 2]


def test_a_condition_that_leaves_nothing_to_train_on_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(place, monkeypatch, **{"scales.binary": [None, None, None, None, None]})
    failing = [cell for cell in plan.cells if cell.training == FAILS]
    assert [cell.condition for cell in failing] == ["binary", "binary"]
    assert "no preference pair" in failing[0].because


def test_the_command_prints_the_cells_and_writes_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
    monkeypatch.chdir(place.folder)
    assert main(["plan", place.study, "--output", "plan.csv"]) == 0
    printed = capsys.readouterr().out
    assert "training runs to make: 10" in printed
    assert "\ndisk: at most about " in printed
    assert len((place.folder / "plan.csv").read_text().splitlines()) == 15


def test_a_study_without_experiments_has_nothing_to_plan() -> None:
    study: Study = load_study("popquorn")
    assert describe(Plan(study, [], 2)) == "popquorn: no experiments, so there are no cells"
