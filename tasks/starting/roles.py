"""Which column of a table is what: who rated, what was rated, the texts, the ratings, what people say of themselves.

Both its name and what stands in it count. A column that nothing speaks for is left out: what a codebook doesn't name is
never read.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from configs.codebook import normal
from tasks.ratings.reading.shape import FILE_NAME, NUMBER
from tasks.starting.columns import (
    AGE,
    ATTENTION,
    BIRTH_YEAR,
    DEMOGRAPHIC,
    FREE,
    ITEM,
    NOT_THE_PARTICIPANT,
    PARTICIPANT,
    PROMPT,
    RATED,
    RESPONSE_TEXT,
    TIMES,
    Look,
    determines,
)
from tasks.starting.labels import Scale, scale_of
from tasks.starting.tables import FlatTable

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DIMENSION = re.compile(
    r"\b(questions?|dimensions?|aspects?|criteri(on|a)|attributes?|metrics?|scale|categor(y|ies)|measures?|variables?|traits?|from"
    r" ?name|"
    r"rating ?type|question ?id|names?|quality|kind|frage|kriterium|skala)\b"
)
RATING = re.compile(
    r"\b(ratings?|scores?|values?|answers?|labels?|responses?|grades?|points?|marks?|bewertung|wert|antwort)\b"
)
ID = re.compile(r"\b(ids?|uuid|guid|key|code|pid|hash|nr|no)$")
MOST_ATTRIBUTE_LEVELS, MOST_NAMED_LEVELS = 40, 150
MOST_DIMENSIONS = 30
FIRST_TURN = ".0.content"
"""How the place of what a chat begins with ends."""
MOST_WORDS_OF_A_NAME = 6
FEW_RATERS = 20
"""Fewer show nothing about columns whose names say nothing."""


@dataclass
class Roles:
    """What the columns of a table seem to be; names of columns, several where they are an id together.

    dimensions: name of a column, or the text in `dimension` of a long table, → its scale. left_out: column → why.
    """

    table: FlatTable
    looks: dict[str, Look]
    participant: str = ""
    response: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    prompt_text: str = ""
    response_text: str = ""
    dimension: str = ""
    rating: str = ""
    dimensions: dict[str, Scale] = field(default_factory=dict)
    attributes: list[str] = field(default_factory=list)
    attention: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def used(self) -> set[str]:
        """Every column that has a role."""
        parts = (*self.response, *self.prompt, self.participant, self.prompt_text, self.response_text, self.dimension)
        own = {own_name(part, self.looks) for part in parts if part and not part.startswith("=")} | {self.rating}
        wide = set() if self.dimension else set(self.dimensions)
        return (own | wide | {*self.attributes, *self.attention}) - {""}

    @property
    def score(self) -> float:
        """How much of what a table of ratings has was found."""
        found = 4.0 * bool(self.dimensions) + 3.0 * bool(self.participant) + 2.0 * bool(self.response)
        found += bool(self.response_text) + 0.5 * bool(self.prompt_text) + 0.2 * bool(self.attributes)
        named = any(look.like(RATED) for name, look in self.looks.items() if name in (*self.dimensions, self.rating))
        return found + 0.5 * named


def find_roles(
    table: FlatTable,
    participant: str = "",
    response: Sequence[str] = (),
    items: Sequence[str] = (),
    apart: Iterable[str] = (),
) -> Roles:
    """What a table's columns seem to be.

    participant, response: what they are known to be, from another table that has their ids. items: columns that tell
    rated things apart where no other does. apart: columns that are spoken for.
    """
    looks = {name: Look(column) for name, column in table.columns.items() if name not in set(apart)}
    roles = Roles(table, looks, participant, tuple(response))
    for name, look in looks.items():
        if (reason := "counts" if name.endswith(NUMBER) else _never_read(look)) and name not in roles.used:
            roles.left_out[name] = reason
    roles.participant = participant or _participant(roles)
    roles.left_out.pop(roles.participant, None)
    _find_long(roles)
    _find_texts(roles)
    _find_ids(roles, items)
    if not roles.dimension:
        _find_dimensions(roles)
    _find_attributes(roles)
    return roles


def _never_read(look: Look) -> str:
    if look.name == FILE_NAME:
        return "the name of the file"
    if not look.distinct:
        return "empty"
    if look.is_personal:
        return "personal: addresses, names or places"
    if look.is_time:
        return "times"
    if look.is_nested and not look.like(DEMOGRAPHIC):
        return "lists or objects"
    return ""


def _free(roles: Roles) -> dict[str, Look]:
    """The columns that are nothing yet."""
    return {name: look for name, look in roles.looks.items() if name not in roles.used and name not in roles.left_out}


def _is_id(look: Look) -> bool:
    """Whether its texts can be ids: all there, in one line, short."""
    return (
        look.share_filled == 1
        and look.letters_each <= 80
        and not look.is_nested
        and not any(CONTROL.search(text) for text in look.few)
    )


def _is_a_question(look: Look) -> bool:
    """Whether its name is a sentence that people were asked, whose words say nothing of what the column is."""
    return len(look.words.split()) > MOST_WORDS_OF_A_NAME


# ---- who


def _participant(roles: Roles) -> str:
    looks = {
        name: look
        for name, look in roles.looks.items()
        if _is_id(look) and not look.is_text and (name not in roles.left_out or look.is_platform)
    }
    asked = [look.column for look in roles.looks.values() if look.like(DEMOGRAPHIC) and 1 < look.distinct <= 200]
    scores = {}
    for name, look in looks.items():
        if (
            look.like(NOT_THE_PARTICIPANT)
            or (not ID.search(look.words) and (_on_a_scale(look) or _is_a_question(look)) and not look.numeric)
            or (look.distinct < 2 and look.rows > 1)
            or not (look.like(PARTICIPANT) or look.is_platform)
        ):
            continue
        score = 2.0 * bool(ID.search(look.words)) + 2.0 * bool(
            re.search(r"\b(participant|rater|annotator|worker|respondent)", look.words)
        )
        score -= 2.0 * bool(re.search(r"\b(response id|case id)\b", look.words)) + 3.0 * look.is_platform
        score -= 1.0 * look.unique + 2.0 * (look.like(DEMOGRAPHIC) and not ID.search(look.words))
        scores[name] = score + 0.5 * sum(determines(look.column, column) == 1 for column in asked[:6])
    if scores:
        return max(scores, key=lambda name: scores[name])
    texts = [look.column for look in roles.looks.values() if look.is_text]
    by_answers = {}
    for name, look in looks.items():  # what people say of themselves is the same in all of their rows
        own = [column for column in asked if column.name != name]
        plain = not look.like(DEMOGRAPHIC) and not look.like(PROMPT) and not look.unique and look.distinct > 2
        of_an_item = look.like(ITEM) and not any(determines(look.column, text) < 0.5 for text in texts)
        enough = (len(own) > 1 or (len(own) == 1 and ID.search(look.words))) and not _on_a_scale(look)
        if plain and not of_an_item and enough and all(determines(look.column, column) == 1 for column in own):
            by_answers[name] = look.distinct
    if by_answers:
        return min(by_answers, key=lambda name: by_answers[name])
    return FILE_NAME if FILE_NAME in roles.looks and _is_a_file_each(roles.looks) else ""


def _is_a_file_each(looks: dict[str, Look]) -> bool:
    """Whether files of the same columns are of one rater each: the same texts or ids stand in several, once in each."""
    files = looks[FILE_NAME].column
    for look in looks.values():
        if look.name != FILE_NAME and (look.is_text or look.like(ITEM) or look.words == "id") and look.distinct > 1:
            once = len({*zip(files.codes.tolist(), look.column.codes.tolist(), strict=True)}) >= 0.95 * look.rows
            if once and look.rows >= 1.5 * look.distinct:
                return True
    return False


# ---- long tables


def _find_long(roles: Roles) -> None:
    """A column of a few names of dimensions beside one of ratings, with several rows for a participant and item."""
    free = _free(roles)
    for name, look in free.items():
        if (
            not (look.like(DIMENSION) and 2 <= look.distinct <= MOST_DIMENSIONS and look.share_filled == 1)
            or look.numeric
            or _is_a_question(look)
        ):
            continue
        if any(
            text.is_text and text is not look and determines(look.column, text.column) == 1
            for text in roles.looks.values()
        ):
            continue  # what tells texts apart is rated, and not what is asked about them
        for other, values in free.items():
            if other == name or not values.like(RATING) or values.is_text:
                continue
            scales = scales_by_dimension(look, values)
            if len(scales) > 1:
                roles.dimension, roles.rating, roles.dimensions = name, other, scales
                return


def scales_by_dimension(look: Look, values: Look, sure: bool = True) -> dict[str, Scale]:
    """Long tables: text of the dimension's column → the scale of its ratings; `sure`: only where its order is seen."""
    scales = {}
    for level, text in enumerate(look.column.levels):
        rows = look.column.codes == level
        counts = np.bincount(values.column.codes[rows], minlength=len(values.column.levels))
        own = {one: int(n) for one, n in zip(values.column.levels, counts, strict=True) if n and one.strip()}
        scale = scale_of(own) if text.strip() else None
        if scale is not None and (scale.sure or not sure):
            scales[text] = scale
    return scales


