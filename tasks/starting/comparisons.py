"""Tables in which two responses or more are compared: which columns are the sides, and what the answers mean."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.codebook import TIE, normal
from tasks.ratings.reading.columns import as_number
from tasks.ratings.reading.rejected import visible
from tasks.starting.columns import RATED, RESPONSE_TEXT, Look, words
from tasks.starting.indices import index_groups, with_same_indices
from tasks.starting.labels import NO_ANSWER, scale_of
from tasks.starting.roles import ID

PREFERENCE = re.compile(
    r"\b(prefer\w*|winner|win|choices?|chosen|choose|better|best|selected|selection|vote|verdict|labels?|judge?ment|comparison|rating|score|"
    r"annotation|answer|outcome|magnitude|strength|bevorzugt\w*|besser\w*|wahl)\b"
)
TIED = re.compile(
    r"^(tie|tied|ties|equal|equally good|same|both|neither|none|draw|no preference|about the same|the same|both"
    r" good|both bad|tie \(?both ?bad\)?|"
    r"similar|equally bad|unentschieden|gleich|gleich gut|=|a=b|both are good|both are bad|both equal|no"
    r" difference|indifferent)$"
)
SLIGHT = re.compile(r"\b(slight\w*|somewhat|marginal\w*|a bit|a little|little|weak\w*|etwas|eher)\b")
MUCH = re.compile(
    r"\b(much|significant\w*|far|clear\w*|strong\w*|very|a lot|definite\w*|considerabl\w*|viel|deutlich|stark)\b"
)
ALIKE = (
    ("a", "1", "first", "left", "one"),
    ("b", "2", "second", "right", "two"),
    ("c", "3", "third"),
    ("d", "4", "fourth"),
)
MOST_SIDES, MOST_ANSWERS = 8, 25
MOSTLY = 0.9
"""Share of rows."""


@dataclass(frozen=True)
class Sides:
    """Responses that a row compares. texts, ids: side → column. labels: column → its text → side, tie or category.

    said, unclear: a sentence each, "" if there is nothing to say.
    """

    texts: Mapping[str, str]
    ids: Mapping[str, str]
    labels: Mapping[str, Mapping[str, int | str]]
    missing: tuple[str, ...] = ()
    said: str = ""
    unclear: str = ""

    @property
    def columns(self) -> set[str]:
        return {*self.texts.values(), *self.ids.values(), *(name for name in self.labels if not name.startswith("="))}


@dataclass(frozen=True)
class Beside:
    """Columns of several responses in a row, each of which is rated: name that they go by → index → column."""

    columns: Mapping[str, Mapping[str, str]]
    text: str = ""


def find_sides(looks: Mapping[str, Look]) -> Sides | None:
    """The sides that a table's rows compare; None where they compare nothing."""
    groups = index_groups(looks)
    for stem, group in groups.items():
        own = [looks[name] for name in group.values()]
        if not 2 <= len(group) <= MOST_SIDES or not all(map(_is_side, own)) or ID.search(stem.replace("#", "").strip()):
            continue
        if own[0].share_of_rows_like(own[1]) > MOSTLY:
            continue  # the same on all sides: what was asked
        alike = with_same_indices(groups, stem)
        ids = next((one for other, one in alike.items() if other != stem and _are_ids(looks, one)), {})
        if {"chosen", "rejected"} <= set(group):
            texts = {side: group[side] for side in ("chosen", "rejected")}
            labels = {"=chosen": {"chosen": "chosen", "rejected": "rejected"}}
            return Sides(
                texts,
                {side: ids[side] for side in texts} if ids else {},
                labels,
                said="the chosen response is preferred",
            )
        names = {index: index if not index.isdecimal() else f"response-{index}" for index in group}
        aliases = {names[index]: _aliases(index, column, place) for place, (index, column) in enumerate(group.items())}
        found, notes, missing = dict[str, Mapping[str, int | str]](), list[tuple[str, str]](), set[str]()
        indexed = {name for one in alike.values() for name in one.values()}
        for name, look in looks.items():
            if look.like(PREFERENCE) and name not in indexed and 0 < look.distinct <= MOST_ANSWERS:
                answers = [
                    text for text in look.column.said if normal(text) not in NO_ANSWER or TIED.match(normal(text))
                ]
                read = _read(answers, aliases)
                if read is not None and (not found or set(read[0]) == set(next(iter(found.values())))):
                    found[name] = read[0]
                    notes.append(read[1:])
                    missing |= set(look.column.said) - set(answers)
        if found:
            said, unclear = notes[0]
            texts = {names[index]: column for index, column in group.items()}
            return Sides(
                texts,
                {names[index]: column for index, column in ids.items()},
                found,
                tuple(sorted(missing)),
                said,
                unclear,
            )
    return None


