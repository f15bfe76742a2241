"""`pluralign forget`: what is kept of a participant, what rests on it, and its removal.

Removed are the rows of a collection's snapshots. What was made of them before is named, and how to make it anew: it
can't be taken out of a trained adapter or of a report.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Study
from tasks.lineage.needs import KeptKey
from tasks.lineage.trace import Finished, touched_by, trace_participant, with_ratings
from tasks.methods.step import ADAPTER, RUNS
from tasks.planning.finished import finished_run
from tasks.ratings.landing.forget import (
    UNDER_WAY,
    Person,
    Removal,
    find_person,
    finish_forgetting,
    forget,
    is_called,
)
from tasks.ratings.landing.pseudonym import find_key
from tasks.ratings.landing.snapshot import collection_of
from tasks.runtime.files import locked
from tasks.runtime.home import home
from tasks.runtime.store import Store

RATINGS = "ratings"
STAYS = (
    "what stays, and is yours to remove: exports that you hold, those in an inbox's done/ and refused/ too; what "
    "`pluralign export` wrote; backups; runs in MLflow"
)
NOTHING = "nothing was removed; --delete removes their rows from the snapshots"
INTERRUPTED = "a removal was interrupted; --delete or the next landing ends it"


def forget_participant(
    study: Study, who: str, outputs: Path, store: Store, kept_key: KeptKey, delete: bool = False
) -> list[str]:
    """The lines that tell what is kept of somebody, by pseudonym or id, and what rests on it; with `delete` it goes.

    outputs: below it lie the folders of finished runs. kept_key: see `find_key`. What had been interrupted is ended.

    Raises:
        InputError: nobody is called so, or several are; see `find_person`.
    """
    collection = collection_of(study, home())
    collection.find()

    def key() -> bytes:
        return find_key(home(), kept_key)

    if not delete:
        person = find_person(collection, who, key)
        ids = [holding.snapshot.id for holding in person.holdings]
        pending = [INTERRUPTED] if (collection.path / UNDER_WAY).exists() else []
        resting = _resting(person.pseudonym, ids, outputs, store)
        return [*_holdings(person, collection.name), *resting, *pending, NOTHING]
    with locked(collection.path / "lock"):
        removal, lines = finish_forgetting(collection), list[str]()
        if removal is None or not is_called(collection, who, removal.pseudonym, key):
            person = find_person(collection, who, key)
            lines, removal = _holdings(person, collection.name), forget(collection, person)
    resting = _resting(removal.pseudonym, list(removal.replaced), outputs, store)
    return [*lines, *_removed(removal, study), *resting, STAYS]


def _holdings(person: Person, collection: str) -> list[str]:
    rows = [
        (holding.snapshot.id, holding.snapshot.manifest["created"][:19], holding.ratings, holding.responses)
        for holding in person.holdings
    ]
    table = pd.DataFrame(rows, columns=["snapshot", "landed", "ratings", "responses"])
    head = f"{person.pseudonym}, of {person.codebook}: in {_several(len(rows), 'snapshot')} of {collection!r}"
    return [head, *table.to_string(index=False).splitlines()]


def _removed(removal: Removal, study: Study) -> list[str]:
    lines = [f"{removal.pseudonym}: forgotten; nothing of theirs lands again"]
    for old, new in removal.replaced.items():
        lines.append(f"snapshot {old} is gone; in its place is {new}")
        if study.ratings.snapshot and old.startswith(study.ratings.snapshot):
            lines.append(f"{study.name} names it: write ratings.snapshot: {new}")
    return [*lines, "values in the landings' rejected.csv are removed, since nobody can tell whose they were"]


# ---- what rests on them


def _resting(pseudonym: str, snapshots: Several[str], outputs: Path, store: Store) -> list[str]:
    """Finished runs with what of them rests on somebody, adapters, and copies of their ratings in the store."""
    lines, names = list[str](), list[str]()
    for folder in sorted(path.parent for path in outputs.glob("*/study.json")):
        try:
            run = finished_run(folder)
            finished = with_ratings(run, store)
        except InputError as error:
            lines += ["", f"{folder}: can't be told: {error}"]
            continue
        if finished is not None and pseudonym in set(finished.data.participants["participant_id"]):
            lines += ["", f"{folder}, run of {run.facts.get('created', '?')}:", *_of_run(finished, pseudonym)]
        elif finished is None and run.facts.get("snapshot") in snapshots:
            lines += ["", f"{folder}: read a snapshot that held them; its ratings are no longer in the store"]
        else:
            continue
        names.append(run.study.name)
    lines += _copies(pseudonym, store)
    if not lines:
        return ["no finished run in outputs/ rests on their ratings, and the store has no copy of them"]
    anew = [f"pluralign run {name}" for name in dict.fromkeys(names)] or ["pluralign run STUDY"]
    gone = f"pluralign gc {' '.join(dict.fromkeys(names)) or 'STUDY'} --delete"
    how = f"to make these anew without them: {'; '.join(anew)}; then {gone} removes the old from the store"
    return [*lines, "", how]


def _of_run(finished: Finished, pseudonym: str) -> list[str]:
    """What `trace` says of them, and the adapters."""
    if not (finished.data.ratings["participant_id"] == pseudonym).any():
        return ["  their answers about themselves, and no rating"]
    if not (finished.tables / "cells.csv").exists():
        return ["  its tables and figures rest on their ratings; nothing was trained"]
    runs = touched_by(finished, pseudonym)["runs"].explode().dropna().unique()
    adapters = [f"adapter {finished.store.where(RUNS, run)}/{ADAPTER}" for run in runs]
    return [f"  {line}" if line else "" for line in [*trace_participant(finished, pseudonym), *adapters]]


def _copies(pseudonym: str, store: Store) -> list[str]:
    """The ratings of studies in the store that hold somebody; preferences and adapters were made of these."""
    found = []
    for entry in store.entries():
        artifact = store.find(RATINGS, entry.key) if (entry.kind, entry.stage) == ("artifact", RATINGS) else None
        if artifact is not None:
            people = pd.read_parquet(artifact.path / "participants.parquet", columns=["participant_id"])
            if pseudonym in set(people["participant_id"]):
                found.append(store.where(RATINGS, entry.key))
    return ["", "the store has copies of their ratings:", *(f"  {one}" for one in found)] if found else []


def _several(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
