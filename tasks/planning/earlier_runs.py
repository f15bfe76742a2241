"""What earlier runs of a study made, kept in the store: why a cell runs again, how long it takes, what came out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from tasks.runtime.store import Store, StoredDocument

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
    """One study's, in a store, so that every machine that uses the store knows it."""

    def __init__(self, store: Store, study: str) -> None:
        self._store, self._names = store, ("history", study)

    def cells(self) -> dict[str, Made]:
        """Cell → how it was last made."""
        return _read_cells(self._document("cells").read())

    def remember(self, cells: dict[str, Made]) -> None:
        """Add cells, or replace what was known of them."""
        self._document("cells").update(
            lambda known: {name: asdict(made) for name, made in (_read_cells(known) | cells).items()}
        )

    def results(self) -> list[EarlierResult]:
        """Earlier results, the oldest first; one for each change of ratings or settings."""
        return self._results(len(self._identities()))

    def conclude(self, result: EarlierResult) -> EarlierResult | None:
        """Keep a result, in place of the last one if that rests on the same; the last that rests on something else."""
        numbered = self._identities()

        def added(known: list[str] | None) -> list[str]:
            known = known or numbered
            return known if known[-1:] == [result.identity] else [*known, result.identity]

        number = len(self._document("results").update(added)) - 1
        record = vars(result) | {"pooled": json.loads(result.pooled.to_json(orient="split"))}
        self._result(number).update(lambda _: record)
        earlier = self._results(number)
        return earlier[-1] if earlier else None

    def _identities(self) -> list[str]:
        """Of all results by number, also where only they themselves are there."""
        known = self._document("results").read()
        if known is None:
            known = []
            while record := self._result(len(known)).read():
                known.append(record["identity"])
        return known

    def _results(self, count: int) -> list[EarlierResult]:
        """The first so many, without those that are damaged."""
        records = [record for number in range(count) if (record := self._result(number).read())]
        frames = [pd.DataFrame(own["data"], columns=own["columns"]) for own in (r.pop("pooled") for r in records)]
        return [EarlierResult(**record, pooled=frame) for record, frame in zip(records, frames, strict=True)]

    def _result(self, number: int) -> StoredDocument:
        return self._document("results", f"{number:06d}")

    def _document(self, *names: str) -> StoredDocument:
        return self._store.document(*self._names, *names)


def _read_cells(known: dict[str, dict[str, Any]] | None) -> dict[str, Made]:
    """Also those kept under an older name of a key by runs of earlier versions."""
    cells = known or {}
    return {name: Made(**{RENAMED.get(key, key): made[key] for key in made}) for name, made in cells.items()}


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