# ---- texts and ids


def _find_texts(roles: Roles) -> None:
    candidates = {}
    for name, look in _free(roles).items():
        free = look.like(FREE) and 2 * look.distinct > look.rows  # what raters remark differs from row to row
        plain = not look.numeric and not free and not look.like(DEMOGRAPHIC) and not look.is_nested
        if plain and look.distinct > 1 and (look.is_text or _names_a_text(look)) and not _on_a_scale(look):
            candidates[name] = look
    of_a_person = roles.looks[roles.participant].column if roles.participant else None
    if of_a_person is not None and len(of_a_person.codes) > len(of_a_person.said):
        candidates = {
            name: look
            for name, look in candidates.items()
            if determines(of_a_person, look.column) < 1
            or determines(look.column, of_a_person) != 1
            or look.like(RESPONSE_TEXT)
        }
    answers = [name for name, look in candidates.items() if look.share_filled == 1]
    named = [name for name in answers if _says(candidates[name], RESPONSE_TEXT) and not _is_prompt(candidates[name])]
    prompts = [name for name, look in candidates.items() if _is_prompt(look)]
    rest = [name for name in answers if name not in named and name not in prompts and candidates[name].is_text]
    if named or rest:
        roles.response_text = max(
            named or rest, key=lambda name: candidates[name].distinct * (1 + candidates[name].is_text)
        )
    others = [name for name in prompts or [*named, *rest] if name != roles.response_text]
    if roles.response_text and not prompts:
        own = candidates[roles.response_text]
        others = [
            name
            for name in others
            if candidates[name].distinct < own.distinct and determines(own.column, candidates[name].column) > 0.9
        ]
    if others:
        roles.prompt_text = max(others, key=lambda name: (candidates[name].is_text, candidates[name].letters_each))
    if roles.prompt_text and not roles.response_text and not prompts:
        roles.response_text, roles.prompt_text = roles.prompt_text, ""
    for name in candidates:
        if name not in (roles.response_text, roles.prompt_text):
            roles.left_out[name] = "texts"


