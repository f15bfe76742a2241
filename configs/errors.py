"""The one exception that means: what the user gave can't be used as it is."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad settings or bad data: one line that names the place, the value and what is allowed."""


def one_of(place: str, value: object, allowed: Iterable[object]) -> InputError:
    """`PLACE: unknown VALUE; allowed: A, B` as an `InputError`, with the allowed values in their given order."""
    return InputError(f"{place}: unknown {str(value)!r}; allowed: {', '.join(map(str, allowed)) or 'none'}")
