"""The facts of a run, as the report says them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from configs.load import load_codebooks
from configs.schema import Architecture, Encoder
from tasks.architectures.step import known_revision
from tasks.planning.bench import Bench
from tasks.ratings.reading.same_text import shared_texts
from tasks.ratings.study_data import StudyData
from tasks.reporting.run_facts import Earlier, Facts
from tasks.runtime.store import Artifact
from tasks.survey.describe import attributes_of


def study_facts(
    bench: Bench,
    data: StudyData,
    ratings: Artifact,
    cells: pd.DataFrame | None,
    seconds: Mapping[str, float],
    earlier: Earlier | None = None,
    judge: Mapping[str, Any] | None = None,
) -> Facts:
    """`cells`: the table of the cells, None where none has run. `judge`: what the run spent on it."""
    study, failed = bench.study, 0
    counts = {
        "participants": int(data.ratings["participant_id"].nunique()),
        "responses": int(data.ratings["response_id"].nunique()),
        "prompts": int(data.ratings["prompt_id"].nunique()),
        "rated responses by participant": len(data.ratings),
        "ratings": int(data.ratings[list(study.dimensions)].notna().to_numpy().sum()),
        "training prompts": int(data.training(data.ratings)["prompt_id"].nunique()),
        "evaluation prompts": len(bench.evaluation_prompts(data)),
    }
    if data.compared:  # each is a prompt of its own there, whose responses are its sides
        of_texts = data.responses.assign(prompt=data.responses["prompt_id"].map(data.prompt_groups))
        counts |= {
            "comparisons": len(data.ratings[["participant_id", "prompt_id"]].drop_duplicates()),
            "responses": len(of_texts[["prompt", "response"]].drop_duplicates()),
            "prompts": of_texts["prompt"].nunique(),
        }
    if cells is not None:
        failed = int((cells["status"] == "failed").sum())
        runs = len(set(cells["training_run"]) - {""})
        counts |= {"cells": len(cells), "training runs": runs, "failed cells": failed}
    models: list[Architecture | Encoder] = [*study.architectures, *study.judge.encoders]
    revisions = {item.hub: known_revision(item, bench.store) for item in models if item.hub}
    return Facts(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="in part" if failed else "whole",
        label=study.label,
        sources=tuple(codebook.source for codebook in load_codebooks(study.ratings.codebooks)),
        ratings_digest=ratings.key,
        snapshot=ratings.record.get("snapshot", ""),
        seconds=seconds,
        revisions={hub: commit for hub, commit in revisions.items() if commit},
        not_shown=tuple(sorted(set(study.strata) - set(data.strata_shown))),
        counts=counts,
        noted=data.noted | shared_texts(data.responses) | _unheard_of(data),
        earlier=earlier,
        judge=judge,
        seed=study.seed,
    )


def _unheard_of(data: StudyData) -> dict[str, int]:
    """What stands in the ratings' tables and is not counted as rated or declared, where there is any."""
    rated, terms = (
        data.responses["response_id"].isin(data.ratings["response_id"]),
        data.participants[attributes_of(data.participants)],
    )
    counts = {
        "responses that nobody rated": int((~rated).sum()),
        "participants who declare nothing": int(terms.map(len).eq(0).all(axis=1).sum()),
    }
    return {what: n for what, n in counts.items() if n}
