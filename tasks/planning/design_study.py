"""`pluralign design`: what a study could find of one contrast, before anyone is paid. Nothing is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from pandera.typing import DataFrame

from configs.errors import InputError
from configs.schema import Assumptions, Contrast, Study
from tasks.effects.identity import EffectKey
from tasks.planning.design import Design, Prediction, fewest_raters, predict
from tasks.planning.design_basis import Basis, find_basis, find_run
from tasks.planning.tables import Designs

EFFECTS = (0.02, 0.05, 0.1)
"""What is looked for where the study has no published estimate."""
MOST_DESIGNS = 1_000
SHAPE = "'A - B', or EXPERIMENT:A:B:DIMENSION"


@dataclass(frozen=True)
class Prices:
    """US dollars a rated response and a GPU-hour; None what has no price here."""

    rating: float | None = None
    gpu_hour: float | None = None

    def cost(self, ratings: int, gpu_hours: float) -> float:
        """Of what has a price; NaN where nothing has."""
        if self.rating is None and self.gpu_hour is None:
            return math.nan
        return ratings * (self.rating or 0.0) + gpu_hours * (self.gpu_hour or 0.0)


@dataclass(frozen=True)
class Question:
    """What a user wants to know.

    contrast: in the shape of `SHAPE`; by default the study's first between two groups. effects: sizes to look for.
    numbers: field of `Design` → what to try; for others the study's own, and some around it. power: to be reached.
    """

    contrast: str | None = None
    effects: tuple[float, ...] = ()
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    power: float = 0.8
    prices: Prices = Prices()
    assumptions: Assumptions = field(default_factory=Assumptions)


@dataclass(frozen=True)
class Designed:
    """The answer: the designs of a study for one contrast, the cheapest that is strong enough, and what helps most."""

    study: Study
    question: Question
    basis: Basis
    effects: tuple[float, ...]
    designs: list[Design]

    # ---- the designs

    def ratings(self, design: Design) -> int:
        """Rated responses that are paid for."""
        return self.basis.groups * design.raters * round(design.ratings_each)

    def cost(self, design: Design) -> float:
        return self.question.prices.cost(self.ratings(design), self.basis.workload.hours(design))

    def predict(self, design: Design) -> Prediction:
        return predict(self.basis.components, design)

    def table(self) -> DataFrame[Designs]:
        """One row a design and an effect."""
        return Designs.checked([row for design in self.designs for row in self._rows(design)])

    def _rows(self, design: Design) -> list[dict[str, object]]:
        effect, workload, predicted = self.basis.effect, self.basis.workload, self.predict(design)
        row = {
            "experiment": effect.experiment,
            "contrast": effect.contrast,
            "dimension": effect.dimension,
            "groups": self.basis.groups,
            **vars(design),
            "df": predicted.df,
            "ci_width": 2 * predicted.half_width,
            "ratings": self.ratings(design),
            "training_runs": workload.runs(design),
            "gpu_hours": workload.hours(design),
            "cost": self.cost(design),
        }
        row |= _ends("std_error", predicted.std_error) | _ends("scatter", predicted.scatter)
        return [row | {"effect": size} | _ends("power", predicted.power(size)) for size in self.effects]

    # ---- the cheapest, and what narrows the interval

    def cheapest(self, effect: float) -> Design | None:
        """Of all numbers asked for but the raters, of whom there may be any: the design that reaches the wished power
        at the least cost; without prices, with the fewest ratings, then the fewest training runs."""
        enough = []
        for design in dict.fromkeys(replace(design, raters=2) for design in self.designs):
            raters = fewest_raters(self.basis.components, design, effect, self.question.power)
            if raters is not None:
                enough.append(replace(design, raters=raters))
        return min(enough, key=self._order, default=None)

    def _order(self, design: Design) -> tuple[float, int, int]:
        cost = self.cost(design)
        return (0.0 if math.isnan(cost) else cost), self.ratings(design), self.basis.workload.runs(design)

    def doubled(self) -> list[Doubled]:
        """Twice as many of each number of the study's own design, the best first.

        By narrowing for a dollar where that costs something, then by narrowing; what does not narrow comes last.
        """
        own = self.basis.own
        width, cost = self.predict(own).half_width, self.cost(own)
        changes = []
        for name in vars(own):
            twice = replace(own, **{name: 2 * getattr(own, name)})
            changes.append(Doubled(name, 1 - self.predict(twice).half_width / width, self.cost(twice) - cost))
        return sorted(changes, key=lambda change: change.order)


@dataclass(frozen=True)
class Doubled:
    """Twice as many of one number of a design: the share by which its interval is narrower, and what that costs."""

    name: str
    narrower: float
    cost: float

    @property
    def order(self) -> tuple[bool, float, float]:
        helps = self.narrower > 0
        each = self.narrower / self.cost if self.cost > 0 else math.inf
        return not helps, -each if helps else 0.0, -self.narrower


def _ends(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def design_study(study: Study, source: Path | None, question: Question) -> Designed:
    """Answer a question about a study from a run of it (`source`, or its own outputs), or from ratings and assumptions.

    Raises:
        InputError: the study has no experiments, or not such a contrast; there is nothing to predict it from; a number
            is too small, or there are too many designs.
    """
    effect = find_effect(study, question.contrast)
    basis = find_basis(study, effect, find_run(study, source), question.assumptions)
    return Designed(study, question, basis, question.effects or _published(study, effect), _designs(basis, question))


def find_effect(study: Study, text: str | None) -> EffectKey:
    """The effect that a text names, or the study's first contrast between two groups (else its first) on its focus.

    Raises:
        InputError: the study has no experiments, or no such contrast.
    """
    every = [
        EffectKey(name, contrast, (*settings.focus, *study.evaluation.dimensions)[0])
        for name, experiment in study.experiments.items()
        for contrast, settings in experiment.contrasts.items()
    ]
    if not every:
        raise InputError(f"{study.name}: no experiments, so there is no contrast to design for")
    if text is None:
        groups = [key for key in every if key.contrast in study.experiments[key.experiment].compared_strata]
        return [*groups, *every][0]
    if key := EffectKey.parse(text):
        key.check(study)
        return key
    try:
        wanted = Contrast(text)
    except ValueError:
        raise InputError(f"--contrast {text}: expected {SHAPE}") from None
    named = [key for key in every if key.contrast == wanted]
    if not named:
        raise InputError(
            f"--contrast {text}: unknown; allowed: {', '.join(dict.fromkeys(key.contrast for key in every))}"
        )
    return named[0]


def _published(study: Study, effect: EffectKey) -> tuple[float, ...]:
    known = study.experiments[effect.experiment].contrasts[effect.contrast].published.get(effect.dimension)
    return (abs(known.estimate),) if known and known.estimate else EFFECTS


def _designs(basis: Basis, question: Question) -> list[Design]:
    """Every combination of the numbers: those asked for, else the study's own, its half and double of raters, and the
    fewest architectures that are worth pooling."""
    own = basis.own
    around: dict[str, tuple[int, ...]] = {name: (int(value),) for name, value in vars(own).items()}
    around["raters"] = tuple(max(round(own.raters * factor), 2) for factor in (0.5, 1, 2))
    around["architectures"] = tuple(sorted({min(3, own.architectures), own.architectures}))
    numbers = around | dict(question.numbers)
    if (count := math.prod(map(len, numbers.values()))) > MOST_DESIGNS:
        raise InputError(f"{count:,} designs; at most {MOST_DESIGNS:,}: give fewer numbers")
    order = ("architectures", "prompts", "seeds", "replicates", "ratings_each", "raters")
    try:
        return [
            Design(**dict(zip(order, values, strict=True))) for values in product(*(numbers[name] for name in order))
        ]
    except ValueError as fault:
        raise InputError(f"--{fault}".replace("--ratings each", "--ratings-each")) from None
