"""Python and the packages, against what pluralign itself requires."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings

PRODUCT = "pluralign"
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
"""Of a clone, whose requirements may have changed since it was installed."""
SHOWN = ("torch", "transformers", "trl", "peft", "prefect", "mlflow", "ray")
"""Packages whose versions are told where they are as they should be."""
TRAPS = {
    "fastapi": "with another one Prefect starts no flow",
    "sqlalchemy": "with another one Prefect creates no scheduled run",
}


def versions_check(settings: Settings) -> Findings:
    try:
        python, wanted = requirements()
    except PackageNotFoundError:
        text = "pluralign is not installed, so nothing says which packages it needs; pip install -e . in its folder"
        yield Finding(NOTE, "versions", text)
        return
    faults = [*_python(python), *_packages(wanted)]
    yield from faults
    if not faults:
        own = {name: installed(name) for name in (PRODUCT, *SHOWN)}
        shown = ", ".join(f"{name} {number}" for name, number in own.items() if number)
        yield Finding(OK, "versions", f"Python {platform.python_version()}, {shown}")


def requirements() -> tuple[str, list[str]]:
    """The versions of Python, and the packages with theirs, that pluralign needs: as its clone says, else as it was
    installed. Raises `PackageNotFoundError` where it is neither."""
    if PYPROJECT.is_file():
        project = tomllib.loads(PYPROJECT.read_text("utf-8")).get("project", {})
        if project.get("name") == PRODUCT:
            extras = project.get("optional-dependencies", {})
            of_extras = [f'{text}; extra == "{extra}"' for extra, texts in extras.items() for text in texts]
            return project.get("requires-python", ""), [*project.get("dependencies", []), *of_extras]
    return metadata(PRODUCT)["Requires-Python"] or "", requires(PRODUCT) or []


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def required(name: str) -> str:
    """The versions of a package that pluralign takes, as pip writes them; "" where it does not say."""
    try:
        found = [one for text in requirements()[1] if (one := Requirement(text)).name == name]
    except PackageNotFoundError:
        return ""
    return str(found[0].specifier) if found else ""


def _python(wanted: str) -> Iterator[Finding]:
    now = platform.python_version()
    if not SpecifierSet(wanted).contains(now, prereleases=True):
        yield Finding(BAD, "versions", f"Python {now}", f"pluralign needs {wanted}; make its .venv with such a Python")


def _packages(wanted: list[str]) -> Iterator[Finding]:
    seen = set[str]()
    for requirement in map(Requirement, wanted):
        extra = "extra" in str(requirement.marker or "")
        if requirement.name in seen or not (extra or not requirement.marker or requirement.marker.evaluate()):
            continue
        seen.add(requirement.name)
        own = installed(requirement.name)
        if own is None:
            if not extra:
                yield Finding(BAD, "versions", f"{requirement.name} is not installed", _install(requirement))
        elif not requirement.specifier.contains(own, prereleases=True):
            why = f" ({TRAPS[requirement.name]})" if requirement.name in TRAPS else ""
            yield Finding(BAD, "versions", f"{requirement.name} {own}{why}", _install(requirement))


def _install(requirement: Requirement) -> str:
    return f"pip install '{requirement.name}{requirement.specifier}'"
