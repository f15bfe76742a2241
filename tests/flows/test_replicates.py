"""A whole study with rater replicates and a placebo: what it gives, and what it does not do twice."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.meta_analysis.raters import TOTAL
from tests.flows.conftest import STUDY, Place, new_place, read, run

pytestmark = pytest.mark.slow
SMALL = STUDY[: STUDY.index("  scale:\n")] + STUDY[STUDY.index("architectures:") :]


@pytest.fixture(scope="module")
def replicated(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = new_place(tmp_path_factory.mktemp("replicated")).has(databases)
    Path(place.study).write_text(f"{SMALL}raters: {{replicates: 3}}\nplacebo: 1\n")
    state = run(place)
    assert state.is_completed(), state.message
    return place


def test_every_trained_cell_has_its_replicates_and_they_are_cells_too(replicated: Place) -> None:
    cells = read(replicated, "cells")
    counts = cells.groupby(["experiment", "replicate"]).size().to_dict()
    own = {("control", 0): 2} | {(name, number): 4 for name in ("demographics", "placebo") for number in range(4)}
    assert counts == own  # two architectures, two conditions
    trained = cells[cells["replicate"] > 0]
    assert set(trained["status"]) == {"trained"}
    assert trained["training_run"].is_unique


def test_the_full_interval_is_that_of_the_replicates_by_hand(replicated: Place) -> None:
    keys = ["experiment", "contrast", "dimension"]
    pooled, each = (read(replicated, name) for name in ("pooled", "replicate_effects"))
    assert len(each) == 2 * 2 * 2 * 3  # contrasts, dimensions, architectures, replicates
    assert pooled[[*TOTAL, "raters_std_error", "raters_shared_std_error"]].notna().all(axis=None)
    for row in pooled.itertuples():
        mine = each[(each[keys] == [row.experiment, row.contrast, row.dimension]).all(axis=1)]
        one, other = (own.sort_values("replicate")["estimate"] for _, own in mine.groupby("architecture"))
        shared = np.cov(one, other)[0, 1]  # of two architectures, whatever their weights
        assert row.raters_shared_std_error == pytest.approx(math.sqrt(max(shared, 0.0)), abs=1e-9)
        assert row.n_replicates == 3


def test_where_the_error_is_from_is_told_and_sums_to_one(replicated: Place) -> None:
    parts, pooled = (read(replicated, name) for name in ("variance_components", "pooled"))
    shares = parts.groupby(["contrast", "dimension"])["share"].sum()
    assert shares.to_numpy() == pytest.approx(np.ones(len(shares)))
    inside = parts.groupby(["contrast", "dimension"])["in_interval"].sum()
    stated = pooled.set_index(["contrast", "dimension"])["total_std_error"]
    assert inside.to_numpy() == pytest.approx(stated.reindex(inside.index).to_numpy() ** 2)
    assert set(parts.loc[parts["share"].isna(), "source"]) <= {"seeds", "judge"}  # one seed; a line may not hold


def test_the_report_says_how_sure_and_what_the_placebo_says(replicated: Place) -> None:
    html = (replicated.tables.parent / "report.html").read_text()
    assert "How sure: of one difference between models that learned from different raters, on what they were" in html
    assert "two random halves of the raters should give no clear difference; of 2 such effects" in html
    assert "They are of one split of the raters, too few to tell" in html
    assert 'id="certainty"' in html


def test_replicates_stand_below_their_training_run_in_mlflow(replicated: Place) -> None:
    with closing(sqlite3.connect(replicated.folder / "home" / "mlflow.db")) as database:
        tags = pd.read_sql("SELECT run_uuid, key, value FROM tags", database).pivot(
            index="run_uuid", columns="key", values="value"
        )
        steps = pd.read_sql("SELECT run_uuid, key, step FROM metrics WHERE key = 'score.toxicity'", database)
    groups = tags[tags["mlflow.runName"].str.contains("replicates 1 to 3")]
    assert len(groups) == 8
    parents = tags.loc[groups["mlflow.parentRunId"]]
    assert parents["pluralign.dataset_digest"].notna().all()  # training runs have one
    assert (
        steps[steps["run_uuid"].isin(groups.index)].groupby("run_uuid")["step"].apply(sorted).tolist()
        == [[1, 2, 3]] * 8
    )


def test_again_nothing_is_trained_and_more_of_an_experiment_train_only_themselves(replicated: Place) -> None:
    before = read(replicated, "pooled")
    assert run(replicated).is_completed()
    assert set(read(replicated, "cells")["status"]) == {"control", "cached"}
    pd.testing.assert_frame_equal(read(replicated, "pooled"), before)
    state = run(replicated, raters={"replicates": 3, "experiments": ["placebo"]})
    assert state.is_completed()
    cells, pooled = read(replicated, "cells"), read(replicated, "pooled").set_index("experiment")
    assert set(cells.loc[cells["replicate"] > 0, "experiment"]) == {"placebo"}
    assert set(cells["status"]) == {"control", "cached"}
    assert pooled.loc["demographics", "total_p"].isna().all()
    html = (replicated.tables.parent / "report.html").read_text()
    assert "not knowing who was asked" in html
