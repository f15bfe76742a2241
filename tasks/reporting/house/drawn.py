"""Figures that are on disk already: what they were drawn from, and whether they still are as they were drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tasks.reporting.house.drawing import Figure
from tasks.runtime.files import write_atomically
from tasks.runtime.fingerprint import file_digest

RECORD = "drawn.json"


def remember(folder: Path, key: str, figures: Sequence[Figure]) -> None:
    """Write down what the folder's figures were drawn from (`key`), and the digests of their files."""
    known = [asdict(figure) | {"svg": figure.svg.name, "files": _digests(figure.svg)} for figure in figures]
    write_atomically(folder / RECORD, json.dumps({"key": key, "figures": known}, indent=1, ensure_ascii=False))


def recall(folder: Path, key: str) -> list[Figure] | None:
    """The figures that were drawn from the same; None where there are none, or a file is missing or another."""
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if record["key"] != key:
            return None
        figures = []
        for known in record["figures"]:
            svg = folder / known["svg"]
            if _digests(svg) != known.pop("files"):
                return None
            figures.append(Figure(**known | {"svg": svg}))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return figures


def _digests(svg: Path) -> list[str]:
    return [file_digest(place) for place in (svg, svg.with_suffix(".png"))]