def _names_a_text(look: Look) -> bool:
    last = look.words.split()[-1:] or [""]
    return not ID.search(look.words) and bool(RESPONSE_TEXT.search(last[0]) or PROMPT.search(last[0]))


def _says(look: Look, pattern: re.Pattern[str]) -> bool:
    return look.like(pattern) and not ID.search(look.words)


def _is_prompt(look: Look) -> bool:
    """Whether its name says that it is what was asked; of `prompt_response`, the last word counts."""
    last = look.words.split()[-1:] or [""]
    if look.name.endswith(FIRST_TURN):
        return True
    return not ID.search(look.words) and bool(
        PROMPT.search(last[0]) or (look.like(PROMPT) and not RESPONSE_TEXT.search(last[0]))
    )


def _on_a_scale(look: Look) -> bool:
    scale = scale_of(look.column.said)
    return scale is not None and scale.sure


def _find_ids(roles: Roles, items: Sequence[str]) -> None:
    text = roles.looks[roles.response_text].column if roles.response_text else None
    asked = roles.looks[roles.prompt_text].column if roles.prompt_text else None
    if roles.response:
        _find_prompt(roles)
        return
    scores = {}
    for name, look in _free(roles).items():
        named = look.like(ITEM) or look.words in ("id", "index") or look.words.endswith(" id")
        if not named or not _is_id(look) or look.is_text or (look.distinct < 2 and look.rows > 1):
            continue
        if not ID.search(look.words) and ((look.numeric and look.like(RATED)) or look.like(TIMES) or _on_a_scale(look)):
            continue
        if any(one is not None and determines(look.column, one) < 1 for one in (text, asked)):
            continue
        if text is not None and look.unique and len(text.said) < 0.8 * look.rows:
            continue  # of the rating, not of what was rated
        score = 3.0 * look.like(ITEM) + 2.0 * bool(ID.search(look.words)) - 2.0 * look.unique - 2.0 * look.like(PROMPT)
        scores[name] = score + (1.0 if text is not None and determines(text, look.column) == 1 else 0.0)
    best = max(scores, key=lambda name: scores[name], default="")
    if best and (scores[best] > 0 or not roles.response_text):
        roles.response = (best,)
    if not roles.response and roles.response_text:
        whole = asked is None or roles.looks[roles.prompt_text].share_filled == 1
        roles.response = (
            (f"#{roles.prompt_text}", f"#{roles.response_text}")
            if asked is not None and whole
            else (f"#{roles.response_text}",)
        )
        if asked is not None and not whole and text is not None and determines(text, asked) < 1:
            roles.prompt_text, asked = "", None
    if not roles.response and items:
        roles.response = tuple(items)
    _find_prompt(roles)


