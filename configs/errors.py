"""The exceptions that mean: what the user gave can't be used as it is; what a command needs is not there."""

import logging
import re
from collections.abc import Iterable, Sequence
from functools import cache
from reprlib import Repr

log = logging.getLogger(__name__)

_REPR = Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 2, 80, 80
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = _REPR.maxset = 4
_LOGIN = re.compile(r"""(://|^(?![A-Za-z][\w+.-]*://))(?!/)[^\s'"`]*@""")
BELOW = "\n  "
"""What stands between the lines of several faults."""
LONGEST = 4000
"""Characters of a line of `together`."""
MOST_FAULTS = 100
"""How many are told of a file that has more."""
Place = tuple[str | int, ...]
"""Keys and positions that lead to a value in settings."""


class InputError(ValueError):
    """Bad settings or bad data: a line that names the place, the value and what is allowed; one for each fault.

    Its lines may quote what a file holds: they have no character that a terminal takes for a command.
    """

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(printable(line, LONGEST) for line in message.split("\n")))


class Faults(ValueError):
    """What is wrong with settings: collected, each fault with its place, and raised together.

    `Frozen.find_faults` adds to them, so does any pydantic validator, which then ends in `faults.raise_any()`; whoever
    reads the file tells each in a line of its own, with the line of the file. Places are relative to the model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Place, str]] = []

    def add(self, place: Place, text: str) -> None:
        """A fault: `add(("conditions", "male", "scale"), "missing")`."""
        self.found.append((place, text))

    def unknown(self, place: Place, value: object, allowed: Iterable[object]) -> None:
        """A name that there is none of, and those that there are."""
        self.add(place, unknown(value, allowed))

    def raise_any(self) -> None:
        """Raise itself if there are faults."""
        if self.found:
            raise self

    def __str__(self) -> str:
        return BELOW.join(": ".join(filter(None, [dotted(place), text])) for place, text in self.found)


class Unavailable(RuntimeError):
    """What a command needs, such as a server, does not answer: a line that names it and says why."""


def short(value: object) -> str:
    """A value as Python writes it, cut where it is long or deep, for a message."""
    return _REPR.repr(value)


def printable(text: str, longest: int = 80) -> str:
    """A text as it stands, for a message: cut where it is long, and what does not print as an escape."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)


def dotted(place: Place) -> str:
    """`("scales", "binary", 0)` → `scales.binary.0`."""
    return ".".join(printable(str(part)) for part in place)


def unknown(value: object, allowed: Iterable[object]) -> str:
    """`unknown VALUE; allowed: A, B`, with the allowed values in their given order."""
    text = short(value if isinstance(value, str) else short(value))
    return f"unknown {text}; allowed: {', '.join(map(str, allowed)) or 'none'}"


def one_of(place: str, value: object, allowed: Iterable[object]) -> InputError:
    """`PLACE: unknown VALUE; allowed: A, B` as an `InputError`, with the allowed values in their given order."""
    return InputError(f"{place}: {unknown(value, allowed)}")


def together(head: str, faults: Sequence[str], called: str = "faults") -> InputError:
    """Lines as one `InputError`: a single one as it is, several below `HEAD: 3 faults`, each once."""
    lines = list(dict.fromkeys(printable(fault, LONGEST) for fault in faults))  # in which a line break is an escape
    if len(lines) == 1:
        return InputError(lines[0])
    rest = [f"… {len(lines) - MOST_FAULTS} more"] if len(lines) > MOST_FAULTS else []
    return InputError(BELOW.join([f"{head}: {len(lines)} {called}", *lines[:MOST_FAULTS], *rest]))


def lines_of(error: InputError) -> list[str]:
    """The faults that `together` made one error of."""
    first, *below = str(error).split(BELOW)
    return below or [first]


@cache
def warn_once(line: str) -> None:
    """Log a warning about a file; it is read several times in a run."""
    log.warning(line)


def without_credentials(text: str) -> str:
    """A text whose addresses have no user and no password: `http://me:secret@host/api` → `http://host/api`.

    A password may hold `/` and `@`: what stands between `://`, or the beginning, and the last @ before a blank or a
    quote counts as one, even where it is a path with an @ in it. A path of a file, which begins with /, stays.
    """
    return _LOGIN.sub(r"\1", text)
