"""The exceptions that mean: what the user gave can't be used as it is; what a command needs is not there."""

import re
from collections.abc import Iterable
from reprlib import Repr

_REPR = Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 2, 80, 80
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = _REPR.maxset = 4


class InputError(ValueError):
    """Bad settings or bad data: a line that names the place, the value and what is allowed; one for each fault."""


class Unavailable(RuntimeError):
    """What a command needs, such as a server, does not answer: a line that names it and says why."""


def short(value: object) -> str:
    """A value as Python writes it, cut where it is long or deep, for a message."""
    return _REPR.repr(value)


def one_of(place: str, value: object, allowed: Iterable[object]) -> InputError:
    """`PLACE: unknown VALUE; allowed: A, B` as an `InputError`, with the allowed values in their given order."""
    text = short(value if isinstance(value, str) else short(value))
    return InputError(f"{place}: unknown {text}; allowed: {', '.join(map(str, allowed)) or 'none'}")


def without_credentials(text: str) -> str:
    """A text whose addresses have no user and no password: `http://me:secret@host/api` → `http://host/api`."""
    return re.sub(r"(?:(?<=://)|^)[^/\s]*@", "", text)
