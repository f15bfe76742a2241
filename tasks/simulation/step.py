"""Simulate a study's export into the store."""

from __future__ import annotations

from pathlib import Path

from configs.schema import Study
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Store
from tasks.simulation.simulate import simulate_export

VERSION = 1


def simulated_export(study: Study, store: Store) -> Path | None:
    """The folder of the study's simulated export, made now if it is not there; None where its ratings are real."""
    settings = study.ratings.simulate
    if settings is None:
        return None

    def build(folder: Path) -> None:
        simulate_export(settings, study.seed, folder)

    return store.make("simulated-export", fingerprint([VERSION, settings, study.seed]), build).path
