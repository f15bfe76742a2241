"""What a node of a cluster must have before a study's jobs are done there: looked at on the node itself."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from configs.errors import InputError
from configs.schema import Architecture
from tasks.architectures.load import check_access, computes_in_bfloat16
from tasks.runtime.fingerprint import source_digest
from tasks.runtime.stores import open_store

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "obstore")
"""Whose versions may change what is trained, or how it is kept."""
PROBES = "checks"
"""Of the workspace that a driver saves for nodes to find."""


@dataclass(frozen=True)
class NodeNeeds:
    """What a study asks of every node, as plain values."""

    store: str
    """The store's address."""
    owner: str
    """The run."""
    python: str
    source: str
    """Digest of the product's own source."""
    packages: tuple[tuple[str, str], ...]
    """Name and version."""
    bfloat16: bool
    """Whether the driver computes in it, by which a precision that is left to the machine was chosen."""
    architectures: tuple[str, ...]
    """As JSON."""


def needs_of(store: str, owner: str, architectures: tuple[Architecture, ...]) -> NodeNeeds:
    """What this process has, and so every node needs."""
    by_machine = any(item.dtype == "auto" and not item.tiny for item in architectures)
    return NodeNeeds(
        store,
        owner,
        platform.python_version(),
        source_digest(),
        tuple((name, _version(name)) for name in PACKAGES),
        by_machine and computes_in_bfloat16(),
        tuple(item.model_dump_json() for item in architectures),
    )


def node_faults(needs: NodeNeeds) -> list[str]:
    """What the node that this runs on lacks, one line each."""
    faults = []
    if platform.python_version() != needs.python:
        faults.append(f"Python {platform.python_version()}, the driver has {needs.python}")
    for name, wanted in needs.packages:
        if _version(name) != wanted:
            faults.append(f"{name} {_version(name)}, the driver has {wanted}")
    if source_digest() != needs.source:
        faults.append("another version of pluralign than the driver's; install the same one")
    architectures = tuple(Architecture.model_validate_json(item) for item in needs.architectures)
    for item in architectures:
        for kind, path in (("path", item.path), ("gguf", None if item.hub else item.gguf)):
            if path and not Path(path).exists():
                faults.append(f"architectures.{item.name}.{kind}: {path} is not there")
    by_machine = [item.name for item in architectures if item.dtype == "auto" and not item.tiny]
    if by_machine and computes_in_bfloat16() != needs.bfloat16:
        able = "the driver does not" if computes_in_bfloat16() else "the driver does"
        faults.append(f"it {'computes' if computes_in_bfloat16() else 'does not compute'} in bfloat16 and {able}; give "
                      f"{', '.join(by_machine)} a dtype other than auto")  # fmt: skip
    try:
        check_access(architectures)
    except InputError as error:
        faults.append(str(error))
    return faults + _store_faults(needs)


def _store_faults(needs: NodeNeeds) -> list[str]:
    try:
        store = open_store(needs.store, needs.owner)
        store.check()
        if not store.workspace(PROBES, needs.owner).open().exists():
            return [
                f"{needs.store} is another folder here than on the driver's machine; nodes need a store that all share"
            ]
    except Exception as error:  # whatever a store raises: the line is for who starts the study
        return [str(error) if isinstance(error, InputError) else f"{needs.store}: {type(error).__name__}: {error}"]
    return []


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "missing"
