"""Validate settings, and tell every fault of them at once: file, line, place, what is wrong, what to type instead."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.errors import Faults, Place, dotted, printable, short, together
from configs.safe_yaml import CURLY, Document, Spot, quoted, reading
from configs.schema import FITTED_LATER, FaultyKey, Frozen

REPLACED_WHOLE = ("ratings", "judge")
"""Choices between alternatives: a study's replaces that of the one that it extends."""
CONTAINERS = ("dict_type", "list_type", "tuple_type", "model_type", "model_attributes_type")
MOST_AT_ONCE = 300
"""Of the faults of a file that has more, the first are looked at: a hundred are told."""
STAND_IN = "x"
"""What is filled in for a missing text."""
SCALARS = (str, int, float, bool, type(None), datetime.date)
Settings = TypeVar("Settings", bound=Frozen)


@dataclass(frozen=True)
class Layer:
    """A document and where in the settings it stands; of two layers, the first in their order counts.

    file: how its faults begin. option: how it is given on the command line, where it is. An override of whose text
    nothing is known has no document.
    """

    file: str
    document: Document | None = None
    at: Place = ()
    option: str = ""

    def find(self, place: Place) -> Spot:
        """The value at a place of the settings, or what is nearest above it in this document."""
        shared = min(len(self.at), len(place))
        if self.at[:shared] != place[:shared]:
            return Spot(0)
        if self.document is None or shared < len(self.at):
            return Spot(shared if shared < len(self.at) else len(place))
        spot = self.document.find(place[shared:])
        return Spot(shared + spot.depth, None if self.option else spot.line, spot.key, spot.text)


@dataclass(frozen=True)
class _Fault:
    """place: where in the settings. file, number: where its line begins. mended: whether what stands there could be put
    right, so that all else that depends on it can be checked."""

    place: Place
    file: str
    number: int | None
    text: str
    mended: bool = True

    @property
    def line(self) -> str:
        return ": ".join([self.file, *([f"line {self.number}"] if self.number else []), self.text])


def validate(model: type[Settings], raw: dict[str, Any], name: str, layers: Sequence[Layer] = ()) -> Settings:
    """The settings. `name`: how faults begin that no layer holds.

    Pydantic checks the parts of a model together only where each is right. So what is wrong is put right as far as
    that can be done (a key left out that there is none of, a text quoted), or left out, or filled in, and the rest is
    checked again; of what comes then, faults around a place that was left out or filled in may follow from that and are
    not told.

    Raises:
        InputError: all faults, as `together` puts them.
    """
    told: list[_Fault] = []
    settings = None
    rest = raw
    while True:
        found, mended = list[_Fault](), rest
        try:
            settings = model.model_validate(rest, context=FITTED_LATER)
            found = [_fault(place, text, name, layers, _of_list(place)) for place, text in _misfits(settings, ())]
        except ValidationError as error:
            errors = [(_present(rest, details), details) for details in error.errors()[:MOST_AT_ONCE]]
            keys = [place for place, details in errors if _of_key(details)]
            for place, details in errors:
                if any(place[: len(key)] == key and place != key for key in keys):
                    continue  # it comes again once the key is a text
                mended, whole = _mended(mended, place, details, layers)
                if details["type"] == "missing" and place not in [fault.place for fault in told]:
                    mended = _changed(mended, place, lambda parent, key: parent.update({key: STAND_IN}))
                found += [replace(fault, mended=whole) for fault in _faults(place, details, name, layers)]
                if details["type"] == "too_short" and any(fault.place[: len(place)] == place for fault in found[:-1]):
                    found.pop()  # without its faulty items
        left_out = [fault.place for fault in told if not fault.mended]
        told += [fault for fault in found if not any(_on_one_way(fault.place, place) for place in left_out)]
        if mended is rest or len(told) >= MOST_AT_ONCE:
            break
        rest = mended
    # what is added to the settings before they are checked repeats what stands elsewhere
    told = [fault for fault in told if any(_is_given(one, fault.place) for one in (raw, rest))] or told
    places = {fault.place for fault in told}
    for layer in layers:
        doubts = islice(layer.document.doubts(), MOST_AT_ONCE) if layer.document else ()
        told += [_fault((*layer.at, *at), text, name, [layer]) for at, text in doubts if (*layer.at, *at) not in places]
    if settings is not None:
        told += _truth_values_for_numbers(settings, name, layers)
    if told or settings is None:
        files = list(dict.fromkeys(fault.file for fault in told))
        told.sort(key=lambda fault: (files.index(fault.file), fault.number or 0))
        raise together(name, [fault.line for fault in told])
    return settings


