"""A draft of a codebook for tables of any kind, from the names of their columns and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from configs.codebook import PLATFORM_COLUMN, normal
from configs.errors import InputError
from tasks.ratings.reading.formats import FileRows
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.shape import FILE_NAME
from tasks.starting.attributes import attribute
from tasks.starting.columns import DEMOGRAPHIC, HIGHER, LOWER, Look, fits, plain_letters, words
from tasks.starting.comparisons import Sides, find_sides, find_stack
from tasks.starting.draft import Draft, UserTable
from tasks.starting.indices import stem_name
from tasks.starting.labels import Scale, scale_of
from tasks.starting.nested import plans
from tasks.starting.roles import FIRST_TURN, ID, Roles, find_roles, scales_by_dimension
from tasks.starting.tables import FlatTable, encoded, flat, without_label_rows

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
)
"""Words that say of a column that it is a rating, not of what."""
OWN_ROW = "row@row"
"""Each row's own response: `@row` alone may be the participant."""
SHOWN = 8
FITS = 0.5
"""Share of ids that two tables must have in common where the columns have the same name."""


@dataclass
class _Candidate:
    """One way to read a file as ratings."""

    roles: Roles
    sides: Sides | None = None
    stack_names: tuple[str, ...] = ()
    score: float = 0.0


@dataclass
class _Notes:
    assumed: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    def told_direction(self, name: str, better: str, clear: bool) -> None:
        """Which direction of a dimension is better, and whether its name says so."""
        if clear:
            self.assumed.append(f"{name}: {better} is better, by its name")
        else:
            self.unclear.append(f"better.{name}: whether more is better is not said; taken: {better}")


def general_draft(tables: Sequence[UserTable]) -> Draft:
    """The draft.

    Raises:
        InputError: no column of any table can be told to hold ratings or preferences.
    """
    notes = _Notes()
    tables = _below_each_other(tables, notes)
    plain = {id(table): _as_it_stands(table) for table in tables}
    best: tuple[UserTable, _Candidate] | None = None
    for table in tables:
        others = [plain[id(other)] for other in tables if other is not table]
        for candidate in _candidates(table, plain[id(table)], others):
            if best is None or candidate.score > best[1].score:
                best = table, candidate
    if best is None:
        raise InputError(_nothing_found(tables, plain.values()))
    table, candidate = best
    others = [plain[id(other)] for other in tables if other is not table]
    return _draft(candidate, others, notes)


def _as_it_stands(table: UserTable) -> FlatTable:
    """A row for each of the file's, with what is within objects in columns of their own."""
    whole = next((plan for plan in plans(without_label_rows(table.rows)) if not plan.each), None)
    return flat(table, {}, whole.columns) if whole else flat(table)


def _nothing_found(tables: Sequence[UserTable], flats: Iterable[FlatTable]) -> str:
    files = ", ".join(dict.fromkeys(str(table.path) for table in tables))
    return (
        f"{files}: no column seems to hold ratings or preferences: numbers or words of a scale, in a column called"
        " such as rating, score or toxicity, or responses side by side with the one that is preferred. A codebook of"
        " your own says where they are: see configs/codebooks/template.yaml"
    )


def _below_each_other(tables: Sequence[UserTable], notes: _Notes) -> list[UserTable]:
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


# ---- one file


def _candidates(table: UserTable, plain: FlatTable, others: Sequence[FlatTable]) -> list[_Candidate]:
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
            found.append(_Candidate(roles, sides, score=roles.score + 6 - len(shape)))
            continue
        roles = find_roles(one, who, what)
        nested = 0.1 * len(shape)
        if roles.dimensions:
            found.append(_Candidate(roles, score=roles.score - nested))
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
                found.append(_Candidate(whole, stack_names=(*names.values(), item), score=whole.score - nested + 1.5))
    return found


def _links(table: FlatTable, others: Sequence[FlatTable]) -> tuple[str, tuple[str, ...]]:
    """The columns of a table that another table has as its key: of participants, and of responses with their texts."""
    who, what = "", tuple[str, ...]()
    for other in others:
        for ours, key in _shared(table, other):
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


def _shared(table: FlatTable, other: FlatTable) -> list[tuple[str, str]]:
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


# ---- the codebook


