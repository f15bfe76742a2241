"""Land exports in a collection: read, validate, give pseudonyms, merge into the latest snapshot, report.

COLLECTION/landings/TIME-DIGEST/ keeps the report: rejected.csv, every row that can't be used and why, and
summary.json. No participant's id of the export is written anywhere, and nothing of who asked to be forgotten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from configs.codebook import Codebook
from configs.errors import InputError
from tasks.ratings.landing.exports import Export, find_exports
from tasks.ratings.landing.forget import finish_forgetting, forgotten, without_forgotten
from tasks.ratings.landing.merge import Changes, Tables, canonical, merge, no_tables, ordered
from tasks.ratings.landing.pseudonym import key_check, keyed_digest, pseudonyms
from tasks.ratings.landing.snapshot import Collection, Snapshot, counts_of
from tasks.ratings.reading.faults import describe_faults, faults_of, ids_of, rejected_of
from tasks.ratings.reading.load import check_scales, total
from tasks.ratings.reading.quantiles import refuse_quantiles
from tasks.ratings.reading.rejected import write_rejected
from tasks.ratings.reading.same_text import shared_texts
from tasks.ratings.reading.source import Source, read_source
from tasks.ratings.reading.validate import TABLES, Known, Valid, read_export, validate
from tasks.runtime.files import locked
from tasks.runtime.fingerprint import fingerprint


@dataclass(frozen=True)
class Landing:
    """What a landing came to.

    snapshot: the latest one now; fresh: whether this landing made it so. rows: for each table of each export how many
    rows were read, kept (whole or in part), repeated (nothing new), rejected, dropped. changes: table → what is new,
    and what replaces another value. rejected: as rejected.csv has it. dropped: reason → rows lost without a fault.
    absent: codebooks of which the exports hold nothing. folder: where all of this is written. noted: what is no loss,
    but worth knowing → how many. forgotten: who of the exports asked to be forgotten, and how many rows were left out.
    """

    snapshot: Snapshot
    fresh: bool
    rows: list[dict[str, Any]]
    changes: dict[str, Changes]
    rejected: pd.DataFrame
    dropped: dict[str, int]
    absent: list[str]
    folder: Path
    noted: dict[str, int] = field(default_factory=dict)
    forgotten: tuple[int, int] = (0, 0)

    @property
    def reasons(self) -> dict[str, int]:
        """Reason → entries of `rejected`."""
        return count_reasons(self.rejected)


@dataclass(frozen=True)
class _Read:
    """An export, read and validated.

    ids: what participants are called in it. sources: without who asked to be forgotten, by pseudonym in `forgotten`,
    and so many rows were `left_out`.
    """

    export: Export
    ids: set[str]
    sources: dict[str, Source]
    valid: Valid
    forgotten: set[str]
    left_out: int


def land(
    collection: Collection, exports: Sequence[Path], codebooks: Sequence[Codebook], key: bytes, strict: bool = False
) -> Landing:
    """Add what can be used of the exports to the collection; what brings nothing new makes no snapshot.

    Args:
        exports: folders that hold the files of one codebook or more, or single files for codebooks of one table.
        key: makes pseudonyms; the same for every landing of a collection.
        strict: refuse everything because of one fault.

    Raises:
        InputError: no file of any codebook, or not all of one; a file that can't be read at all, or that a link takes
            out of its export; a recruitment platform's ids; another key or scale than the collection's; no rating that
            can be used; with `strict`, a fault. Nothing is landed then.
    """
    check_scales(codebooks)
    matched = find_exports(exports, codebooks)
    with locked(collection.path / "lock"):
        finish_forgetting(collection)
        collection.clear()
        before = collection.latest()
        _check_same(before, key, codebooks)
        reads, tables, changes = _merged(before, matched, codebooks, key, forgotten(collection))
        rejected = _all_rejected(reads)
        dropped = count_reasons(pd.concat([_dropped(read) for read in reads]))
        noted = total(read.valid.noted for read in reads) | shared_texts(tables.responses)
        absent = [codebook.name for codebook in codebooks if codebook not in [one.codebook for one in matched]]
        about = _about(reads, changes, rejected, dropped, noted, absent)
        folder = collection.path / "landings" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{about['exports']['digest'][:8]}"
        refusal = _refusal(reads, rejected, strict)
        if refusal:
            _write(folder, rejected, about | {"refused": refusal})
            raise InputError(f"{refusal}; all of them: {folder / 'rejected.csv'}" if len(rejected) else refusal)
        snapshot = collection.add(tables, _lost(before, reads, key), _manifest(about, before, tables, codebooks, key))
        fresh = before is None or snapshot.id != before.id
        _write(folder, rejected, about | {"snapshot": snapshot.id, "fresh": fresh})
    return Landing(snapshot, fresh, about["rows"], changes, rejected, dropped, absent, folder, noted, _forgotten(reads))


def _check_same(before: Snapshot | None, key: bytes, codebooks: Sequence[Codebook]) -> None:
    """See that a landing fits the collection: with another key everybody would be a stranger."""
    if before is None:
        return
    if before.manifest["key"] != key_check(key):
        raise InputError(
            f"collection {before.manifest['collection']!r}: the secret is not the one that it was landed with, "
            "and nobody would be known again; restore it"
        )
    if before.manifest["categories"] != codebooks[0].ratings.categories:
        scales = f"{before.manifest['categories']} categories, not {codebooks[0].ratings.categories}"
        raise InputError(f"collection {before.manifest['collection']!r}: its scale has {scales}")


# ---- what is in them


def _merged(
    before: Snapshot | None, matched: Sequence[Export], codebooks: Sequence[Codebook], key: bytes, gone: frozenset[str]
) -> tuple[list[_Read], Tables, dict[str, Changes]]:
    """The exports, and the tables with them merged in, one after another."""
    tables = before.tables() if before else no_tables()
    reads, sizes, changes = list[_Read](), list[int](), dict.fromkeys(TABLES, Changes())
    for export in matched:
        read = _read(export, codebooks, key, tables, gone)
        rows = len(tables.ratings)
        own = {name: part.table.assign(codebook=export.codebook.name) for name, part in read.valid.parts.items()}
        tables, changed = merge(tables, Tables(**own))
        reads.append(read)
        sizes.append(len(tables.ratings) - rows)
        changes = {name: changes[name] + changed[name] for name in TABLES}
    return reads, canonical(ordered(tables, sizes)), changes


def _read(export: Export, codebooks: Sequence[Codebook], key: bytes, tables: Tables, gone: frozenset[str]) -> _Read:
    codebook, rename = export.codebook, pseudonyms(key, export.codebook.name)
    sources = read_export(codebook, export.paths, partial(read_source, within=export.folder))
    refuse_quantiles(codebook, sources["ratings"])
    ids = ids_of(codebook, sources)
    sources, found, left_out = without_forgotten(codebook, sources, gone, rename)
    people, texts = tables.participants, tables.responses
    known = Known(
        participants=set(people.loc[people["codebook"] == codebook.name, "participant_id"]),
        responses=set(texts.loc[texts["codebook"] == codebook.name, "response_id"]),
    )
    siblings = [other for other in codebooks if other.name != codebook.name]
    valid = validate(codebook, sources, rename, siblings, known)
    return _Read(export, ids, sources, valid, found, left_out)


def _dropped(read: _Read) -> pd.DataFrame:
    """row, reason, file: what is lost of an export without a fault; a label row of a file of several tables once."""
    book, parts = read.export.codebook, read.valid.parts
    stacked = pd.concat([part.dropped.assign(file=getattr(book, name).file) for name, part in parts.items()])
    return stacked.drop_duplicates()


def _all_rejected(reads: Sequence[_Read]) -> pd.DataFrame:
    ids = set[str]().union(*(read.ids for read in reads))
    parts = [rejected_of(read.export.codebook, read.valid, ids, read.export.names) for read in reads]
    return pd.concat(parts, ignore_index=True)


def _lost(before: Snapshot | None, reads: Sequence[_Read], key: bytes) -> pd.DataFrame:
    """codebook, reason, identity of what could not be used, now or before; the same row of several exports once."""
    parts = [before.lost()] if before else []
    for read in reads:
        codebook = read.export.codebook.name
        for name, part in read.valid.parts.items():
            entries = pd.concat([part.rejected[["row", "column", "reason"]], part.dropped.assign(column="")])
            texts = _texts(read.sources[name], entries["row"])
            digests = {row: keyed_digest(key, text) for row, text in texts.items()}
            entries = entries.assign(codebook=codebook, text=entries["row"].map(digests))
            again = entries.groupby(["column", "reason", "text"]).cumcount()
            cells = zip(entries["column"], entries["reason"], entries["text"], again.astype(str), strict=True)
            entries["identity"] = [keyed_digest(key, "\x1f".join([codebook, *one]))[:16] for one in cells]
            parts.append(entries[["codebook", "reason", "identity"]])
    return pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)


def _texts(source: Source, rows: pd.Series) -> dict[int, str]:
    """Row → its text, for the rows asked for."""
    asked = source.frame[source.frame.index.isin(rows)]
    read = dict(zip(asked.index, map("\x1f".join, asked.to_numpy().tolist()), strict=True))
    return read | {one.row: one.text for one in (*source.unread, *source.labels, *source.left_out)}


# ---- what a landing reports


def count_reasons(entries: pd.DataFrame) -> dict[str, int]:
    """Reason → entries, the most frequent first."""
    return {str(reason): int(n) for reason, n in entries["reason"].value_counts().items()}


def _refusal(reads: Sequence[_Read], rejected: pd.DataFrame, strict: bool) -> str | None:
    """Why nothing is landed, if so."""
    faults = faults_of(rejected)
    first = f"the first: {'; '.join(describe_faults(faults))}" if len(faults) else ""
    if strict and first:
        sources = [{source.path: source for source in read.sources.values()} for read in reads]  # each file once
        rows = sum(len(source.frame) + len(source.unread) for files in sources for source in files.values())
        bad = len(faults[["file", "row"]].drop_duplicates())
        return f"{bad:,} of {rows:,} rows can't be used; {first}"
    if not any(len(read.valid.ratings.table) for read in reads):
        files = ", ".join(sorted({read.sources["ratings"].path.name for read in reads}))
        why = f"no rating can be used; {first}" if first else f"{files}: no rating in it can be used"
        return f"{why}; {forgotten_line(_forgotten(reads))}" if any(_forgotten(reads)) else why
    return None


def _forgotten(reads: Sequence[_Read]) -> tuple[int, int]:
    """Who asked to be forgotten, and how many rows of theirs were left out."""
    return len(set[str]().union(*(read.forgotten for read in reads))), sum(read.left_out for read in reads)


def forgotten_line(counts: tuple[int, int]) -> str:
    """`counts`: participants, and rows."""
    people, rows = counts
    who = "1 participant" if people == 1 else f"{people:,} participants"
    return f"{who} asked to be forgotten: {rows:,} {'row' if rows == 1 else 'rows'} left out"


def _about(
    reads: Sequence[_Read],
    changes: dict[str, Changes],
    rejected: pd.DataFrame,
    dropped: dict[str, int],
    noted: dict[str, int],
    absent: list[str],
) -> dict[str, Any]:
    """What there is to tell of a landing."""
    files, rows, counts = dict[str, str](), [], _forgotten(reads)
    for read in reads:
        book, names = read.export.codebook, read.export.names
        for name, part in read.valid.parts.items():
            files[names[getattr(book, name).file]] = read.sources[name].digest
            rows.append({"codebook": book.name, "file": names[getattr(book, name).file], "table": name, **part.rows})
    return {
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "exports": {"digest": fingerprint(files), "files": files},
        "rows": rows,
        "changes": {name: asdict(change) for name, change in changes.items()},
        "rejected": count_reasons(rejected),
        "dropped": dropped,
        "noted": noted,
        "absent": absent,
        **({"forgotten": dict(zip(("participants", "rows"), counts, strict=True))} if any(counts) else {}),
    }


def _manifest(
    about: dict[str, Any], before: Snapshot | None, tables: Tables, codebooks: Sequence[Codebook], key: bytes
) -> dict[str, Any]:
    """What a snapshot records of itself; `about` is of the landing that made it."""
    landed = {row["codebook"] for row in about["rows"]}
    own = {
        codebook.name: {"version": codebook.version, "fingerprint": fingerprint(codebook)}
        for codebook in codebooks
        if codebook.name in landed
    }
    changed = about["changes"]["ratings"]
    return {
        "parents": [before.id] if before else [],
        "codebooks": (before.manifest["codebooks"] if before else {}) | own,
        "categories": codebooks[0].ratings.categories,
        "key": key_check(key),
        "counts": {
            **counts_of(tables),
            "added": changed["added"],
            "superseded": changed["superseded"],
            "dropped": sum(about["dropped"].values()),
            "rejected": sum(about["rejected"].values()),
        },
        **about,
    }


def _write(folder: Path, rejected: pd.DataFrame, summary: dict[str, Any]) -> None:
    """Keep the report of a landing, whole or not at all."""
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True)
    write_rejected(rejected, partial / "rejected.csv")
    (partial / "summary.json").write_text(json.dumps(summary, indent=1))
    os.rename(partial, folder)
