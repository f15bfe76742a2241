"""How a part of a study that runs alone ends: with a report of the ratings, without models."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from flows.artifacts import show_results
from flows.outcome import Clock, Outcome
from tasks.planning.bench import Bench
from tasks.planning.facts import study_facts
from tasks.ratings.study_data import StudyData
from tasks.reporting.step import write_outputs
from tasks.runtime.store import Artifact


def report_alone(
    kind: str, bench: Bench, data: StudyData, ratings: Artifact, tables: dict[str, pd.DataFrame], clock: Clock,
    output: str | None,
) -> Outcome:  # fmt: skip
    """Write and show the outputs of `kind` ("survey" or "audit"); by default into outputs/NAME-KIND."""
    study = bench.study.model_copy(update={"architectures": ()})
    folder = Path(output or f"outputs/{study.name}-{kind}")
    report = write_outputs(study, tables, study_facts(bench, data, ratings, None, clock.seconds), folder)
    show_results(kind, study, tables, report)
    return Outcome(folder, report, cells=0, failed=0, trained=0)
