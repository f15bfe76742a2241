"""A draft of a codebook for tables of any kind, from the names of their columns and what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from configs.codebook import PLATFORM_COLUMN, normal
from configs.errors import InputError
from tasks.ratings.reading.rejected import visible
from tasks.starting.attributes import attribute
from tasks.starting.candidates import Candidate, as_it_stands, below_each_other, candidates, shared_ids
from tasks.starting.columns import PROMPT, Look, fits, words
from tasks.starting.comparisons import Sides
from tasks.starting.dimensions import SHOWN, WORDS_OF_QUESTIONS, Notes, each_once, put_dimensions, slugs, title_of
from tasks.starting.draft import Draft, UserTable
from tasks.starting.indices import stem_name
from tasks.starting.roles import FIRST_TURN, Roles, find_roles, own_name
from tasks.starting.tables import FlatTable

YES_OR_NO = frozenset({"true", "false", "yes", "no", "0", "1", "ja", "nein", "t", "f", "y", "n"})
MOST_FLAGS = 6
"""So many columns of yes and no about participants are read; more are those of a list of boxes to tick."""
OWN_ROW = "row@row"
"""Each row's own response: `@row` alone may be the participant."""


def general_draft(tables: Sequence[UserTable]) -> Draft:
    """The draft.

    Raises:
        InputError: no column of any table can be told to hold ratings or preferences.
    """
    notes = Notes()
    tables = below_each_other(tables, notes)
    plain = {id(table): as_it_stands(table) for table in tables}
    best: tuple[UserTable, Candidate] | None = None
    for table in tables:
        others = [plain[id(other)] for other in tables if other is not table]
        for candidate in candidates(table, plain[id(table)], others):
            if best is None or candidate.score > best[1].score:
                best = table, candidate
    if best is None:
        raise InputError(_nothing_found(tables, plain.values()))
    table, candidate = best
    others = [plain[id(other)] for other in tables if other is not table]
    return _draft(candidate, others, notes)


def _nothing_found(tables: Sequence[UserTable], flats: Iterable[FlatTable]) -> str:
    files = ", ".join(dict.fromkeys(str(table.path) for table in tables))
    return (
        f"{files}: no column seems to hold ratings or preferences: numbers or words of a scale, in a column called"
        " such as rating, score or toxicity, or responses side by side with the one that is preferred. A codebook of"
        " your own says where they are: see configs/codebooks/template.yaml"
    )


def _draft(candidate: Candidate, others: Sequence[FlatTable], notes: Notes) -> Draft:
    roles, sides = candidate.roles, candidate.sides
    shape = roles.table.shape
    ratings: dict[str, Any] = dict(shape)
    ratings["participant"] = _participant(roles, notes)
    better, titles = dict[str, str](), dict[str, str]()
    if sides:
        responses = _compared(roles, sides, ratings, notes)
        better = dict.fromkeys(ratings["dimensions"], "higher")
        titles = {name: title_of(name) for name in ratings["dimensions"]}
    else:
        put_dimensions(roles, ratings, better, titles, notes)
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


def _participant(roles: Roles, notes: Notes) -> Any:
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


# ---- responses


def _responses(roles: Roles, others: Sequence[FlatTable], ratings: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The table of responses, as a codebook has it; empty where there is neither a text nor a prompt."""
    if roles.response and not roles.response_text:
        for other in others:
            for ours, key in shared_ids(roles.table, other):
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
        shown = " and ".join(f"'{visible(own_name(part, roles.looks).removeprefix('='))}'" for part in roles.response)
        how = "the text of" if roles.response[0].startswith("#") else "column"
        notes.assumed.append(f"what was rated: {how} {shown}")
    texts = _texts(roles, ratings["response"], notes)
    return dict(roles.table.shape) | texts if texts else {}


def _texts(roles: Roles, response: Any, notes: Notes) -> dict[str, Any]:
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


def _compared(roles: Roles, sides: Sides, ratings: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Puts sides and answers into the codebook; gives the table of responses."""
    shape = roles.table.shape
    name, number = stem_name("response #", roles.table.columns), stem_name("response id #", roles.table.columns)
    asked = roles.prompt_text if roles.prompt_text and roles.looks[roles.prompt_text].share_filled == 1 else ""
    beside = roles.looks.get(roles.response_text)  # a text that is no side: what was asked is the longer of two
    if asked and beside and beside.share_filled == 1 and not roles.looks[asked].like(PROMPT):
        asked = max(asked, beside.name, key=lambda name: roles.looks[name].letters_each)
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
    names = {column: "preference" for column in preferences} if len(preferences) == 1 else slugs(preferences)
    ratings["dimensions"] = {names[column]: column for column in preferences}
    labels: dict[str, int | str] = {}
    for one in sides.labels.values():
        labels |= {text: label for text, label in one.items() if normal(text) not in set(map(normal, labels))}
    ratings["labels"] = labels
    missing = each_once(sides.missing, labels)
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


def _participants(roles: Roles, others: Sequence[FlatTable], ratings: dict[str, Any], notes: Notes) -> dict[str, Any]:
    found = _attributes(roles, roles.attributes, notes)
    if roles.participant:
        for other in others:
            key = next((key for ours, key in shared_ids(roles.table, other) if ours == roles.participant), "")
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


def _without_boxes(roles: Roles, chosen: Sequence[str]) -> list[str]:
    """Without columns of yes and no that are boxes of a list to tick: many, or called after another of the columns."""
    flags = [name for name in chosen if {*map(normal, roles.looks[name].column.said)} <= YES_OR_NO]
    names = [roles.looks[name].words for name in chosen if name not in flags]
    if len(flags) <= MOST_FLAGS:  # those that repeat another column's answers say nothing more
        flags = [name for name in flags if any(roles.looks[name].words.startswith(f"{whole} ") for whole in names)]
    roles.left_out |= dict.fromkeys(flags, "one of many columns of yes and no; add those that you want to attributes")
    return [name for name in chosen if name not in flags]


def _attributes(roles: Roles, columns: Sequence[str], notes: Notes) -> dict[str, Any]:
    """`attributes` and `not_declared` of a codebook."""
    columns = _without_boxes(roles, columns)
    attributes: dict[str, Any] = {}
    silent: list[str] = []
    names = slugs(columns, drop=WORDS_OF_QUESTIONS)
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


def _tell_left_out(roles: Roles, candidate: Candidate, notes: Notes) -> None:
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
