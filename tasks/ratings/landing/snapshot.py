"""A collection of ratings that grows by landings: snapshots that never change, and a pointer to the latest.

    COLLECTION/snapshots/ID/{ratings,participants,responses,lost}.parquet, manifest.json
    COLLECTION/latest           the id of the latest snapshot
    COLLECTION/landings/…       the report of each landing (landing.py)
    COLLECTION/forgotten        who asked to be forgotten (forget.py)

An id is the digest of the three tables' content, in one order. A snapshot is built in a folder beside its place and
renamed into it before the pointer moves, so a kill at any point leaves the latest one whole. Its manifest has each
table's digest: ratings can't be made again, so a damaged snapshot is refused, and the whole ones are named.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from configs.codebook import Codebook
from configs.errors import InputError, one_of, short
from configs.schema import Study
from tasks.ratings.landing.merge import FIXED, Tables
from tasks.ratings.reading.answers import NO_ANSWER_AT_ALL
from tasks.ratings.reading.load import Data, of_raters, stack, with_prompts
from tasks.runtime.files import Damaged, file_digest, read_sealed, write_atomically, write_sealed
from tasks.runtime.fingerprint import fingerprint, frame_digest

log = logging.getLogger(__name__)
LATEST = "latest"
LOST = "lost"
FEWEST_DIGITS = 6


@dataclass(frozen=True)
class Snapshot:
    """A whole snapshot."""

    id: str
    path: Path
    manifest: dict[str, Any]

    def tables(self) -> Tables:
        """Raises `InputError` if one of them is damaged."""
        frames = {name: self._table(name) for name in FIXED}
        people = frames["participants"]
        for attribute in people.columns.drop(FIXED["participants"]):
            people[attribute] = people[attribute].map(tuple)
        return Tables(**frames)

    def lost(self) -> pd.DataFrame:
        """codebook, reason, identity of each row (or answer) that could not be used in any landing up to this.

        Raises:
            InputError: the table is damaged.
        """
        return self._table(LOST)

    def damaged(self) -> list[str]:
        """The files that are gone or do not hold what was written."""
        return [f"{name}.parquet" for name in (*FIXED, LOST) if not self._is_whole(name)]

    def _table(self, name: str) -> pd.DataFrame:
        if not self._is_whole(name):
            raise Collection(self.path.parents[1]).refusal(self.id, f"{name}.parquet does not hold what was written")
        return pd.read_parquet(self.path / f"{name}.parquet")

    def _is_whole(self, name: str) -> bool:
        """Against the manifest's digest; one of an earlier version has none, and is taken as it is."""
        file = self.path / f"{name}.parquet"
        written = self.manifest.get("digests", {}).get(file.name)
        return file.is_file() and written in (None, file_digest(file))


