"""A whole study whose conditions give groups a voice: what each trains, and what it shares with others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from configs.load import load_study
from tasks.lineage.unneeded import HOUR, find_unneeded
from tasks.runtime.store import FolderStore
from tests.flows.conftest import STUDY, Place, new_place, read, run

pytestmark = pytest.mark.slow
WAYS = ("equal", "population", "robust", "least-regret", "named", "merged")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, prefect: None, databases: Path) -> Place:
    study = yaml.safe_load(STUDY)
    plain = {"dimensions": ["toxicity"], "scale": "5-point"}
    conditions = {
        "female": plain | {"stratum": "female"},
        "male": plain | {"stratum": "male"},
        "pooled": plain,
        **{way: plain | {"voices": way} for way in WAYS},
    }
    contrasts = {f"{way} - pooled": {"focus": ["toxicity"]} for way in WAYS} | {
        "female - control": {},
        "male - control": {},
    }
    ways = {
        "title": "Ways to serve", "question": "Can one model serve all?", "groups": ["female", "male"],
        "conditions": conditions, "contrasts": contrasts,
    }  # fmt: skip
    study |= {
        "experiments": {"demographics": study["experiments"]["demographics"], "ways": ways},
        "population": {"gender": {"she/her/hers": 0.8, "he/him/his": 0.2}},
        "raters": {"replicates": 2, "experiments": ["ways"]},
        "recipe": study["recipe"] | {"robust": {"rate": 0.5}},
    }
    place = new_place(tmp_path_factory.mktemp("voices")).has(databases)
    Path(place.study).write_text(yaml.safe_dump(study, sort_keys=False))
    state = run(place)
    assert state.is_completed(), state.message
    return place


def test_every_way_to_serve_is_a_condition_like_any_other(served: Place) -> None:
    cells = read(served, "cells")
    own = cells[(cells["experiment"] == "ways") & (cells["replicate"] == 0)].set_index(["architecture", "condition"])
    assert len(own) == 2 * (3 + len(WAYS))
    assert set(own["status"]) <= {"trained", "shared"}  # a group's own may be that of the other experiment
    assert own["training_run"].is_unique
    replicated = cells[(cells["experiment"] == "ways") & (cells["replicate"] > 0)]
    assert replicated.groupby("condition").size().to_dict() == dict.fromkeys(own.index.unique("condition"), 4)
    pooled = read(served, "pooled").set_index(["contrast", "dimension"])
    for way in WAYS:
        row = pooled.loc[(f"{way} - pooled", "toxicity")]
        assert row["k"] == 2
        assert row[["estimate", "total_std_error"]].notna().all()
        assert row["n_replicates"] == 2


def test_whose_voice_is_in_each_way_is_in_the_audit(served: Place) -> None:
    audit = read(served, "audit")
    ways = audit[audit["experiment"] == "ways"].set_index(["condition", "stratum"])["share_of_preferences"]
    for way in ("equal", "robust", "least-regret", "named", "merged"):
        assert ways[way].loc[["female", "male"]].tolist() == pytest.approx([0.5, 0.5])
    assert ways["population"].loc[["female", "male"]].tolist() == pytest.approx([0.8, 0.2])


def test_what_weights_of_a_population_cost_is_told(served: Place) -> None:
    weights = read(served, "population_weights")
    assert weights["condition"].unique().tolist() == ["population"]
    assert weights["stratum"].tolist() == ["all", "female", "male"]
    everybody, female, male = weights["n_participants"]
    assert everybody == female + male
    # within a group all weigh the same, s / n of it: Σw² = Σ s² / n
    effective = 1 / (0.8**2 / female + 0.2**2 / male)
    assert weights["effective_participants"].tolist() == pytest.approx([effective, female, male])


def test_what_each_group_gets_of_each_way_is_told(served: Place) -> None:
    groups = read(served, "groups")
    assert set(groups["condition"]) == {"own", "pooled", "control", *WAYS}
    assert set(groups["group"]) == {"female", "male"}
    own = groups[groups["condition"] == "own"]
    assert (own["regret"] == 0).all()
    assert groups["utility"].between(0, 1).all()
    service = read(served, "service")
    pooled = service[service["architecture"].isna()].set_index(["contrast", "measure", "dimension"])
    for way in ("pooled", *WAYS):
        level = pooled.xs((way, "toxicity"), level=("contrast", "dimension"))["estimate"]
        assert level["worst group"] <= level["mean"] + 0.05  # but for what corrects for noise
        share = 0.8 * level["group: female"] + 0.2 * level["group: male"]
        assert level["population mean"] == pytest.approx(share, abs=0.02)
    for way in WAYS:
        row = pooled.loc[(f"{way} - pooled", "worst group", "toxicity")]
        assert row["k"] == 2
        assert row["n_replicates"] == 2
        assert row[["estimate", "total_ci_low", "total_ci_high"]].notna().all()
    judges = read(served, "judge_groups").set_index(["group", "dimension"])
    assert set(judges.index.get_level_values("group")) == {"female", "male"}
    assert (judges["used"] | (judges["why_not"].fillna("") != "")).all()


def test_each_group_that_is_named_gets_answers_of_its_own_and_the_scores_are_their_mean(served: Place) -> None:
    health = read(served, "health").query("experiment == 'ways'").set_index(["architecture", "condition"])["n_outputs"]
    scores = read(served, "scores").query("experiment == 'ways'")
    prompts = scores["prompt_id"].nunique()
    for architecture in ("tiny-llama", "tiny-gptneox"):
        assert health[architecture, "named"] == 2 * prompts
        assert health[architecture, "equal"] == prompts
    one = scores.groupby(["architecture", "condition", "dimension"]).size()
    assert (one == prompts).all()
    store = served.folder / "home" / "store"
    tables = [pd.read_parquet(file) for file in store.glob("scores/*/scores.parquet")]
    of_groups = [table for table in tables if "group" in table]
    assert len(of_groups) == 4  # two architectures, and the replicates of each
    single = next(table for table in of_groups if "replicate" not in table)
    assert single.groupby("group").size().to_dict() == {"female": 2 * prompts, "male": 2 * prompts}
    means = single.groupby(["prompt_id", "dimension"])["score"].mean()
    named = scores[scores["condition"] == "named"].set_index(["prompt_id", "dimension"])
    of_one = [own["score"].reindex(means.index) for _, own in named.groupby("architecture")]
    assert any(own.to_numpy() == pytest.approx(means.to_numpy()) for own in of_one)


def test_the_card_of_a_named_adapter_says_how_to_ask_it(served: Place) -> None:
    store = served.folder / "home" / "store" / "training-runs"
    cards = [file.read_text() for file in store.glob("*/adapter/README.md")]
    of_named = [card for card in cards if "system turn for" in card]
    assert len(of_named) == 2
    assert all("system turn for female: The user belongs to this group\\: female." in card for card in of_named)


def test_the_path_of_the_weights_is_kept(served: Place) -> None:
    voices = read(served, "voices")
    assert set(voices["condition"]) == {"robust", "least-regret"}
    sums = voices.groupby(["condition", "architecture", "step"])["q"].sum()
    assert sums.to_numpy() == pytest.approx(1)


def test_the_report_has_the_chapter(served: Place) -> None:
    html = (served.tables.parent / "report.html").read_text()
    assert "Can one model serve all?" in html


def test_a_gc_that_keeps_it_finds_nothing_that_it_does_not_need(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of replicates nor of groups' own adapters."""
    monkeypatch.setenv("PLURALIGN_HOME", str(served.folder / "home"))
    store = FolderStore(served.folder / "home" / "store")
    found = find_unneeded([load_study(served.study)], [], store, lambda name: None, HOUR)
    assert (found.listed, found.young, found.doubts) == ([], [], [])
    (needs,) = found.needs
    assert (needs.missing, needs.parts) == (0, ())
    assert {(entry.stage, entry.key) for entry in store.entries()} <= needs.keys
    assert needs.cells == len(read(served, "cells"))


def test_running_again_trains_nothing(served: Place) -> None:
    before = read(served, "pooled")
    assert run(served).is_completed()
    assert set(read(served, "cells")["status"]) == {"control", "cached", "shared"}
    pd.testing.assert_frame_equal(read(served, "pooled"), before)
