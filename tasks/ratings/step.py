"""Read a study's ratings into the store: an export's, a simulated one's, or a snapshot's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.codebook import Codebook
from configs.load import load_codebook
from configs.schema import Study
from tasks.ratings.landing.snapshot import collection_of, snapshot_data
from tasks.ratings.reading.load import Data, check_codebook, check_strata, files_of, load_ratings
from tasks.runtime.fingerprint import file_digest, fingerprint
from tasks.runtime.home import home
from tasks.runtime.store import Artifact, Record, Store
from tasks.simulation.simulate import simulate_export

VERSION = 1
READ_VERSION = 3
TABLES = ("ratings", "participants", "responses")


@task(name="read ratings", cache_policy=NO_CACHE)
def read_ratings(study: Study, store: Store) -> Artifact:
    """The study's three tables as Parquet, checked against the study."""
    codebooks = [load_codebook(name) for name in study.ratings.codebooks]
    for codebook in codebooks:
        check_codebook(study, codebook)
    artifact = (_from_collection if study.ratings.collection else _from_folder)(study, codebooks, store)
    check_strata(study, load_data(artifact).participants)
    return artifact


def load_data(artifact: Artifact) -> Data:
    """The tables of a `read_ratings` artifact."""
    tables = {name: pd.read_parquet(artifact.path / f"{name}.parquet") for name in TABLES}
    return Data(**tables, categories=artifact.record["categories"], dropped=artifact.record["dropped"])


def _from_folder(study: Study, codebooks: list[Codebook], store: Store) -> Artifact:
    """An export, real or simulated, in which every row must be usable."""
    folder = _simulated(study, store) if study.ratings.simulate else Path(str(study.ratings.folder))
    digests = [file_digest(path) for path in files_of(codebooks, folder)]
    dimensions = list(study.dimensions)

    def build(into: Path) -> Record:
        return _write(load_ratings(dimensions, codebooks, folder), into)

    return store.make("ratings", fingerprint([READ_VERSION, codebooks, digests, dimensions]), build)


def _from_collection(study: Study, codebooks: list[Codebook], store: Store) -> Artifact:
    """A snapshot of the study's collection; collections are no artifacts and lie beside the store."""
    snapshot = collection_of(study, home()).find(study.ratings.snapshot)
    dimensions = list(study.dimensions)

    def build(into: Path) -> Record:
        return _write(snapshot_data(snapshot, dimensions, codebooks), into) | {"snapshot": snapshot.id}

    return store.make("ratings", fingerprint([READ_VERSION, codebooks, snapshot.id, dimensions]), build)


def _write(data: Data, into: Path) -> Record:
    for name in TABLES:
        getattr(data, name).to_parquet(into / f"{name}.parquet", index=False)
    return {"categories": data.categories, "dropped": data.dropped}


def _simulated(study: Study, store: Store) -> Path:
    settings = study.ratings.simulate
    assert settings is not None

    def build(into: Path) -> None:
        simulate_export(settings, study.seed, into)

    return store.make("simulated-export", fingerprint([VERSION, settings, study.seed]), build).path
