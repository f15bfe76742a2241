"""Read a study's ratings into the store: those of an export, or of a snapshot."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from configs.schema import Study
from tasks.ratings.landing.snapshot import collection_of, snapshot_data
from tasks.ratings.reading.load import check_strata, files_of, fitting_codebooks, load_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import file_digest, fingerprint
from tasks.runtime.home import home
from tasks.runtime.step import step
from tasks.runtime.store import Artifact, Record, Store

VERSION = 4
TABLES = ("ratings", "participants", "responses")
COUNTS = ("categories", "dropped", "noted")


@step("read ratings")
def read_ratings(study: Study, store: Store, simulated: Path | None = None) -> Artifact:
    """The study's three tables as Parquet, checked against the study.

    They come from the snapshot of its collection that the study names, or from an export in which every row must be
    usable: the one in its folder, or the `simulated` one.
    """
    codebooks = fitting_codebooks(study)
    dimensions = list(study.dimensions)
    source: str | list[str]
    if study.ratings.collection:
        snapshot = collection_of(study, home()).find(study.ratings.snapshot)
        source, origin = snapshot.id, {"snapshot": snapshot.id}
        read = partial(snapshot_data, snapshot, dimensions, codebooks)
    else:
        export = simulated or Path(str(study.ratings.folder))
        source, origin = [file_digest(path) for path in files_of(codebooks, export)], {}
        read = partial(load_ratings, dimensions, codebooks, export)

    def build(folder: Path) -> Record:
        data = read()
        for name in TABLES:
            getattr(data, name).to_parquet(folder / f"{name}.parquet", index=False)
        compared = {"compared": True} if any(codebook.ratings.sides for codebook in codebooks) else {}
        return {name: getattr(data, name) for name in COUNTS} | compared | origin

    artifact = store.make("ratings", fingerprint([VERSION, codebooks, source, dimensions]), build)
    check_strata(study, load_data(study, artifact).participants)
    return artifact


def load_data(study: Study, artifact: Artifact) -> StudyData:
    """The tables of a `read_ratings` artifact, as the study splits and groups them."""
    tables = {name: pd.read_parquet(artifact.path / f"{name}.parquet") for name in TABLES}
    counts = {name: artifact.record[name] for name in (*COUNTS, "compared") if name in artifact.record}
    return StudyData(**tables, **counts, study=study)
