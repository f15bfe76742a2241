"""What earlier runs of a study made, kept beside the store: why a cell runs again, how long it takes, what came out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.runtime.files import locked, read_or_set_aside, write_sealed

RENAMED = {"optimiser": "method"}


@dataclass(frozen=True)
class Made:
    """What a cell was made of when it last finished, and what it took."""

    base: str
    data: str
    """Digest of the training data; "" for the control."""
    settings: dict[str, Any]
    """Flat: `dpo.epochs` and the like."""
    method: str
    n_pairs: int
    train_seconds: float
    n_prompts: int
    answer_seconds: float


@dataclass(frozen=True)
class EarlierResult:
    """The pooled effects of an earlier run, and what it rested on."""

    identity: str
    created: str
    ratings: str
    pooled: pd.DataFrame


class History:
    """One study's; `folder` is its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def cells(self) -> dict[str, Made]:
        """Cell → how it was last made."""
        known = read_or_set_aside(self._folder / "cells.json", "what cells took in earlier runs is not known") or {}
        # kept under an older name of the key by runs of earlier versions
        return {name: Made(**{RENAMED.get(key, key): made[key] for key in made}) for name, made in known.items()}

    def remember(self, cells: dict[str, Made]) -> None:
        """Add cells, or replace what was known of them."""
        with locked(self._folder / "lock"):
            known = {name: asdict(made) for name, made in (self.cells() | cells).items()}
            write_sealed(self._folder / "cells.json", known)

    def results(self) -> list[EarlierResult]:
        """Earlier results, the oldest first; one for each change of ratings or settings."""
        return list(self._results().values())

    def _results(self) -> dict[int, EarlierResult]:
        """By the number in the file's name."""
        results = {}
        for path in sorted((self._folder / "results").glob("*.json")):
            record = read_or_set_aside(path, "this run is not compared with that result")
            if record:
                pooled = record.pop("pooled")
                frame = pd.DataFrame(pooled["data"], columns=pooled["columns"])
                results[int(path.stem)] = EarlierResult(**record, pooled=frame)
        return results

    def conclude(self, result: EarlierResult) -> EarlierResult | None:
        """Keep a result, in place of the last one if that rests on the same; the last that rests on something else."""
        with locked(self._folder / "lock"):
            known = self._results()
            last = max(known, default=-1)
            number = last if known and known[last].identity == result.identity else last + 1
            record = vars(result) | {"pooled": json.loads(result.pooled.to_json(orient="split"))}
            write_sealed(self._folder / "results" / f"{number:06d}.json", record)
        earlier = [kept for place, kept in known.items() if place < number]
        return earlier[-1] if earlier else None


def why(made: Made | None, base: str, data: str, settings: dict[str, Any], n_pairs: int) -> str:
    """Why a cell's training run has to be made, against how the cell was last made."""
    if made is None:
        return "it has never finished"
    reasons = []
    if made.base != base:
        reasons.append("its base changed")
    if made.data != data:
        counts = f": {made.n_pairs} → {n_pairs} pairs" if made.n_pairs != n_pairs else ""
        reasons.append(f"its training data changed{counts}")
    names = sorted(name for name in made.settings | settings if made.settings.get(name) != settings.get(name))
    changes = (f"{name} {made.settings.get(name)} → {settings.get(name)}" for name in names)
    reasons += [f"settings changed: {', '.join(changes)}"] if names else []
    return "; ".join(reasons) or "what it made is gone from the store"


def seconds_each(cells: dict[str, Made], architectures: dict[str, str], method: str | None) -> dict[str, float]:
    """Seconds a pair of training (or a prompt of answering, where `method` is None), by architecture.

    `architectures`: cell → architecture. The key "" has the mean over all architectures, for one that is new.
    """
    taken: dict[str, list[tuple[float, int]]] = {}
    for name, made in cells.items():
        if name not in architectures or method not in (None, made.method):
            continue
        answering, training = (made.answer_seconds, made.n_prompts), (made.train_seconds, made.n_pairs)
        for key in (architectures[name], ""):
            taken.setdefault(key, []).append(answering if method is None else training)
    sums = {key: (sum(seconds for seconds, _ in parts), sum(size for _, size in parts)) for key, parts in taken.items()}
    return {key: seconds / size for key, (seconds, size) in sums.items() if size}
