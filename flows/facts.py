"""What the report says of a run beside its results: counts, drops, timings."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pandera.typing import DataFrame
from prefect.runtime import flow_run

from configs.load import load_codebook
from configs.schema import Study
from flows.cells import TRAINING, CellResult
from tasks.architectures.step import known_revision
from tasks.effects.tables import Cells
from tasks.generation.health import marks
from tasks.generation.tables import Health
from tasks.planning.bench import Bench
from tasks.preferences.step import Prepared
from tasks.preferences.strata import strata_shown
from tasks.preferences.tables import Drops
from tasks.ratings.reading.load import Data
from tasks.runtime.store import Artifact

log = logging.getLogger(__name__)
IN_PART = "Finished in part"
"""The state of a study of which some cells failed."""


@dataclass(frozen=True)
class Outcome:
    """What a run of a study came to."""

    folder: Path
    report: Path
    cells: int
    failed: int
    trained: int
    stopped: str = ""
    """Why nothing was trained, where the judge stopped the study."""


def run_name() -> str:
    """The study's name, from its name or its file's."""
    return Path(flow_run.parameters["study"]).stem


class Clock:
    """Seconds by stage, told as they pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        log.info("%s …", name)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        log.info("%s: done in %.1f s", name, self.seconds[name])


def drops_table(data: Data, prepared: dict[str, dict[str, Prepared]]) -> DataFrame[Drops]:
    rows = [("all", "reading", reason, rows, len(data.ratings)) for reason, rows in data.dropped.items()]
    for experiment, conditions in prepared.items():
        for condition, made in conditions.items():
            rows += [(f"{experiment} / {condition}", *drop) for drop in made.drops]
    return Drops.checked(rows)


def cell_tables(study: Study, results: list[CellResult]) -> dict[str, pd.DataFrame]:
    """cells and health; health's `marked` names the limits that a run fails, with "; " between them."""
    if not results:
        return {}
    names = ["training_run", "status", "n_pairs", "weight", "seconds", "mlflow_run_id", "error"]
    cells = [vars(r.cell) | {name: getattr(r, name) for name in names} for r in results]
    controls = {r.cell.architecture: r.health for r in results if r.status == "control"}
    health = [
        vars(r.cell) | r.health | {"unscored": r.unscored} | dict.fromkeys(TRAINING) | r.training | {
            "marked": "; ".join(marks(r.health, controls.get(r.cell.architecture), r.training, study.limits))
        }
        for r in results
        if r.health
    ]  # fmt: skip
    return {"cells": Cells.checked(cells), "health": Health.checked(health)}


def study_facts(
    study: Study, bench: Bench, data: Data, ratings: Artifact, results: list[CellResult], clock: Clock
) -> dict[str, Any]:
    failed = sum(result.status == "failed" for result in results)
    runs = {result.training_run for result in results} - {""}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "in part" if failed else "whole",
        "label": study.label,
        "sources": [load_codebook(name).source for name in study.ratings.codebooks],
        "ratings_digest": ratings.key,
        **({"snapshot": ratings.record["snapshot"]} if "snapshot" in ratings.record else {}),
        "seconds": clock.seconds,
        "revisions": {
            item.hub: commit for item in study.architectures if (commit := known_revision(item, bench.store))
        },
        "not_shown": sorted(set(study.strata) - set(strata_shown(study, data.participants))),
        "counts": {
            "participants": len(data.participants), "responses": len(data.responses),
            "prompts": int(data.responses["prompt_id"].nunique()),
            "rated responses by participant": len(data.ratings),
            "ratings": int(data.ratings[list(study.dimensions)].notna().to_numpy().sum()),
            "training prompts": bench.training_prompts(data),
            "evaluation prompts": len(bench.evaluation_prompts(data)),
            **({"cells": len(results), "training runs": len(runs), "failed cells": failed} if results else {}),
        },
    }  # fmt: skip