def find_stack(looks: Mapping[str, Look]) -> Beside | None:
    """Columns of ratings, and perhaps of texts or ids, of several responses in a row."""
    groups = index_groups(looks)
    for stem, group in groups.items():
        own = [looks[name] for name in group.values()]
        if not _are_ratings(own) or ID.search(stem):
            continue
        alike = with_same_indices(groups, stem)
        texts = {other: one for other, one in alike.items() if all(_is_side(looks[name]) for name in one.values())}
        ids = {other: one for other, one in alike.items() if _are_ids(looks, one)}
        ratings = {other: one for other, one in alike.items() if _are_ratings([looks[name] for name in one.values()])}
        named = any(look.like(RATED) for look in own)
        if texts or ids or (named and len(group) >= 2) or len(group) >= 5:
            return Beside({**texts, **ids, **ratings}, next(iter(texts), ""))
    return None


def _is_side(look: Look) -> bool:
    texts = (
        not look.numeric
        and look.share_filled == 1
        and (look.is_text or look.like(RESPONSE_TEXT) or len(look.words) == 1)
    )
    return (texts and not ID.search(look.words) and scale_of(look.column.said) is None) or (texts and look.is_text)


def _are_ratings(looks: Sequence[Look]) -> bool:
    """Whether columns hold ratings on one scale; in some of them everybody may have said the same."""
    together: Counter[str] = Counter()
    for look in looks:
        together.update(look.column.said)
    scale = scale_of(together)
    plain = all(look.distinct and not ID.search(look.words) for look in looks)
    return scale is not None and scale.sure and plain and 2 * sum(map(_is_rating, looks)) >= len(looks)


def _is_rating(look: Look) -> bool:
    scale = scale_of(look.column.said) if look.distinct else None
    return scale is not None and scale.sure and not ID.search(look.words) and not look.unique


def _are_ids(looks: Mapping[str, Look], group: Mapping[str, str]) -> bool:
    return all(
        ID.search(re.sub(r"\W*\d+$", "", looks[name].words)) or ID.search(looks[name].words) for name in group.values()
    ) and all(looks[name].share_filled == 1 and not looks[name].is_text for name in group.values())


def _aliases(index: str, column: str, place: int) -> set[str]:
    """What an answer may call a side."""
    own = next((set(alike) for alike in ALIKE if index in alike), {index})
    letters = {index} | (own if place < len(ALIKE) and index in ALIKE[place] else set())
    prefixes = (
        "response",
        "model",
        "assistant",
        "option",
        "answer",
        "output",
        "completion",
        "text",
        "summary",
        "candidate",
        "antwort",
    )
    return {
        words(column),
        normal(column),
        *letters,
        *(f"{prefix} {letter}" for prefix in prefixes for letter in letters),
    }


Read = tuple[Mapping[str, int | str], str, str]


def _read(answers: Sequence[str], aliases: Mapping[str, set[str]]) -> Read | None:
    """Label → side, tie or category, what was assumed, what could not be seen; None where answers are no choice."""
    if not answers or len(answers) > MOST_ANSWERS:
        return None
    exact = {text: _side(text, aliases) for text in answers}
    if all(math.isfinite(as_number(text)) for text in answers):
        return _of_numbers(answers, list(aliases))
    if None not in exact.values():
        labels = {text: str(side) for text, side in exact.items()}
        if not set(labels.values()) - {TIE}:
            return None
        return _all_sides(labels, list(aliases)), f"{_listed(labels)}", ""
    return _of_strengths(answers, aliases) if len(aliases) == 2 else None


def _all_sides(labels: Mapping[str, str], sides: Sequence[str]) -> dict[str, int | str]:
    """The labels, and those of sides that nobody chose; a codebook needs two."""
    own: dict[str, int | str] = dict(labels)
    if len(own) < 2:
        own |= {side: side for side in sides if side not in own.values() and side not in map(normal, own)}
    return own


def _side(text: str, aliases: Mapping[str, set[str]]) -> str | None:
    plain, spaced = normal(text), words(text)
    if TIED.match(plain) or TIED.match(spaced):
        return TIE
    own = [side for side, names in aliases.items() if plain in names or spaced in names]
    return own[0] if len(own) == 1 else None