def fault_line(place: Place, text: str, name: str, layers: Sequence[Layer]) -> str:
    """`FILE: line N: place: text`, as `validate` tells a fault."""
    return _fault(place, text, name, layers).line


def named_in(place: Place, layers: Sequence[Layer]) -> str:
    """`FILE: line N: ` of what stands at a place, where that is in a file; it begins the line of what it names."""
    spot, layer = _nearest(place, layers)
    return f"{layer.file}: line {spot.line}: " if layer and spot.line else ""


def _on_one_way(place: Place, other: Place) -> bool:
    """Whether one is above the other, or both are the same."""
    return all(a == b for a, b in zip(place, other, strict=False))


def _is_given(raw: Any, place: Place) -> bool:
    """Whether settings hold what a place lies in."""
    for part in place[:-1]:
        of_list = isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        if not of_list and not (isinstance(raw, dict) and part in raw):
            return False
        raw = raw[part]
    return True


def _misfits(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    """What does not fit together in settings and in all settings within them."""
    if isinstance(value, Frozen):
        faults = Faults()
        value.find_faults(faults)
        yield from (((*place, *below), text) for below, text in faults.found)
        parts: list[tuple[Any, Any]] = [*value]
    elif isinstance(value, dict):
        parts = [*value.items()]
    else:
        parts = [*enumerate(value)] if isinstance(value, tuple) else []
    for key, part in parts:
        yield from _misfits(part, (*place, key))


def _of_list(place: Place) -> Place:
    """The place of the list, for an item, which the text shows."""
    return place[:-1] if place and isinstance(place[-1], int) else place


def _truth_values_for_numbers(settings: Frozen, name: str, layers: Sequence[Layer]) -> Iterator[_Fault]:
    """Pydantic takes true for 1, and YAML takes yes for true."""
    for layer in layers:
        for at, text in layer.document.truth_values() if layer.document else ():
            place = (*layer.at, *at)
            value: Any = settings
            for part in place:
                if isinstance(value, Frozen):
                    value = getattr(value, str(part), None)
                elif isinstance(value, dict):
                    value = value.get(part)
                else:
                    inside = isinstance(value, tuple) and isinstance(part, int) and part < len(value)
                    value = value[part] if inside else None
            if isinstance(value, int | float) and not isinstance(value, bool) and _nearest(place, layers)[1] is layer:
                shown = f"{printable(text)}: YAML reads a truth value; a number is wanted"
                yield _fault(place, shown, name, layers)


# ---- what is wrong


def _faults(place: Place, error: ErrorDetails, name: str, layers: Sequence[Layer]) -> Iterator[_Fault]:
    """The faults that one of pydantic's errors tells."""
    value, kind = error["input"], error["type"]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Faults):
        for below, text in cause.found:
            whole = (*place, *below)
            yield _fault(whole, text, name, layers, _of_list(whole))
    elif isinstance(value, FaultyKey):
        *parents, last = place
        place = (*parents, *value.below) if value.below else place
        spot, _ = _nearest(place, layers)
        glued = spot.depth == len(place) and spot.text == "" and value.known_before_colon(str(last))
        hint = f"; a blank is missing after the colon? write {str(last).replace(':', ': ', 1)}" if glued else ""
        yield _fault(place, str(value) + hint, name, layers, tuple(parents))
    elif _of_key(error):
        spot, _ = _nearest(place, layers)
        if kind in ("string_type", "invalid_key"):
            what = spot.key if spot.depth == len(place) and spot.key is not None else str(place[-1])
            text = f"key {printable(what)}: YAML reads {reading(place[-1])}; write {quoted(what)}"
        else:
            text = f"key: {error['msg']}, got {short(value)}"
        yield _fault(place, text, name, layers, place[:-1])
    else:
        for text in _message(place, error, layers).split("\n"):
            yield _fault(place, text, name, layers)


def _message(place: Place, error: ErrorDetails, layers: Sequence[Layer]) -> str:
    """What is wrong with a value, what stands there, what to type."""
    value, kind, message = error["input"], error["type"], error["msg"].removeprefix("Value error, ")
    spot, layer = _nearest(place, layers)
    text = spot.text if spot.depth == len(place) else None
    if kind in ("value_error", "missing"):
        return message
    if kind == "string_type" and isinstance(value, SCALARS) and text is not None:
        write = quoted(text)
        if layer and layer.option and layer.at == place:
            write = f"{layer.option} '{dotted(place)}={write}'"
        if text == "":
            return f"nothing stands here, where a text is wanted; an empty text is {write}"
        return f"{printable(text)}: YAML reads {reading(value)}; write {write}"
    if kind == "union_tag_not_found":
        return f"{error['ctx']['discriminator'].strip(chr(39))}: Field required"
    message += f", got {short(value)}"
    if isinstance(value, str) and kind in ("int_parsing", "float_parsing"):
        message += _as_number(value, whole=kind == "int_parsing")
    return message