def own_name(part: str, looks: Container[str]) -> str:
    """The column that a part of an id means: one may itself be called `#…`, which elsewhere marks a digest."""
    return part if part in looks else part.removeprefix("#")


def _find_prompt(roles: Roles) -> None:
    asked = roles.looks[roles.prompt_text].column if roles.prompt_text else None
    own = [roles.looks[own_name(part, roles.looks)].column for part in roles.response if part[:1] != "="]
    text = roles.looks[roles.response_text].column if roles.response_text else None
    for name, look in _free(roles).items():
        if not (look.like(PROMPT) and ID.search(look.words) and _is_id(look)) or look.is_text:
            continue
        of_response = [one for one in own if determines(one, look.column) == 1]
        if (
            asked is not None
            and text is not None
            and determines(look.column, text) == 1
            and len(text.said) > len(asked.said)
        ):
            continue  # of a response, whatever it is called
        if own and of_response and (asked is None or determines(look.column, asked) == 1):
            roles.prompt = (name,)
            return
    if asked is not None and roles.looks[roles.prompt_text].share_filled == 1:
        roles.prompt = (f"#{roles.prompt_text}",)


# ---- ratings


def _find_dimensions(roles: Roles) -> None:
    who = roles.looks[roles.participant].column if roles.participant else None
    item = [roles.looks[own_name(part, roles.looks)].column for part in roles.response if part[:1] != "="]
    several_rows = who is not None and len(who.said) < len(who.codes)
    several_raters = len(item) == 1 and len(item[0].said) < 0.9 * len(item[0].codes)
    found: dict[str, Scale] = {}
    for name, look in _free(roles).items():
        if ((look.is_text or look.like(FREE)) and not _on_a_scale(look)) or not look.column.filled:
            continue
        named = look.like(RATED)
        if ID.search(look.words) or (look.like(DEMOGRAPHIC) and not named) or look.is_platform:
            continue
        if look.like(TIMES) and not (named and not look.unique):
            continue
        if look.like(ATTENTION):
            _attention(roles, name, look)
            continue
        scale = scale_of(look.column.said)
        if scale is None:
            continue
        if not named and several_rows and who is not None and determines(who, look.column) == 1:
            continue
        if (
            several_raters
            and determines(item[0], look.column) == 1
            and not (named and look.distinct > 1 and len(item[0].codes) < 50)
        ):
            roles.left_out[name] = "the same for all raters of a response"
            continue
        found[name] = scale
    sure = {name: scale for name, scale in found.items() if _speaks_for_itself(roles.looks[name], scale)}
    by_name = {name: scale for name, scale in found.items() if roles.looks[name].like(RATED)}
    chosen = {name: scale for name, scale in sure.items() if name in by_name} or sure or by_name
    for name in found:
        if name not in chosen:
            roles.left_out[name] = "perhaps a rating, but nothing says so; add it to dimensions if it is one"
    roles.dimensions = dict(list(chosen.items())[:MOST_DIMENSIONS])