@dataclass(frozen=True)
class Collection:
    """The snapshots in a folder, which need not exist yet."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def snapshots(self) -> list[Snapshot]:
        """All whose manifest can be read, the oldest first."""
        found = []
        for path in (self.path / "snapshots").glob("*/manifest.json"):
            if not path.parent.suffix:
                with suppress(Damaged):
                    found.append(_read(path.parent))
        return sorted(found, key=lambda snapshot: (snapshot.manifest["created"], snapshot.id))

    def latest(self) -> Snapshot | None:
        """The one that the pointer names; None before the first landing.

        Raises:
            InputError: it is gone or its manifest is damaged.
        """
        try:
            name = (self.path / LATEST).read_text().strip()
        except FileNotFoundError:
            return None
        try:
            return _read(self.path / "snapshots" / name)
        except FileNotFoundError:
            raise self.refusal(name, "manifest.json is gone") from None
        except Damaged as error:
            raise self.refusal(name, f"manifest.json is {error}") from None

    def refusal(self, name: str, what: str) -> InputError:
        """Why a snapshot can't be used, and what can be done."""
        whole = [snapshot.id for snapshot in self.snapshots() if snapshot.id != name and not snapshot.damaged()]
        way_out = f"move {self.path} away and land the exports again"
        if whole:
            way_out = f"write the id of a whole one into {self.path / LATEST} and land the later exports again"
        older = f"; whole ones, which a study reads by ratings.snapshot: {', '.join(whole)}" if whole else ""
        place = f"collection {self.name!r}, snapshot {short(name)}: {what}"
        return InputError(f"{place}; restore it from a backup, or {way_out}{older}")

    def find(self, which: str = LATEST) -> Snapshot:
        """The latest snapshot, or one by its id or the first six digits or more of it.

        Raises:
            InputError: there is none, or there are several; it is damaged.
        """
        if not (self.path / LATEST).exists():
            how = "land an export: pluralign land EXPORT --study STUDY"
            raise InputError(f"collection {self.name!r} has no snapshot yet; {how}")
        if which == LATEST and (latest := self.latest()):
            return latest
        if not re.fullmatch(rf"[0-9a-f]{{{FEWEST_DIGITS},}}", which):
            raise InputError(f"snapshot {which!r}: expected {LATEST!r} or {FEWEST_DIGITS} or more digits of an id")
        snapshots = self.snapshots()
        matching = [snapshot for snapshot in snapshots if snapshot.id.startswith(which)]
        if len(matching) != 1:
            raise one_of(f"snapshots of {self.name!r}", which, [snapshot.id for snapshot in matching or snapshots])
        return matching[0]

    def add(self, tables: Tables, lost: pd.DataFrame, manifest: dict[str, Any]) -> Snapshot:
        """Make canonical tables the latest snapshot, kept now or found; the caller holds the collection's lock."""
        name = content_id(tables)
        final = self.path / "snapshots" / name
        if all(snapshot.id != name or snapshot.damaged() for snapshot in self.snapshots()):
            self._write(final, tables, lost, {"id": name, "collection": self.name, **manifest})
        write_atomically(self.path / LATEST, name)
        return _read(final)

    def clear(self) -> None:
        """Remove what a killed landing left half-written; the caller holds the collection's lock."""
        for partial in self.path.glob("*/*.partial"):
            shutil.rmtree(partial)

    def _write(self, final: Path, tables: Tables, lost: pd.DataFrame, manifest: dict[str, Any]) -> None:
        partial = partial_of(final)
        try:
            self.prepare(final.name, tables, lost, manifest)
            if final.exists():  # damaged, and the same ratings have landed again
                shutil.rmtree(final)
            os.rename(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def prepare(self, name: str, tables: Tables, lost: pd.DataFrame, manifest: dict[str, Any]) -> None:
        """A whole snapshot beside its place, which is to be renamed into it; the caller holds the collection's lock."""
        partial = partial_of(self.path / "snapshots" / name)
        partial.mkdir(parents=True)
        for table in FIXED:
            getattr(tables, table).to_parquet(partial / f"{table}.parquet", index=False)
        lost.to_parquet(partial / "lost.parquet", index=False)
        for path in partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # on the disk before something points to it
        digests = {path.name: file_digest(path) for path in sorted(partial.iterdir())}
        write_sealed(partial / "manifest.json", {**manifest, "digests": digests})


def partial_of(folder: Path) -> Path:
    """Where a snapshot is built, beside its place."""
    return folder.with_name(f"{folder.name}.partial")


def _read(path: Path) -> Snapshot:
    """Raises `FileNotFoundError`, or `Damaged`."""
    return Snapshot(path.name, path, read_sealed(path / "manifest.json"))


def collection_of(study: Study, home: Path) -> Collection:
    """Where the study's ratings land: its collection, or one of its own name."""
    return Collection(home / "collections" / (study.ratings.collection or study.name))


def content_id(tables: Tables) -> str:
    """The id of canonical tables."""
    return fingerprint([frame_digest(getattr(tables, name)) for name in FIXED])


def counts_of(tables: Tables) -> dict[str, int]:
    """How many answers the ratings hold, and how many participants, responses and prompts they are by and of."""
    rated = with_prompts(tables.ratings, tables.responses.drop_duplicates("response_id"))
    return {
        "ratings": answers_in(tables.ratings),
        **{f"{name}s": int(rated[f"{name}_id"].nunique()) for name in ("participant", "response", "prompt")},
    }


def answers_in(ratings: pd.DataFrame) -> int:
    """Single answers in rows of the table of ratings."""
    return int(ratings.drop(columns=FIXED["ratings"]).notna().to_numpy().sum())


def snapshot_data(snapshot: Snapshot, dimensions: Sequence[str], codebooks: Sequence[Codebook]) -> Data:
    """A study's ratings out of a snapshot: its dimensions, and of its codebooks those that have landed.

    Rows that answer on none of the dimensions are dropped, and counted.

    Raises:
        InputError: none has, on another scale, or without one of the dimensions.
    """
    landed = snapshot.manifest["codebooks"]
    used = [codebook for codebook in codebooks if codebook.name in landed]
    place = f"snapshot {snapshot.id} of {snapshot.manifest['collection']!r}"
    if not used:
        raise one_of(f"{place}: codebooks", codebooks[0].name, landed)
    for codebook in codebooks:
        if codebook not in used:
            log.warning("%s: nothing has landed through the codebook %s", place, codebook.name)
        elif landed[codebook.name]["fingerprint"] != fingerprint(codebook):
            log.warning("%s: landed through another version of the codebook %s", place, codebook.name)
    tables = snapshot.tables()
    for dimension in dimensions:
        if dimension not in tables.ratings:
            raise one_of(f"{place}: dimensions", dimension, tables.ratings.columns.drop(FIXED["ratings"]))
    parts = [_of_codebook(tables, codebook, dimensions) for codebook in used]
    lost = snapshot.lost()
    dropped = lost.loc[lost["codebook"].isin([codebook.name for codebook in used]), "reason"].value_counts().to_dict()
    frames = {name: [getattr(part, name) for part in parts] for name in FIXED}
    data = stack(**frames, categories=snapshot.manifest["categories"], dropped=dropped)
    silent = data.ratings[list(dimensions)].isna().all(axis=1)
    if silent.any():
        dropped[NO_ANSWER_AT_ALL] = dropped.get(NO_ANSWER_AT_ALL, 0) + int(silent.sum())
    answered = data.ratings[~silent].sort_values("order", ignore_index=True)
    return of_raters(replace(data, ratings=answered, dropped=dropped))


def _of_codebook(tables: Tables, codebook: Codebook, dimensions: Sequence[str]) -> Tables:
    frames = {name: getattr(tables, name) for name in FIXED}
    own = {name: frame[frame["codebook"] == codebook.name].drop(columns="codebook") for name, frame in frames.items()}
    people = own["participants"].reindex(columns=["participant_id", "language", *codebook.participants.attributes])
    columns = ["participant_id", "response_id", "prompt_id", "order", *dimensions]
    return Tables(with_prompts(own["ratings"], own["responses"])[columns], people, own["responses"])
