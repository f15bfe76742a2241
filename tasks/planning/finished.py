"""A study as it was last run, read from its outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from configs.errors import InputError
from configs.renamed import with_present_names
from configs.schema import Study
from tasks.runtime.spreadsheet import read_csv
from tasks.runtime.store import Artifact, Store

NO_MODEL = {"name": "none", "title": "None", "family": "llama", "parameters": 1, "tiny": {}}
"""In the place of architectures, without which settings with experiments are not taken."""


@dataclass(frozen=True)
class FinishedRun:
    """The settings that it ran with, its tables, and its facts."""

    study: Study
    tables: Path
    facts: dict[str, Any]

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables, text as text."""
        path = self.tables / f"{name}.csv"
        if not path.exists():
            raise InputError(f"{path}: no such file; this run pooled nothing")
        return read_csv(path, dtype={"training_run": str, "mlflow_run_id": str, "marked": str, "prompt_id": str})

    def kept_ratings(self, store: Store) -> Artifact | None:
        """The ratings that it read; None where the store has them no more."""
        return store.find("ratings", self.facts["ratings_digest"])


def finished_run(folder: Path) -> FinishedRun:
    """The run whose outputs are in `folder`.

    Raises:
        InputError: there is none, or not one that this version can read.
    """
    path = folder / "study.json"
    if not path.exists():
        raise InputError(f"{path}: no such file; run the study first, or say with --output where its outputs are")
    try:
        facts = json.loads(path.read_bytes())
        settings, _ = facts["settings"], facts["ratings_digest"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not what a run wrote; run the study again") from None
    try:
        study = _study_of(with_present_names(settings, str(path)))
    except ValidationError:
        raise InputError(f"{path}: settings of another version of pluralign; run the study again") from None
    return FinishedRun(study, folder / "tables", facts)


def _study_of(settings: dict[str, Any]) -> Study:
    """The settings, also of a survey or an audit alone, which have no architectures."""
    if settings.get("architectures"):
        return Study.model_validate(settings)
    return Study.model_validate(settings | {"architectures": [NO_MODEL]}).model_copy(update={"architectures": ()})