def _draft(candidate: _Candidate, others: Sequence[FlatTable], notes: _Notes) -> Draft:
    roles, sides = candidate.roles, candidate.sides
    shape = roles.table.shape
    ratings: dict[str, Any] = dict(shape)
    ratings["participant"] = _participant(roles, notes)
    better, titles = dict[str, str](), dict[str, str]()
    if sides:
        responses = _compared(roles, sides, ratings, notes)
        better = dict.fromkeys(ratings["dimensions"], "higher")
        titles = {name: _title(name) for name in ratings["dimensions"]}
    else:
        _rated(roles, ratings, better, titles, notes)
        responses = _responses(roles, others, ratings, notes)
    participants = _participants(roles, others, ratings, notes)
    codebook = {"source": f"{visible(Path(roles.table.file).name)}, as pluralign init read it", "ratings": ratings}
    codebook |= {"participants": participants} if participants else {}
    codebook |= {"responses": responses} if responses else {}
    _tell_left_out(roles, candidate, notes)
    if any(part.startswith("=") or part in candidate.stack_names[-1:] for part in roles.response):
        notes.unclear.append(
            "ratings.stack: whether the columns below each other rate several responses, or are several questions "
            "about one; taken: several responses"
        )
    if any(name.endswith(FIRST_TURN) for name in roles.used):
        notes.assumed.append("of chats, the first question and the first answer are read")
    return Draft(codebook, better, titles, assumed=tuple(notes.assumed), unclear=tuple(notes.unclear))


def _participant(roles: Roles, notes: _Notes) -> Any:
    if roles.participant:
        who = Look(roles.table.columns[roles.participant]) if roles.participant in roles.table.columns else None
        platform = " (a recruitment platform's ids: reports never show them)" if who and who.is_platform else ""
        notes.assumed.append(f"who rated: column '{visible(roles.participant)}'{platform}")
        return roles.participant
    numbers = [name for name in roles.table.columns if name.endswith(".@number")]
    if "stack" in roles.table.shape and not numbers:
        notes.assumed.append("who rated: no column tells, so each row of the file is one person")
        return "@row"
    notes.unclear.append(
        "ratings.participant: no column tells who rated, so each row counts as somebody else: nobody can be known to"
        " have rated twice, and ratings of one person count as of several"
    )
    return ["@row", *numbers[:1]] if numbers else "@row"


def _one_or_list(parts: Sequence[str]) -> Any:
    return parts[0] if len(parts) == 1 else list(parts)


def _rated(
    roles: Roles, ratings: dict[str, Any], better: dict[str, str], titles: dict[str, str], notes: _Notes
) -> None:
    """Puts the dimensions and their scale into the codebook."""
    scale, columns = _common_scale(roles, notes)
    names = _slugs(columns, drop=WORDS_OF_RATINGS)
    if roles.dimension:
        ratings |= {"dimension": roles.dimension, "rating": roles.rating}
        others = [text for text in roles.looks[roles.dimension].column.said if text not in columns]
        ratings["ignored"] = _once(others, columns)
    ratings["dimensions"] = {names[column]: column for column in columns}
    for column, name in names.items():
        better[name], clear = _direction(column, scale)
        titles[name] = _title(name)
        notes.told_direction(name, better[name], clear)
    _put_scale(ratings, scale, notes)
    ratings |= {"attention": roles.attention} if roles.attention else {}
    for column, answer in roles.attention.items():
        notes.assumed.append(
            f"attention check '{visible(column)}': '{visible(answer)}' passes, since eight of ten gave it"
        )
    if roles.dimension:
        ratings.pop("ignored") if not ratings["ignored"] else None


def _put_scale(ratings: dict[str, Any], scale: Scale, notes: _Notes) -> None:
    if scale.numbers is not None:
        ratings["numbers"] = dict(scale.numbers)
    else:
        ratings["labels"] = dict(scale.labels)
    missing = _once([*ratings.get("missing", ()), *scale.missing], scale.labels)
    ratings |= {"missing": missing} if missing else {}
    notes.assumed.append(f"{', '.join(ratings['dimensions'])}: {scale.said or 'labels as they stand'}")
    if scale.unclear:
        notes.unclear.append(f"ratings.labels: {scale.unclear}")