def _speaks_for_itself(look: Look, scale: Scale) -> bool:
    """Whether what stands there is a scale, whatever it is called, as wordings of one are."""
    if not scale.sure:
        return False
    return look.like(RATED) or scale.numbers is None


def _attention(roles: Roles, name: str, look: Look) -> None:
    """An attention check whose passing answer is plain: eight of ten give the same."""
    answer, n = next(iter(look.column.said.items()))
    if look.share_filled == 1 and 1 < look.distinct <= 12 and n >= 0.8 * look.column.filled:
        roles.attention[name] = answer
    else:
        roles.left_out[name] = "an attention check, whose right answer can't be seen"


# ---- what people say of themselves


def _find_attributes(roles: Roles) -> None:
    who = roles.looks[roles.participant].column if roles.participant else None
    raters = len(who.said) if who is not None else 0
    several_rows = who is not None and raters < len(who.codes)
    for name, look in _free(roles).items():
        own = None if who is None else determines(who, look.column)
        named = look.like(DEMOGRAPHIC)
        if look.is_platform or (ID.search(look.words) and not (named and not look.words.endswith(" id"))):
            roles.left_out[name] = "ids" if not look.is_platform else "a recruitment platform's ids"
        elif look.like(FREE) or (look.is_text and not named):
            roles.left_out[name] = "free text"
        elif look.distinct < 2:
            roles.left_out[name] = "the same everywhere"
        elif own is not None and own < 1:
            if named:
                share = "a participant says different things there"
                roles.left_out[name] = share if own > 0.5 else "differs from row to row of a participant"
            else:
                roles.left_out[name] = "nothing says what it is"
        elif named and _declarable(look):
            roles.attributes.append(name)
        elif not named and several_rows and raters >= FEW_RATERS and _could_be_one(look):
            roles.attributes.append(name)
            roles.notes.append(name)
        else:
            roles.left_out[name] = "times or counts" if look.like(TIMES) else "nothing says what it is"


def _declarable(look: Look) -> bool:
    if look.numeric:
        return look.like(AGE) or look.like(BIRTH_YEAR) or look.distinct <= 12
    return (
        look.distinct <= MOST_NAMED_LEVELS or look.is_nested or any(mark in text for text in look.few for mark in ";|")
    )


def _could_be_one(look: Look) -> bool:
    """Whether a column that is the same in all rows of a participant may be an attribute: a few short texts, many times
    each."""
    counts = list(look.column.said.values())
    few = 2 <= look.distinct <= 12 and not look.numeric and min(counts[:2]) > 1
    return few and not look.like(TIMES) and not look.is_nested and all(len(text) <= 60 for text in look.few)


def is_silent(text: str) -> bool:
    """Whether an answer means: would rather not say."""
    return bool(SILENT.search(normal(text)))


SILENT = re.compile(
    r"prefer not|rather not|decline|not disclose|undisclosed|not say|no answer|keine angabe|k\. ?a\.|möchte ich"
    r" nicht|^n/?a$|consent revoked|"
    r"data expired|^refused$|no response|^unknown$|ne souhaite pas|prefiero no"
)
