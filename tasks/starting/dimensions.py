"""What is rated, on which scale, and in which direction it is better: a codebook's dimensions and labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from configs.codebook import normal
from configs.errors import InputError
from tasks.ratings.reading.rejected import visible
from tasks.starting.columns import HIGHER, LOWER, Look, plain_letters, words
from tasks.starting.draft import Draft, UserTable
from tasks.starting.labels import Scale, scale_of
from tasks.starting.roles import Roles, scales_by_dimension
from tasks.starting.tables import FlatTable, encoded, flat

TAKEN = frozenset({"participant_id", "response_id", "prompt_id", "order", "language", "all", "prompt", "response"})
"""What tables of a study call columns of their own."""
WORDS_OF_RATINGS = (
    "rating",
    "ratings",
    "score",
    "scores",
    "label",
    "labels",
    "q",
    "value",
    "values",
    "responses",
    "how",
    "annotation",
    "annotations",
    "result",
    "results",
    "choices",
    "each",
    "answer",
    "output",
)
"""Words that say of a column that it is a rating, not of what."""
WORDS_OF_QUESTIONS = frozenset(
    "answer output what which how is are your you do does please select this the a an of to in".split()  # noqa: SIM905
)
"""Words that say of a column that people answered it, not what."""
SHOWN = 8


@dataclass
class Notes:
    assumed: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    def told_direction(self, name: str, better: str, clear: bool) -> None:
        """Which direction of a dimension is better, and whether its name says so."""
        if clear:
            self.assumed.append(f"{name}: {better} is better, by its name")
        else:
            self.unclear.append(f"better.{name}: whether more of '{name}' is better is not said; taken: {better}")


def put_dimensions(
    roles: Roles, ratings: dict[str, Any], better: dict[str, str], titles: dict[str, str], notes: Notes
) -> None:
    """Puts the dimensions and their scale into the codebook."""
    scale, columns = _common_scale(roles, notes)
    names = slugs(columns, drop=(*WORDS_OF_RATINGS, *WORDS_OF_QUESTIONS))
    if roles.dimension:
        ratings |= {"dimension": roles.dimension, "rating": roles.rating}
        others = [text for text in roles.looks[roles.dimension].column.said if text not in columns]
        ratings["ignored"] = each_once(others, columns)
    ratings["dimensions"] = {names[column]: column for column in columns}
    for column, name in names.items():
        better[name], clear = _direction(column, scale)
        titles[name] = title_of(name)
        notes.told_direction(name, better[name], clear)
    _put_scale(ratings, scale, notes)
    ratings |= {"attention": roles.attention} if roles.attention else {}
    for column, answer in roles.attention.items():
        notes.assumed.append(
            f"attention check '{visible(column)}': '{visible(answer)}' passes, since eight of ten gave it"
        )
    if roles.dimension:
        ratings.pop("ignored") if not ratings["ignored"] else None


def _put_scale(ratings: dict[str, Any], scale: Scale, notes: Notes) -> None:
    if scale.numbers is not None:
        ratings["numbers"] = dict(scale.numbers)
    else:
        ratings["labels"] = dict(scale.labels)
    missing = each_once([*ratings.get("missing", ()), *scale.missing], scale.labels)
    ratings |= {"missing": missing} if missing else {}
    notes.assumed.append(f"{', '.join(ratings['dimensions'])}: {scale.said or 'labels as they stand'}")
    if scale.unclear:
        notes.unclear.append(f"ratings.labels: {scale.unclear}")


def each_once(texts: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The texts, without those that are the same as another or as one that is taken, but for case and blanks."""
    known, kept = set(map(normal, taken)), list[str]()
    for text in texts:
        if normal(text) and normal(text) not in known:
            known.add(normal(text))
            kept.append(text)
    return kept


def _common_scale(roles: Roles, notes: Notes) -> tuple[Scale, list[str]]:
    """The scale that most of the dimensions are on, and these; a codebook has one scale for all of its dimensions."""
    groups: list[tuple[Scale, list[str], dict[str, int]]] = []
    for name, scale in roles.dimensions.items():
        counts = _counts(roles, name)
        for place, (common, own, all_counts) in enumerate(groups):
            both = _sum(all_counts, counts)
            whole = scale_of(both)
            if whole is not None and whole.sure and _go_together(common, scale, whole):
                groups[place] = (whole, [*own, name], both)
                break
        else:
            groups.append((scale, [name], counts))
    scale, columns, counts = max(groups, key=lambda group: (group[0].sure, len(group[1])))
    left = [name for _, own, _ in groups for name in own if name not in columns]
    if left:
        shown = ", ".join(f"'{visible(name)}'" for name in left[:SHOWN])
        have = "has another scale, and needs" if len(left) == 1 else "have another scale, and need"
        notes.unclear.append(f"ratings.dimensions: {shown} {have} a codebook and a study of their own")
    for name in left:
        roles.left_out[name] = "another scale"
    known = set(map(normal, (*scale.labels, *scale.missing)))
    if scale.numbers is None:
        spelled = {text: int(float(text)) for text in counts if normal(text) not in known and _is_whole(text)}
        lowest = min((int(text) for text in scale.labels if re.fullmatch(r"-?\d+", text)), default=0)
        more = {
            text: number - lowest + 1 for text, number in spelled.items() if 0 < number - lowest + 1 <= scale.categories
        }
        scale = replace(scale, labels={**scale.labels, **more})
    return scale, columns


def _is_whole(text: str) -> bool:
    try:
        return float(text).is_integer()
    except ValueError:
        return False


