"""`pluralign gc`: what a store keeps that no kept study needs, and its removal.

What is not listed: documents and journals, such as the history of runs and verdicts that were paid for, the embeddings
of texts, the commits that hub models are held to, and what is of a stage that `needs` knows nothing of. An object
store's cache on this machine bounds itself.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Study
from tasks.lineage.needs import STAGES, KeptKey, Key, Needs, finished_needs, study_needs
from tasks.methods.step import CHECKPOINTS, REFERENCE
from tasks.planning.finished import finished_run
from tasks.runtime.progress import Report, tell
from tasks.runtime.store import Entry, Store
from tasks.survey.step import SURVEYS

log = logging.getLogger(__name__)
HOUR, DAY = 3600.0, 86400.0
ALIVE_SECONDS = 60.0
"""Of a build under way, a store tells that it was written since; see `Entry`."""
SHOWN = 12
"""Digits of a key that are shown."""
UNTOUCHED = "never touched: documents and journals (history, paid verdicts), embeddings of texts, commits of hub models"


@dataclass(frozen=True)
class Unneeded:
    """What a store keeps, by what becomes of it."""

    needs: Sequence[Needs]
    older: float
    """Seconds since something was written, below which it is left alone."""
    listed: Sequence[Entry]
    """May be removed."""
    young: Sequence[Entry]
    """Nobody named needs it, but it was written lately."""
    kept: Sequence[Entry]
    doubts: Sequence[str] = ()
    """Why nothing but leftovers is listed; nothing where all is told."""


def find_unneeded(
    studies: Sequence[Study], finished: Sequence[Path], store: Store, kept_key: KeptKey, older: float
) -> Unneeded:
    """What none of the studies needs, and none of the finished runs with these outputs; nothing is removed.

    older: seconds; what was written since is left alone.

    Raises:
        InputError: no study is named, `older` is below an hour, or a study or a run can't be read.
    """
    if not (studies or finished):
        raise InputError("no study is named whose artifacts are to be kept")
    if older < HOUR:
        raise InputError(
            f"--older-than {older / DAY:g}: expected an hour (0.042) or more, since another run may be under way"
        )
    runs = [(finished_run(folder), str(folder)) for folder in finished]
    needs = []
    for study in studies:
        tell(Report(f"{study.name}: ratings"))
        needs.append(study_needs(study, store, kept_key))
    for run, name in runs:
        tell(Report(f"{name}: ratings"))
        needs.append(finished_needs(run, name, store, kept_key))
    tell(Report("list the store"))
    return sort_out(list(store.entries()), needs, older)


def finished_runs(outputs: Path) -> list[Path]:
    """The folders below it that a run has written.

    Raises:
        InputError: there is none.
    """
    found = sorted(path.parent for path in outputs.glob("*/study.json"))
    if not found:
        raise InputError(f"{outputs}: no finished run there (no folder with a study.json)")
    return found


def sort_out(entries: Sequence[Entry], needs: Sequence[Needs], older: float) -> Unneeded:
    """Each entry by what becomes of it."""
    keys = frozenset[Key]().union(*(own.keys for own in needs))
    # which survey is a study's depends on the key for pseudonyms, and another machine has another one
    whole = {SURVEYS} if any(SURVEYS in own.parts for own in needs) else set[str]()
    doubts = [*_doubts(needs), *_under_way(entries, keys)]
    listed, young, kept = list[Entry](), list[Entry](), list[Entry]()
    for entry in entries:
        told = entry.kind == "leftover" or not (doubts or entry.stage in whole)
        if _is_needed(entry, keys) or not told:
            kept.append(entry)
        else:
            (listed if entry.age > older else young).append(entry)
    listed.sort(key=lambda entry: (entry.kind, entry.stage, -entry.size, entry.key))
    return Unneeded(needs, older, listed, young, kept, doubts)


def _is_needed(entry: Entry, keys: Collection[Key]) -> bool:
    """Whether a study needs it, or nobody here can tell."""
    if entry.kind == "leftover":
        return False
    # a workspace in the place of an artifact is what a removal that was killed has left of one
    known = STAGES if entry.kind == "artifact" else STAGES | {CHECKPOINTS, REFERENCE}
    return (entry.stage, entry.key) in keys or entry.stage not in known


def _doubts(needs: Iterable[Needs]) -> list[str]:
    lines = []
    for own in needs:
        if own.absent:
            lines.append(f"{own.name}: nothing of it is in this store; was it run with other settings (--set), or in "
                         "another store?")  # fmt: skip
        elif own.untold:
            lines.append(f"{own.name}: what its next run may reuse can't be told: the store knows no commit of the hub "
                         f"for {', '.join(own.untold)}")  # fmt: skip
    return lines


def _under_way(entries: Iterable[Entry], keys: Collection[Key]) -> list[str]:
    alive = [entry for entry in entries if entry.kind == "leftover" and entry.age < ALIVE_SECONDS]
    others = [entry for entry in alive if (entry.stage, entry.key.removesuffix(".partial")) not in keys]
    if not others:
        return []
    what = ", ".join(sorted({entry.stage for entry in others}))
    return [f"a run of a study that is not named is under way (it makes {what}): name it too, or wait for its end"]


# ---- in words


def describe(found: Unneeded) -> list[str]:
    """What is listed, its sums by stage, and what is left alone and why."""
    lines = [_of_study(own) for own in found.needs]
    if found.doubts:
        lines += ["", *found.doubts, "so nothing is listed but leftovers of builds"]
    if found.listed:
        lines += ["", *_table(found.listed), "", *_sums(found.listed)]
    lines += ["", f"{_count(found.listed)} that none of these needs; {_count(found.kept)} stay"]
    if found.young:
        lines.append(
            f"{_count(found.young)} that none of these needs were written in the last {age_in_words(found.older)} and "
            "are left alone; where a run of another study is under way, name it too"
        )
    return [*lines, UNTOUCHED]


def _of_study(own: Needs) -> str:
    lacking = [f"{own.missing} of {own.cells} cells"] if own.missing else []
    lacking += own.parts
    if not lacking:
        return (
            f"{own.name}: whole in this store, {own.cells} cells" if own.cells else f"{own.name}: whole in this store"
        )
    return f"{own.name}: not whole in this store, whose next run makes what is missing: {', '.join(lacking)}"


def _table(entries: Sequence[Entry]) -> list[str]:
    rows = [
        (entry.kind, entry.stage, entry.key[:SHOWN], size_in_words(entry.size), age_in_words(entry.age))
        for entry in entries
    ]
    return pd.DataFrame(rows, columns=["kind", "stage", "key", "size", "age"]).to_string(index=False).splitlines()


def _sums(entries: Sequence[Entry]) -> list[str]:
    table = pd.DataFrame([(entry.stage, entry.size) for entry in entries], columns=["stage", "size"])
    sums = table.groupby("stage")["size"].agg(["size", "sum"]).sort_values("sum", ascending=False)
    sums["sum"] = sums["sum"].map(size_in_words)
    return sums.rename(columns={"size": "how many", "sum": "size"}).reset_index().to_string(index=False).splitlines()


def _count(entries: Sequence[Entry]) -> str:
    return f"{len(entries):,} ({size_in_words(sum(entry.size for entry in entries))})"


def size_in_words(size: int) -> str:
    """`1234567` → `1.2 MB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} B"


def age_in_words(seconds: float) -> str:
    """`7200` → `2 h`."""
    if seconds >= 2 * DAY:
        return f"{seconds / DAY:.0f} days"
    return f"{seconds / HOUR:.0f} h" if seconds >= 2 * HOUR else f"{seconds / 60:.0f} min"


# ---- removal


def remove(entries: Sequence[Entry], store: Store) -> list[str]:
    """Remove them for good; a line for each that could not be removed."""
    faults = []
    for done, entry in enumerate(entries):
        tell(Report("remove", done, len(entries), "entries"))
        try:
            store.discard(entry)
        except Exception as error:  # of the kinds that an object store's client raises
            log.debug("not removed", exc_info=True)
            faults.append(f"{store.where(entry.stage, entry.key)}: not removed: {' '.join(str(error).split())}")
    return faults
