"""The ways in which a user's files may be read as ratings, each with what speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.ratings.reading.formats import FileRows
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.shape import FILE_NAME
from tasks.starting.columns import DEMOGRAPHIC, Look, fits, words
from tasks.starting.comparisons import Sides, find_sides, find_stack
from tasks.starting.dimensions import Notes
from tasks.starting.draft import UserTable
from tasks.starting.indices import stem_name
from tasks.starting.labels import scale_of
from tasks.starting.nested import plans
from tasks.starting.roles import ID, Roles, find_roles
from tasks.starting.tables import FlatTable, flat, without_label_rows

FITS = 0.5
"""Share of ids that two tables must have in common where the columns have the same name."""


@dataclass
class Candidate:
    """One way to read a file as ratings."""

    roles: Roles
    sides: Sides | None = None
    stack_names: tuple[str, ...] = ()
    score: float = 0.0


def as_it_stands(table: UserTable) -> FlatTable:
    """A row for each of the file's, with what is within objects in columns of their own."""
    whole = next((plan for plan in plans(without_label_rows(table.rows)) if not plan.each), None)
    return flat(table, {}, whole.columns) if whole else flat(table)


def below_each_other(tables: Sequence[UserTable], notes: Notes) -> list[UserTable]:
    """The tables; of several files with the same columns one that has all their rows, by a pattern of their names."""
    groups: dict[tuple[Any, ...], list[UserTable]] = {}
    for table in tables:
        key = (table.path.parent, table.path.suffix, tuple(table.rows.all_names or table.rows.names), table.sheet)
        groups.setdefault(key, []).append(table)
    whole = []
    for (folder, suffix, *_), group in groups.items():
        pattern = _pattern(folder, suffix, [table.path for table in group])
        if len(group) > 1 and pattern:
            rows = [table.rows for table in group]
            values = [(*value, table.path.stem) for table in group for value in table.rows.values]
            unread = tuple(row for one in rows for row in one.unread)
            names = [*rows[0].names, FILE_NAME]
            both = FileRows(names, list(range(1, len(values) + 1)), values, unread, rows[0].all_names)
            name = (Path(group[0].name).parent / pattern).as_posix()
            whole.append(UserTable(group[0].path, name, both, group[0].sheet))
            notes.assumed.append(f"{len(group)} files with the same columns are one table: {visible(pattern)}")
        else:
            whole.append(group[0])
            if len(group) > 1:
                left = ", ".join(visible(table.path.name) for table in group[1:4])
                notes.unclear.append(
                    f"ratings.file: {left} has the columns of {visible(group[0].path.name)}; only that one is read"
                )
    return whole


def _pattern(folder: Path, suffix: str, paths: Sequence[Path]) -> str:
    """A pattern that fits these files and no other in their folder; "" if there is none."""
    names = [path.name for path in paths]
    start = names[0][: next((at for at in range(len(names[0])) if len({name[: at + 1] for name in names}) > 1), 0)]
    pattern = f"{start}*{suffix}"
    if any(letter in start for letter in "*?[") or not pattern.isprintable():
        return ""
    return pattern if sorted(folder.glob(pattern)) == sorted(paths) else ""


def candidates(table: UserTable, plain: FlatTable, others: Sequence[FlatTable]) -> list[Candidate]:
    """The ways to read a file as ratings, each with what speaks for it."""
    flats: list[tuple[FlatTable, dict[str, Any]]] = [(plain, {})]
    for plan in plans(without_label_rows(table.rows)):
        if plan.each:
            shape = {"each": [list(step) if isinstance(step, tuple) else step for step in plan.each]}
            flats.append((flat(table, shape, plan.columns), shape))
    found = []
    for one, shape in flats:
        looks = {name: Look(column) for name, column in one.columns.items()}
        who, what = _links(one, others)
        if sides := find_sides(looks):
            roles = find_roles(one, who, apart=sides.columns)
            found.append(Candidate(roles, sides, score=roles.score + 6 - len(shape)))
            continue
        roles = find_roles(one, who, what)
        nested = 0.1 * len(shape)
        if roles.dimensions:
            found.append(Candidate(roles, score=roles.score - nested))
        if stack := find_stack(looks):
            names = {stem: stem_name(stem, looks) for stem in stack.columns}
            indices = list(next(iter(stack.columns.values())))
            sets = [{names[stem]: group[index] for stem, group in stack.columns.items()} for index in indices]
            item = stem_name("item #", looks)
            sets = [one_set | {item: f"={index}"} for one_set, index in zip(sets, indices, strict=True)]
            stacked_columns = {name for group in stack.columns.values() for name in group.values()}
            rest = [name for name in one.columns if name not in stacked_columns]
            below = flat(table, shape | {"stack": sets}, [*rest, *names.values(), item])
            whole = find_roles(below, who, items=(item,))
            if whole.dimensions and set(names.values()) & {*whole.dimensions, whole.rating}:
                found.append(Candidate(whole, stack_names=(*names.values(), item), score=whole.score - nested + 1.5))
    return found


def _links(table: FlatTable, others: Sequence[FlatTable]) -> tuple[str, tuple[str, ...]]:
    """The columns of a table that another table has as its key: of participants, and of responses with their texts."""
    who, what = "", tuple[str, ...]()
    for other in others:
        for ours, key in shared_ids(table, other):
            looks = [Look(column) for column in other.columns.values() if column.name != key]
            texts = any(look.is_text and look.share_filled == 1 for look in looks)
            asked = sum(look.like(DEMOGRAPHIC) and not look.is_text for look in looks)
            response = find_roles(other, response=(key,)).response_text
            if asked and not who and (not response or asked > 1):
                who = ours
            elif response and not what and fits(table.columns[ours], other.columns[key]) == 1 and ours != who:
                what = (ours,)
            elif not texts and not who and not response:
                who = ours
    return who, what


def shared_ids(table: FlatTable, other: FlatTable) -> list[tuple[str, str]]:
    """Pairs of a column of the one and the key of the other that hold the same ids, the surest first."""
    found = []
    for key, column in other.columns.items():
        look = Look(column)
        if not (look.unique and look.share_filled == 1 and look.distinct > 1) or look.letters_each > 80:
            continue
        for ours, own in table.columns.items():
            mine = Look(own)
            if mine.share_filled < 1 or mine.distinct < 2 or mine.letters_each > 80:
                continue
            same, share = words(ours) == words(key), fits(own, column)
            alike = same and share >= FITS
            if alike or (
                share >= 0.9
                and mine.distinct > 2
                and scale_of(own.said) is None
                and ID.search(f"{mine.words} {look.words}")
            ):
                found.append((not same, -share, ours, key))
    return [(ours, key) for _, _, ours, key in sorted(found)]
