"""What the report says of a run beside its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Earlier:
    """The last run that rested on other ratings or settings."""

    created: str
    ratings_digest: str


@dataclass(frozen=True)
class Facts:
    """When, of what and with what a study was run; "", nothing or None where it isn't known."""

    created: str = ""
    status: str = "whole"
    """whole, or in part where cells failed."""
    label: str = ""
    """What a reader must know before believing a number: `Study.label`."""
    sources: tuple[str, ...] = ()
    """Where the ratings are from, a line a codebook."""
    ratings_digest: str = ""
    snapshot: str = ""
    """The id of the collection's snapshot; "" for ratings that are in no collection."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage → seconds."""
    revisions: Mapping[str, str] = field(default_factory=dict)
    """Hub model → the commit that was used."""
    not_shown: tuple[str, ...] = ()
    """Groups of raters that are too few to show."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What is counted (participants, ratings, training prompts, …) → how many."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """What is no loss, but worth knowing of the ratings → how many."""
    earlier: Earlier | None = None
    judge: Mapping[str, Any] | None = None
    """What this run spent on the judge, calls and dollars; empty where it costs nothing, None without a judge."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version."""
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """As `study.json` has them, without those that a run may lack."""
        values = asdict(self)
        lacking = {"snapshot": "", "earlier": None, "judge": None}
        return {name: value for name, value in values.items() if name not in lacking or value != lacking[name]}
