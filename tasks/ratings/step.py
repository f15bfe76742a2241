"""Read a study's export, or make a simulated one, into the store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.load import load_codebook
from configs.schema import Study
from tasks.artifact import Artifact, Record, Store
from tasks.fingerprint import file_digest, fingerprint
from tasks.ratings.load import Data, check_codebook, check_strata, files_of, load_ratings
from tasks.ratings.simulate import simulate_export

VERSION = 1
READ_VERSION = 2
TABLES = ("ratings", "participants", "responses")


@task(name="read ratings", cache_policy=NO_CACHE)
def read_ratings(study: Study, store: Store) -> Artifact:
    """The study's three tables as Parquet, checked against the study."""
    codebooks = [load_codebook(name) for name in study.ratings.codebooks]
    for codebook in codebooks:
        check_codebook(study, codebook)
    folder = _simulated(study, store) if study.ratings.simulate else Path(str(study.ratings.folder))
    digests = [file_digest(path) for path in files_of(codebooks, folder)]
    dimensions = list(study.dimensions)

    def build(into: Path) -> Record:
        data = load_ratings(dimensions, codebooks, folder)
        for name in TABLES:
            getattr(data, name).to_parquet(into / f"{name}.parquet", index=False)
        return {"categories": data.categories, "dropped": data.dropped}

    artifact = store.make("ratings", fingerprint([READ_VERSION, codebooks, digests, dimensions]), build)
    check_strata(study, load_data(artifact).participants)
    return artifact


def load_data(artifact: Artifact) -> Data:
    """The tables of a `read_ratings` artifact."""
    tables = {name: pd.read_parquet(artifact.path / f"{name}.parquet") for name in TABLES}
    return Data(**tables, **artifact.record)


def _simulated(study: Study, store: Store) -> Path:
    settings = study.ratings.simulate
    assert settings is not None

    def build(into: Path) -> None:
        simulate_export(settings, study.seed, into)

    return store.make("simulated-export", fingerprint([VERSION, settings, study.seed]), build).path