def _once(texts: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The texts, without those that are the same as another or as one that is taken, but for case and blanks."""
    known, kept = set(map(normal, taken)), list[str]()
    for text in texts:
        if normal(text) and normal(text) not in known:
            known.add(normal(text))
            kept.append(text)
    return kept


def _common_scale(roles: Roles, notes: _Notes) -> tuple[Scale, list[str]]:
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
        notes.unclear.append(
            f"ratings.dimensions: {shown} {'has' if len(left) == 1 else 'have'} another scale, and needs a codebook"
            " of its own"
        )
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
    return min(one.categories, other.categories) > 2 and both.categories <= max(one.categories, other.categories) + 1


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


def _slugs(columns: Sequence[str], drop: Sequence[str] = ()) -> dict[str, str]:
    """TextColumn → a name for it in the study; no two the same."""
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


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


# ---- drafts that leave the scale open


def with_scale(draft: Draft, tables: Sequence[UserTable]) -> Draft:
    """A draft of a format that leaves labels to its users, with the labels that the user's tables have, and which
    direction is better where the draft does not say.

    Raises:
        InputError: no dimension has a scale.
    """
    ratings = dict(draft.codebook["ratings"])
    notes = _Notes(list(draft.assumed), list(draft.unclear))
    better = dict(draft.better)
    if "labels" not in ratings and "numbers" not in ratings:
        roles = _of_draft(ratings, tables)
        if not roles.dimensions:
            raise InputError(f"{ratings['file']}: no scale can be seen in {', '.join(map(str, ratings['dimensions']))}")
        scale, columns = _common_scale(roles, notes)
        ratings["dimensions"] = {name: one for name, one in ratings["dimensions"].items() if one in columns}
        if roles.dimension:
            others = [text for text in roles.looks[roles.dimension].column.said if text not in columns]
            ratings["ignored"] = _once([*ratings.get("ignored", ()), *others], columns)
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


# ---- responses


def _responses(roles: Roles, others: Sequence[FlatTable], ratings: dict[str, Any], notes: _Notes) -> dict[str, Any]:
    """The table of responses, as a codebook has it; empty where there is neither a text nor a prompt."""
    if roles.response and not roles.response_text:
        for other in others:
            for ours, key in _shared(roles.table, other):
                found = find_roles(other, response=(key,)) if roles.response == (ours,) else None
                if found and found.response_text and fits(roles.table.columns[ours], other.columns[key]) == 1:
                    ratings["response"] = ours
                    notes.assumed.append(
                        f"texts of responses: '{visible(found.response_text)}' in {visible(other.file)}"
                    )
                    return dict(other.shape) | _texts(found, (key,), notes)
    if not roles.response:
        repeated = roles.participant and len(roles.looks[roles.participant].column.said) < roles.table.rows
        ratings["response"] = OWN_ROW if repeated or not roles.participant else "=all"
        what = (
            "each row counts as a response of its own"
            if ratings["response"] == OWN_ROW
            else "everybody counts as having rated the same"
        )
        notes.unclear.append(f"ratings.response: no column tells which response was rated; {what}")
        if not roles.response_text:
            return {}
    else:
        ratings["response"] = _one_or_list(roles.response)
        shown = " and ".join(f"'{visible(part.lstrip('#='))}'" for part in roles.response)
        how = "the text of" if roles.response[0].startswith("#") else "column"
        notes.assumed.append(f"what was rated: {how} {shown}")
    texts = _texts(roles, ratings["response"], notes)
    return dict(roles.table.shape) | texts if texts else {}


def _texts(roles: Roles, response: Any, notes: _Notes) -> dict[str, Any]:
    parts = [response] if isinstance(response, str) else list(response)
    texts: dict[str, Any] = {"response": _one_or_list(parts)}
    texts |= {"prompt": _one_or_list(roles.prompt)} if roles.prompt else {}
    texts |= {"prompt_text": roles.prompt_text} if roles.prompt_text else {}
    if roles.response_text:
        notes.assumed.append(
            f"texts: response '{visible(roles.response_text)}'"
            + (f", prompt '{visible(roles.prompt_text)}'" if roles.prompt_text else ", no prompt")
        )
        return texts | {"response_text": roles.response_text}
    notes.unclear.append(
        "responses.response_text: no column has the responses' texts; without them nothing can be trained"
    )
    if roles.prompt and not any(part.startswith("=") or "@" in part for part in parts):
        return texts | {"response_text": texts["response"]}
    return {}


def _compared(roles: Roles, sides: Sides, ratings: dict[str, Any], notes: _Notes) -> dict[str, Any]:
    """Puts sides and answers into the codebook; gives the table of responses."""
    shape = roles.table.shape
    name, number = stem_name("response #", roles.table.columns), stem_name("response id #", roles.table.columns)
    asked = roles.prompt_text if roles.prompt_text and roles.looks[roles.prompt_text].share_filled == 1 else ""
    if sides.ids and _ids_tell_texts(roles, sides, asked):
        ratings["sides"] = dict(sides.ids)
        sets = [{number: sides.ids[side], name: text} for side, text in sides.texts.items()]
        own: Any = number
    else:
        ratings["sides"] = {
            side: [f"#{asked}", f"#{text}"] if asked else f"#{text}" for side, text in sides.texts.items()
        }
        sets = [{name: text} for text in sides.texts.values()]
        own = [f"#{asked}", f"#{name}"] if asked else f"#{name}"
    preferences = list(sides.labels)
    names = {column: "preference" for column in preferences} if len(preferences) == 1 else _slugs(preferences)
    ratings["dimensions"] = {names[column]: column for column in preferences}
    labels: dict[str, int | str] = {}
    for one in sides.labels.values():
        labels |= {text: label for text, label in one.items() if normal(text) not in set(map(normal, labels))}
    ratings["labels"] = labels
    missing = _once(sides.missing, labels)
    ratings |= {"missing": missing} if missing else {}
    shown = ", ".join(f"'{visible(column)}'" for column in sides.texts.values())
    notes.assumed.append(f"responses that are compared: {shown}; {sides.said}")
    if sides.unclear:
        notes.unclear.append(f"ratings.labels: {sides.unclear}")
    responses = dict(shape) | {"stack": sets, "response": own}
    responses |= {"prompt": f"#{asked}", "prompt_text": asked} if asked else {}
    return responses | {"response_text": name}


def _ids_tell_texts(roles: Roles, sides: Sides, asked: str) -> bool:
    """Whether an id stands for one text, and one prompt, wherever it stands."""
    columns, known = roles.table.columns, dict[str, tuple[str, str]]()
    for side, own in sides.ids.items():
        text, prompt = columns[sides.texts[side]], columns[asked] if asked else None
        for row in range(roles.table.rows):
            one = columns[own].levels[columns[own].codes[row]]
            said = text.levels[text.codes[row]], prompt.levels[prompt.codes[row]] if prompt else ""
            if known.setdefault(one, said) != said:
                return False
    return True


# ---- participants


def _participants(roles: Roles, others: Sequence[FlatTable], ratings: dict[str, Any], notes: _Notes) -> dict[str, Any]:
    found = _attributes(roles, roles.attributes, notes)
    if roles.participant:
        for other in others:
            key = next((key for ours, key in _shared(roles.table, other) if ours == roles.participant), "")
            theirs = find_roles(other, key) if key else None
            if theirs is None or (theirs.response_text and not theirs.attributes):
                continue
            more = _attributes(theirs, _all_attributes(theirs), notes)
            if more["attributes"] and len(more["attributes"]) >= len(found["attributes"]):
                notes.assumed.append(f"what participants say of themselves: {visible(other.file)}, by '{visible(key)}'")
                return dict(other.shape) | {"participant": key} | more
    if not found["attributes"]:
        notes.unclear.append(
            "participants.attributes: no column says anything about the participants, so no groups can be compared"
        )
        return {}
    return dict(roles.table.shape) | {"participant": ratings["participant"]} | found


def _all_attributes(roles: Roles) -> list[str]:
    """Columns of a table of participants that may say something about them: those by name, and those of few texts."""
    may = ("nothing says what it is", "perhaps a rating, but nothing says so; add it to dimensions if it is one")
    others = [
        name
        for name, look in roles.looks.items()
        if (name in roles.dimensions or roles.left_out.get(name) in may)
        and not look.numeric
        and 2 <= look.distinct <= 12
        and not look.is_nested
        and min(list(look.column.said.values())[:2]) > 1
    ]
    return [name for name in roles.looks if name in roles.attributes or name in others]


def _attributes(roles: Roles, columns: Sequence[str], notes: _Notes) -> dict[str, Any]:
    """`attributes` and `not_declared` of a codebook."""
    attributes: dict[str, Any] = {}
    silent: list[str] = []
    names = _slugs(columns)
    for column in columns:
        if PLATFORM_COLUMN.search(words(column)) or column == roles.participant:
            continue
        own = attribute(roles.looks[column])
        if own is None:
            roles.left_out[column] = "too many different answers, or several kinds of them"
            continue
        attributes[names[column]], unsaid, said = own
        silent += [text for text in unsaid if normal(text) not in set(map(normal, silent))]
        if said:
            notes.assumed.append(f"{names[column]}: {said}")
    return {"attributes": attributes} | ({"not_declared": silent} if silent else {})


def _tell_left_out(roles: Roles, candidate: _Candidate, notes: _Notes) -> None:
    """Which columns are not read, and why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in roles.left_out.items():
        if name not in roles.used and name not in candidate.stack_names and "@" not in name:
            by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        notes.assumed.append(f"not read ({reason}): {', '.join(visible(name) for name in names[:SHOWN])}{more}")
    if roles.notes:
        shown = ", ".join(visible(name) for name in roles.notes[:SHOWN] if name in roles.attributes)
        notes.assumed.append(
            f"the same in all rows of a participant, so taken for what they say of themselves: {shown}"
        )