def _listed(labels: Mapping[str, object]) -> str:
    return ", ".join(
        f"'{visible(text)}' prefers {side}" if side != TIE else f"'{visible(text)}' is a tie"
        for text, side in labels.items()
    )


def _of_numbers(answers: Sequence[str], sides: Sequence[str]) -> Read | None:
    values = {text: as_number(text) for text in answers}
    if not all(value.is_integer() and abs(value) <= 10 for value in values.values()):
        return None
    whole = {text: int(value) for text, value in values.items()}
    low, high, n = min(whole.values()), max(whole.values()), len(sides)
    if low < 0 and n == 2:
        reach = max(-low, high)
        labels: dict[str, int | str] = {str(number): reach - number + 1 for number in range(-reach, reach + 1)}
        unclear = f"whether {-reach} or {reach} prefers {sides[0]}; taken: {-reach} does"
        return _with_spellings(labels, whole), f"numbers from {-reach} to {reach}, 0 a tie", unclear
    if low >= 0 and high <= n and (low, high) != (0, n) and not (low == 0 and high < n - 1 and n > 2):
        start = 0 if low == 0 else 1
        chosen: dict[str, int | str] = {str(start + place): side for place, side in enumerate(sides)}
        unclear = f"whether {start} means {sides[0]}; taken: it does" if start == 0 else ""
        return _with_spellings(chosen, whole), f"{start} prefers {sides[0]}, {start + 1} {sides[1]}", unclear
    if low == 0 and high == n:
        chosen = {"0": TIE, **{str(place): side for place, side in enumerate(sides, 1)}}
        return (
            _with_spellings(chosen, whole),
            f"1 prefers {sides[0]}, 2 {sides[1]}",
            "whether 0 is a tie; taken: it is",
        )
    if low >= 1 and n == 2:
        most = max(high, 5)
        labels = {str(number): most - number + 1 for number in range(1, most + 1)}
        unclear = f"whether 1 or {most} prefers {sides[0]}; taken: 1 does"
        return _with_spellings(labels, whole), f"numbers from 1 to {most}", unclear
    return None


def _with_spellings(labels: dict[str, int | str], whole: Mapping[str, int]) -> dict[str, int | str]:
    known = set(map(normal, labels))
    return labels | {text: labels[str(number)] for text, number in whole.items() if normal(text) not in known}


def _of_strengths(answers: Sequence[str], aliases: Mapping[str, set[str]]) -> Read | None:
    """`A is slightly better`, `B>>A`."""
    signed = {}
    for text in answers:
        plain = normal(text)
        if (
            TIED.match(plain)
            or re.search(r"\b(about the same|equally|no preference|equal|tie)\b", plain)
            or re.fullmatch(r"\w+\s*=\s*\w+", plain)
        ):
            signed[text] = 0
            continue
        compared = re.fullmatch(r"[\[(]*\s*(.+?)\s*(>+|<+)\s*(.+?)\s*[\])]*", plain)
        if compared:
            one, mark, other = compared.groups()
            side, strength = _side(one if mark[0] == ">" else other, aliases), len(mark)
        else:
            places: dict[str, int] = {}
            for name, own in aliases.items():
                hits = [
                    match.start()
                    for alias in own
                    if (match := re.search(rf"(?<!\w){re.escape(alias)}(?!\w)", words(text)))
                ]
                places |= {name: min(hits)} if hits else {}
            side = min(places, key=lambda name: places[name]) if places else None
            strength = 1 if SLIGHT.search(plain) else 3 if MUCH.search(plain) else 2
        if side in (None, TIE):
            return None
        signed[text] = strength if side == next(iter(aliases)) else -strength
    strengths = sorted({abs(one) for one in signed.values()} - {0})
    if not strengths:
        return None
    if len(strengths) == 1:
        first, second = aliases
        labels: dict[str, str] = {
            text: TIE if not one else first if one > 0 else second for text, one in signed.items()
        }
        return _all_sides(labels, list(aliases)), _listed(labels), ""
    ladder = [-one for one in reversed(strengths)] + ([0] if 0 in signed.values() else []) + strengths
    ranks: dict[str, int | str] = {text: ladder.index(one) + 1 for text, one in signed.items()}
    first, second = aliases
    for place, one in enumerate(ladder, 1):
        if place not in ranks.values():
            ranks[f"({first if one > 0 else second} preferred, strength {abs(one)})"] = place
    ordered = dict(sorted(ranks.items(), key=lambda item: int(item[1])))
    return ordered, f"the order {' < '.join(map(visible, ordered))}, the highest for {first}", ""
