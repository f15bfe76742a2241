"""Forget a participant: their rows leave every snapshot of a collection, and nothing of them lands again.

    COLLECTION/forgotten    pseudonyms of those who asked for it, one a line
    COLLECTION/forgetting   what is under way; written once all new snapshots lie ready beside their places

Both are their owner's alone. A kill before the second one is written leaves all as it was; after it, the next landing
or removal does the rest. A snapshot's id is that of its content, so each one that somebody leaves gets another; its
time, and so its place among the others, stays. Texts of responses stay: what somebody rated is not what they wrote.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from configs.codebook import Codebook, tidy
from configs.errors import InputError
from tasks.ratings.landing.merge import Tables, canonical
from tasks.ratings.landing.pseudonym import key_check, pseudonyms
from tasks.ratings.landing.snapshot import (
    LATEST,
    Collection,
    Snapshot,
    answers_in,
    content_id,
    counts_of,
    partial_of,
)
from tasks.ratings.reading.source import Source
from tasks.ratings.reading.table_result import Rename, renamed
from tasks.runtime.files import Damaged, read_sealed, sealed, write_atomically, write_sealed
from tasks.runtime.spreadsheet import as_csv, read_csv

FORGOTTEN, UNDER_WAY = "forgotten", "forgetting"
REMOVED = "(removed, since somebody asked to be forgotten)"
OWNERS_ALONE = 0o600


@dataclass(frozen=True)
class Holding:
    """What a snapshot holds of somebody: so many answers, on so many responses."""

    snapshot: Snapshot
    ratings: int
    responses: int


@dataclass(frozen=True)
class Person:
    """Who is to be forgotten, and the snapshots that hold something of them, the oldest first."""

    pseudonym: str
    codebook: str
    holdings: tuple[Holding, ...]


@dataclass(frozen=True)
class Removal:
    """replaced: id of a snapshot that held the person → id of the one in its place."""

    pseudonym: str
    replaced: dict[str, str]


# ---- who it is


def find_person(collection: Collection, who: str, find_key: Callable[[], bytes]) -> Person:
    """By pseudonym, or by the id in the exports; the key is asked for an id alone.

    Raises:
        InputError: nobody is called so, several are, or they were forgotten before; the key is another than the
            collection's; a snapshot is damaged. The message quotes no id.
    """
    latest = collection.find()
    snapshots = _whole_snapshots(collection)
    people = {snapshot.id: _people(snapshot.tables()) for snapshot in snapshots}
    known = set[tuple[str, str]]().union(*people.values())
    called = {pair for pair in known if pair[1] == who}
    if not called:
        wanted = _of_id(latest, who, find_key)
        called = known & wanted
        if not called and forgotten(collection) & {who, *(pseudonym for _, pseudonym in wanted)}:
            raise InputError(f"collection {collection.name!r}: forgotten already; no snapshot holds anything of them")
    if not called:
        raise InputError(f"collection {collection.name!r}: no snapshot holds anybody of this id or pseudonym")
    if len(called) > 1:
        names = ", ".join(f"{pseudonym} ({codebook})" for codebook, pseudonym in sorted(called))
        raise InputError(f"collection {collection.name!r}: this id stands for several people; name one of {names}")
    ((codebook, pseudonym),) = called
    holding = [snapshot for snapshot in snapshots if (codebook, pseudonym) in people[snapshot.id]]
    return Person(pseudonym, codebook, tuple(_held(snapshot, codebook, pseudonym) for snapshot in holding))


def _held(snapshot: Snapshot, codebook: str, pseudonym: str) -> Holding:
    ratings = snapshot.tables().ratings
    theirs = ratings[_theirs(ratings, codebook, pseudonym)]
    return Holding(snapshot, answers_in(theirs), len(theirs))


def is_called(collection: Collection, who: str, pseudonym: str, find_key: Callable[[], bytes]) -> bool:
    """Whether a pseudonym is the one that is named, or that of the id that is."""
    return who == pseudonym or pseudonym in {name for _, name in _of_id(collection.find(), who, find_key)}


def _whole_snapshots(collection: Collection) -> list[Snapshot]:
    """All of them, the oldest first. Raises `InputError` where the manifest of one is damaged."""
    found = collection.snapshots()
    read = {snapshot.id for snapshot in found}
    for folder in sorted((collection.path / "snapshots").iterdir()):
        if not folder.suffix and folder.name not in read:
            raise collection.refusal(folder.name, "manifest.json is gone, or not what was written")
    return found


def _of_id(latest: Snapshot, who: str, find_key: Callable[[], bytes]) -> set[tuple[str, str]]:
    """Codebook and pseudonym of who has this id in an export."""
    key = find_key()
    if latest.manifest["key"] != key_check(key):
        raise InputError(
            f"collection {latest.manifest['collection']!r}: nobody in it has this pseudonym, and the secret is not the "
            "one that it was landed with, so no id can be told; restore it, or name a pseudonym"
        )
    return {(codebook, pseudonyms(key, codebook)(tidy(who))) for codebook in latest.manifest["codebooks"]}


def _people(tables: Tables) -> set[tuple[str, str]]:
    """Codebook and pseudonym of everybody."""
    both = (tables.ratings, tables.participants)
    return {pair for frame in both for pair in zip(frame["codebook"], frame["participant_id"], strict=True)}


def _theirs(frame: pd.DataFrame, codebook: str, pseudonym: str) -> pd.Series:
    return (frame["codebook"] == codebook) & (frame["participant_id"] == pseudonym)


# ---- the removal


def forget(collection: Collection, person: Person) -> Removal:
    """Take somebody out of every snapshot; the caller holds the collection's lock, and nothing is under way.

    Raises:
        InputError: a snapshot is damaged. Nothing has changed then.
    """
    collection.clear()
    held = {holding.snapshot.id for holding in person.holdings}
    snapshots = _whole_snapshots(collection)
    there = {snapshot.id for snapshot in snapshots} - held
    replaced, parents = dict[str, str](), dict[str, list[str]]()
    for snapshot in snapshots:
        before = [replaced.get(name, name) for name in snapshot.manifest["parents"]]
        if snapshot.id not in held:
            if before != snapshot.manifest["parents"]:
                parents[snapshot.id] = before
            continue
        tables = _without(snapshot.tables(), person)
        name = replaced[snapshot.id] = content_id(tables)
        if name in there:  # all that it had more than another one was this person's
            continue
        counts = snapshot.manifest.get("counts", {}) | counts_of(tables)
        own = {"id": name, "parents": [parent for parent in before if parent != name], "counts": counts}
        collection.prepare(name, tables, snapshot.lost(), snapshot.manifest | own)
        there.add(name)
    under_way = {"pseudonym": person.pseudonym, "replaced": replaced, "parents": parents}
    write_atomically(collection.path / UNDER_WAY, sealed(under_way), OWNERS_ALONE)
    finish_forgetting(collection)
    return Removal(person.pseudonym, replaced)


def finish_forgetting(collection: Collection) -> Removal | None:
    """Do the rest of a removal that was killed; None where none is under way. The caller holds the collection's lock.

    Each part may have been done before.
    """
    path, snapshots = collection.path / UNDER_WAY, collection.path / "snapshots"
    try:
        under_way = read_sealed(path)
    except FileNotFoundError:
        return None
    except Damaged as error:
        raise InputError(f"{path}: {error}; remove it, and forget the participant again") from None
    replaced: dict[str, str] = under_way["replaced"]
    names = sorted(forgotten(collection) | {under_way["pseudonym"]})
    write_atomically(collection.path / FORGOTTEN, "".join(f"{name}\n" for name in names), OWNERS_ALONE)
    for name in set(replaced.values()):
        if (ready := partial_of(snapshots / name)).exists():
            os.rename(ready, snapshots / name)
    for name, parents in under_way["parents"].items():
        manifest = snapshots / name / "manifest.json"
        write_sealed(manifest, read_sealed(manifest) | {"parents": parents})
    latest = (collection.path / LATEST).read_text().strip()
    if latest in replaced:
        write_atomically(collection.path / LATEST, replaced[latest])
    for name in replaced:
        if (snapshots / name).exists():  # away at once for who reads it, and then for good
            os.rename(snapshots / name, partial_of(snapshots / name))
            shutil.rmtree(partial_of(snapshots / name))
    collection.clear()
    _empty_reports(collection)
    path.unlink()
    return Removal(under_way["pseudonym"], replaced)


def _without(tables: Tables, person: Person) -> Tables:
    both = (tables.ratings, tables.participants)
    ratings, people = (frame[~_theirs(frame, person.codebook, person.pseudonym)] for frame in both)
    return canonical(Tables(ratings, people, tables.responses))


def _empty_reports(collection: Collection) -> None:
    """Take the values out of the landings' reports: they name nobody, so whose a value is can't be told."""
    for path in (collection.path / "landings").glob("*/rejected.csv"):
        table = read_csv(path, dtype=str)
        told = table["value"].notna() & (table["value"] != REMOVED)
        if told.any():
            write_atomically(path, as_csv(table.assign(value=table["value"].mask(told, REMOVED)).fillna("")))
    for path in (collection.path / "landings").glob("*/summary.json"):
        summary = json.loads(path.read_text())
        if summary.get("refused", REMOVED) != REMOVED:  # it may quote one
            write_atomically(path, json.dumps(summary | {"refused": REMOVED}, indent=1))


# ---- who lands no more


def forgotten(collection: Collection) -> frozenset[str]:
    """Pseudonyms of those who asked to be forgotten."""
    path: Path = collection.path / FORGOTTEN
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


def without_forgotten(
    codebook: Codebook, sources: dict[str, Source], gone: frozenset[str], rename: Rename
) -> tuple[dict[str, Source], set[str], int]:
    """An export's tables without the rows of those who are `gone`, by pseudonym; who these are, and how many rows."""
    if not gone:
        return sources, set(), 0
    kept, found, rows = dict(sources), set[str](), set[tuple[Path, int]]()
    for name, source, ids in _named(codebook, sources, rename):
        theirs = ids.isin(gone)
        left = frozenset(source.frame.index[theirs])
        nested = {column: own - left for column, own in source.nested.items()}
        kept[name] = replace(source, frame=source.frame[~theirs], nested=nested)
        found |= set(ids[theirs])
        rows |= {(source.path, row) for row in left}
    return kept, found, len(rows)


def _named(codebook: Codebook, sources: dict[str, Source], rename: Rename) -> Iterator[tuple[str, Source, pd.Series]]:
    """Table, source and pseudonyms, of the tables whose rows are somebody's."""
    for name in ("ratings", "participants"):
        yield name, sources[name], renamed(sources[name].frame[getattr(codebook, name).participant], rename)