def _go_together(one: Scale, other: Scale, both: Scale) -> bool:
    """Whether two scales are the same, of which not all was seen."""
    if one.kind == other.kind:
        return True
    if one.numbers is not None or other.numbers is not None or both.numbers is not None:
        return (
            one.numbers is not None
            and other.numbers is not None
            and both.numbers is not None
            and one.kind.split(" in ")[0] == other.kind.split(" in ")[0]
        )
    fewer, more = sorted((one.categories, other.categories))
    return fewer > 2 and more - fewer <= 1 and both.categories <= more + 1


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {text: one.get(text, 0) + other.get(text, 0) for text in (*one, *other)}


def _counts(roles: Roles, name: str) -> dict[str, int]:
    """Text → rows, of a dimension's ratings."""
    if not roles.dimension:
        return dict(roles.looks[name].column.said)
    which, values = roles.looks[roles.dimension].column, roles.looks[roles.rating].column
    rows = np.bincount(values.codes[which.codes == which.levels.index(name)], minlength=len(values.levels))
    return {text: int(n) for text, n in zip(values.levels, rows, strict=True) if n and text.strip()}


def _direction(column: str, scale: Scale) -> tuple[str, bool]:
    """Which direction is better, and whether the words say so."""
    if scale.numbers is None and scale.labels:
        ordered = sorted(scale.labels, key=lambda text: scale.labels[text])
        top, bottom = words(ordered[-1]), words(ordered[0])
        if (LOWER.search(top) and not LOWER.search(re.sub(r"^(not?|non)\b", "", bottom))) or re.search(
            r"\b(severe|extreme|critical)\b", top
        ):
            return "lower", True
    name = words(column)
    if LOWER.search(name) and not re.search(r"\b(less|un|not|non)\b", name):
        return "lower", True
    return "higher", bool(HIGHER.search(name))


def slugs(columns: Sequence[str], drop: Collection[str] = ()) -> dict[str, str]:
    """Column → a name for it in the study, without the words to `drop` where others are left; no two the same."""
    names: dict[str, str] = {}
    for place, column in enumerate(columns, 1):
        tokens = re.findall(r"[a-z0-9]+", plain_letters(words(column.rpartition(".")[2] if drop else column)))
        shorter = [token for token in re.findall(r"[a-z0-9]+", plain_letters(words(column))) if token not in drop]
        shorter = shorter if any(not token.isdigit() for token in shorter) else []
        slug = "-".join(shorter or tokens)[:40].strip("-") or f"column-{place}"
        if slug in TAKEN or slug in names.values():
            slug = next(f"{slug}-{n}" for n in range(1, 10_000) if f"{slug}-{n}" not in names.values())
        names[column] = slug
    return names


def title_of(name: str) -> str:
    return name.replace("-", " ").capitalize()


def with_scale(draft: Draft, tables: Sequence[UserTable]) -> Draft:
    """A draft of a format that leaves labels to its users, with the labels that the user's tables have, and which
    direction is better where the draft does not say.

    Raises:
        InputError: no dimension has a scale.
    """
    ratings = dict(draft.codebook["ratings"])
    notes = Notes(list(draft.assumed), list(draft.unclear))
    better = dict(draft.better)
    if "labels" not in ratings and "numbers" not in ratings:
        roles = _of_draft(ratings, tables)
        if not roles.dimensions:
            raise InputError(f"{ratings['file']}: no scale can be seen in {', '.join(map(str, ratings['dimensions']))}")
        scale, columns = _common_scale(roles, notes)
        ratings["dimensions"] = {name: one for name, one in ratings["dimensions"].items() if one in columns}
        if roles.dimension:
            others = [text for text in roles.looks[roles.dimension].column.said if text not in columns]
            ratings["ignored"] = each_once([*ratings.get("ignored", ()), *others], columns)
        _put_scale(ratings, scale, notes)
        for name, column in ratings["dimensions"].items():
            if name not in better:
                better[name], clear = _direction(column if roles.dimension else name, scale)
                notes.told_direction(name, better[name], clear)
    return replace(
        draft,
        codebook=draft.codebook | {"ratings": ratings},
        better=better,
        assumed=tuple(notes.assumed),
        unclear=tuple(notes.unclear),
    )


def _of_draft(ratings: Mapping[str, Any], tables: Sequence[UserTable]) -> Roles:
    """The columns that a draft says hold ratings, with the scales that they seem to be on."""
    own = [table for table in tables if table.name == ratings["file"] or PurePath(table.name).match(ratings["file"])]
    own = [table for table in own if table.sheet == ratings.get("sheet", table.sheet)]
    shape = {key: ratings[key] for key in ("each", "separators", "stack", "only") if key in ratings}
    dimension, rating = ratings.get("dimension", ""), ratings.get("rating", "")
    wanted = [dimension, rating] if dimension else list(ratings["dimensions"].values())
    plain = not shape and all(name in table.rows.names for name in wanted for table in own)
    flats = [flat(table) if plain else flat(table, shape, wanted) for table in own]
    whole = FlatTable(
        {"file": ratings["file"]},
        {
            name: flats[0].columns[name]
            if len(flats) == 1
            else encoded(name, (one.columns[name].levels[code] for one in flats for code in one.columns[name].codes))
            for name in wanted
        },
        sum(one.rows for one in flats),
    )
    roles = Roles(whole, {name: Look(column) for name, column in whole.columns.items()})
    roles.dimension, roles.rating = dimension, rating
    if dimension:
        scales = scales_by_dimension(roles.looks[dimension], roles.looks[rating], sure=False)
        roles.dimensions = {text: scales[text] for text in ratings["dimensions"].values() if text in scales}
    else:
        found = {name: scale_of(look.column.said) for name, look in roles.looks.items()}
        roles.dimensions = {name: scale for name, scale in found.items() if scale is not None}
    return roles
