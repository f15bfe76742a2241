"""Secrets: the key of pseudonyms, who can read the home, and keys that stand where they should not."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from tasks.doctor.finding import BAD, OK, SECRET_NAME, Finding, Findings, Settings
from tasks.ratings.landing.pseudonym import SHORTEST_KEY, VARIABLE
from tasks.runtime.home import home

NAME = "secrets"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
KEY = re.compile(
    r"\b(sk-[\w-]{16,}|hf_\w{16,}|gsk_\w{16,}|gh[pousr]_\w{20,}|xox[abpr]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
)
"""How keys of well-known services look."""


def secrets_check(settings: Settings) -> Findings:
    place = home()
    faults = [*_home(place), *_pseudonyms(settings, place / "secret"), *_in_texts(settings)]
    yield from faults
    if not faults:
        there = f"{place} is its owner's alone" if place.is_dir() else f"{place} will be made its owner's alone"
        yield Finding(OK, NAME, there)


def _home(place: Path) -> Findings:
    if place.is_dir() and (mode := stat.S_IMODE(place.stat().st_mode)) & OTHERS:
        yield Finding(BAD, NAME, f"{place} has mode {mode:04o}, so others may read it", f"chmod 700 {place}")


def _pseudonyms(settings: Settings, file: Path) -> Findings:
    """The key that participants' ids are hidden with."""
    short = f"fewer than {SHORTEST_KEY} characters, so it can be guessed"
    given = settings.environment.get(VARIABLE)
    if given:
        if len(given.encode()) < SHORTEST_KEY:
            yield Finding(BAD, NAME, f"{VARIABLE} has {short}", "give a longer one before anything is landed")
        return
    if not file.exists():
        return
    if (mode := stat.S_IMODE(file.stat().st_mode)) & OTHERS:
        yield Finding(BAD, NAME, f"{file}, the key of pseudonyms, has mode {mode:04o}", f"chmod 600 {file}")
    if len(file.read_bytes().strip()) < SHORTEST_KEY:
        yield Finding(BAD, NAME, f"{file}, the key of pseudonyms, has {short}", "restore it from a copy")


def _in_texts(settings: Settings) -> Findings:
    known = {value: name for name, value in settings.environment.items()
             if SECRET_NAME.search(name) and len(value) >= SHORTEST_KEY}  # fmt: skip
    for name, text in settings.texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            found = next((variable for value, variable in known.items() if value in line), "")
            if found or KEY.search(line):
                what = f"what is in {found}" if found else "what looks like a key"
                todo = "remove it there, revoke it, and give the new one in an environment variable"
                yield Finding(BAD, NAME, f"{name}, line {number}: {what}", todo)