def _as_number(text: str, whole: bool) -> str:
    """What to type for a text that was meant as a number."""
    if text.strip(CURLY) != text:
        return f"; curly quotes are letters to YAML; write {printable(text.strip(CURLY))}"
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return ""
    if whole:
        return f"; write {int(number)}" if number.is_integer() and abs(number) < 1e15 else ""
    return f"; write {number!r}"


def _fault(place: Place, text: str, name: str, layers: Sequence[Layer], shown: Place | None = None) -> _Fault:
    """A fault whose line shows its place, or another, as it is within the file."""
    spot, layer = _nearest(place, layers)
    above = len(layer.at) if layer and layer.document and not layer.option else 0
    where = dotted((place if shown is None else shown)[above:])
    return _Fault(place, layer.file if layer else name, spot.line, ": ".join(filter(None, [where, text])))


def _nearest(place: Place, layers: Sequence[Layer]) -> tuple[Spot, Layer | None]:
    """What comes nearest to a place in all layers, and in which it stands."""
    best, owner = Spot(0), None
    for layer in layers:
        spot = layer.find(place)
        if spot.depth > best.depth:
            best, owner = spot, layer
        if best.depth and place[0] in REPLACED_WHOLE and not layer.at:
            break
    return best, owner


# ---- what is checked again without it


def _present(raw: Any, error: ErrorDetails) -> Place:
    """Where pydantic found a fault, by the keys of the file: without the kind of judge that it names in between, and
    without its mark of a key."""
    loc = error["loc"][:-1] if error["loc"] and error["loc"][-1] == "[key]" else error["loc"]
    place: list[str | int] = []
    for part in loc:
        if isinstance(raw, dict):
            if part not in raw and part == raw.get("kind", "embedded") and place[-1:] == ["judge"]:
                continue
            part = next((key for key in raw if _same_key(key, part)), part)
            raw = raw.get(part)
        else:
            raw = raw[part] if isinstance(raw, list) and isinstance(part, int) and part < len(raw) else None
        place.append(part)
    return tuple(place)


def _of_key(error: ErrorDetails) -> bool:
    """Whether a key is wrong, not its value."""
    return error["type"] == "invalid_key" or error["loc"][-1:] == ("[key]",)


def _same_key(key: object, part: str | int) -> bool:
    """Whether pydantic means this key: it has those that are no text as Python writes them."""
    if isinstance(key, str) and isinstance(part, str):
        return key == part
    return not isinstance(key, str) and (repr(key) == part or key == part)


def _mended(raw: Any, place: Place, error: ErrorDetails, layers: Sequence[Layer]) -> tuple[Any, bool]:
    """The settings without a fault, and whether nothing else changes by that; as they are where that can't be."""
    value, kind = error["input"], error["type"]
    spot, _ = _nearest(place, layers)
    exact = spot.depth == len(place)
    if isinstance(value, FaultyKey):
        place = (*place[:-1], *value.below) if value.below else place
        return _changed(raw, place, lambda parent, key: parent.pop(key, None)), True
    if _of_key(error):
        if kind not in ("string_type", "invalid_key"):
            return raw, False
        name = spot.key if exact and spot.key is not None else str(place[-1])
        return _changed(
            raw, place, lambda parent, key: parent.update({name: parent.pop(key)} if key in parent else {})
        ), True
    if not isinstance(value, SCALARS) or kind in CONTAINERS:
        return raw, False
    if kind == "string_type":
        text = spot.text if exact and spot.text is not None else str(value)
        return _changed(raw, place, lambda parent, key: parent.__setitem__(key, text)), True
    return _changed(raw, place, lambda parent, key: parent.pop(key, None) if isinstance(parent, dict) else None), False


def _changed(raw: Any, place: Place, change: Any) -> Any:
    """A copy in which `change(parent, key)` was done at a place; the same where there is no such place."""
    if not place:
        return raw
    key, *rest = place
    if isinstance(raw, dict):
        inside = key in raw or not rest
    else:
        inside = isinstance(raw, list) and isinstance(key, int) and key < len(raw)
    if not inside:
        return raw
    copy = raw.copy()
    if rest:
        below = _changed(raw[key], tuple(rest), change)
        if below is raw[key]:
            return raw
        copy[key] = below
    else:
        change(copy, key)
        if copy == raw:
            return raw
    return copy
