"""The terms of a contrast's error, from what there is: a finished run's tables, ratings, values that are given or
assumed. Each comes with a line that says where it is from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from configs.errors import InputError
from configs.schema import Assumptions
from tasks.effects.identity import EffectKey
from tasks.planning.design import REPLICATES_COUNT, Components, Design, RaterShares, Term
from tasks.planning.finished import FinishedRun
from tasks.planning.rater_shares import Lean

DEFAULTS = Assumptions(transfer=1.0, prompts=0.15, prompts_shared=0.1, architectures=0.01, seeds=0.0)
"""Our assumptions, where nothing was measured and nothing is given."""
DEFAULT_SHARES = RaterShares(pair=0.3, rating=0.7, rater=0.0)
"""Of the paper's size, about: see the benchmark."""


class Origin(NamedTuple):
    """A number that a prediction rests on, and where it is from."""

    what: str
    value: str
    where: str


@dataclass(frozen=True)
class RunTerms:
    """What a run measured of one contrast; `own` is of one architecture, None what it did not measure.

    raters_…: as replicates show them, which count what pairs of raters say together three times.
    """

    name: str
    architectures: int
    prompts: int
    seeds: int
    replicates: int
    raters_shared: Term | None
    raters_own: Term | None
    prompts_shared: Term
    prompts_own: Term
    between_seeds: Term | None
    tau2: Term


def run_terms(run: FinishedRun, effect: EffectKey) -> RunTerms | None:
    """The terms of a run's pooled effect; None where it was not pooled over two architectures or more.

    With the pool's weights w (Σ w = 1), a source's variance is shared + own · Σ w².
    """
    pooled, effects = (effect.rows_of(run.table(name)) for name in ("pooled", "effects"))
    effects = effects.dropna(subset=["std_error"]).set_index("architecture")
    if pooled.empty or pooled["k"].iloc[0] < 2:
        return None
    row = pooled.iloc[0]
    weights = 1 / (effects["std_error"] ** 2 + row["tau2"])
    weights = weights / weights.sum()
    squares = float((weights**2).sum())
    variance = effect.rows_of(run.table("variance_components")).set_index("source")["variance"]
    n_prompts, n_seeds = int(effects["n_prompts"].median()), int(effects["n_seeds"].median())

    each = float((weights * (effects["std_error"] ** 2 - effects["seed_variance"].fillna(0.0))).sum())
    prompts_shared, prompts_own = split(float(variance["prompts"]), each, squares)
    seeds = float(variance["seeds"]) / squares
    asked: tuple[Term | None, Term | None] = (None, None)
    if math.isfinite(variance["raters"]):
        replicates = effect.rows_of(run.table("replicate_effects"))
        spread = replicates.groupby("architecture")["estimate"].var(ddof=1)
        parts = split(float(variance["raters"]), float((weights * spread).sum()), squares)
        asked = tuple(Term.measured(part, row["n_replicates"] - 1) for part in parts)  # type: ignore[assignment]
    return RunTerms(
        name=str(run.tables.parent),
        architectures=len(effects),
        prompts=n_prompts,
        seeds=n_seeds,
        replicates=int(row["n_replicates"]),
        raters_shared=asked[0],
        raters_own=asked[1],
        prompts_shared=Term.measured(prompts_shared, n_prompts - 1),
        prompts_own=Term.measured(prompts_own, n_prompts - 1),
        between_seeds=Term.measured(seeds, n_seeds - 1) if math.isfinite(seeds) else None,
        tau2=Term(*(float(row[name]) for name in ("tau2", "tau2_low", "tau2_high"))),
    )


def split(pooled: float, each: float, squares: float) -> tuple[float, float]:
    """What architectures share of a source of error, and what is one's own.

    Args:
        pooled: variance of the pooled effect, shared + own · squares.
        each: mean variance of one architecture's effect, shared + own.
        squares: Σ w² of the pool's weights.
    """
    own = min(max((each - pooled) / (1 - squares), 0.0), pooled / squares)
    return pooled - own * squares, own


class AskedRaters(NamedTuple):
    """Whom a contrast asks: raters (of the smaller of two groups, or all), the responses that each rates, and how many
    groups; `origin` says where that is from."""

    raters: int
    ratings_each: float
    groups: int
    origin: str


@dataclass(frozen=True)
class ContrastFacts:
    """Everything that is known of a contrast; None what is not."""

    asked: AskedRaters
    prompts: int
    architectures: int
    seeds: int
    replicates: int
    run: RunTerms | None
    lean: Lean | None
    assumptions: Assumptions


def components_of(facts: ContrastFacts) -> tuple[Components, list[Origin]]:
    """The terms that predictions rest on, and the origin of each.

    Raises:
        InputError: neither replicates nor ratings nor a value that is given tell how much hangs on the raters.
    """
    sources = [_asked_source(facts.asked)]
    run = facts.run
    reference = Design(
        facts.asked.raters,
        facts.asked.ratings_each,
        run.prompts if run else facts.prompts,
        run.architectures if run else facts.architectures,
        max(run.replicates if run else facts.replicates, 2),
        run.seeds if run else facts.seeds,
    )
    shares = facts.lean.shares if facts.lean else DEFAULT_SHARES
    text = f"pairs {shares.pair:.0%}, ratings {shares.rating:.0%}, raters {shares.rater:.0%}"
    origin = f"estimated from the ratings ({facts.asked.origin})" if facts.lean else "assumed"
    sources.append(Origin("of their variance", text, origin))
    raters = _raters(facts, shares, sources)
    prompts = _prompts(facts, reference, sources)
    seeds = _seeds(facts, reference, sources)
    return Components(reference, shares, *raters, *prompts, seeds, _architectures(facts, raters[1], sources)), sources


def _asked_source(asked: AskedRaters) -> Origin:
    whom = "raters of the smaller group" if asked.groups == 2 else "raters"
    return Origin(whom, f"{asked.raters:,}, {asked.ratings_each:.3g} ratings each", asked.origin)


def _raters(facts: ContrastFacts, shares: RaterShares, sources: list[Origin]) -> tuple[Term, Term]:
    """What all architectures share of who was asked, and what is one's own, as the estimate scatters."""
    run, given = facts.run, facts.assumptions
    what = "raters, standard error"
    if given.raters is not None:
        sources.append(Origin(what, f"{given.raters:.4f}", "given"))
        return Term.assumed(given.raters**2), Term.assumed(0.0)
    if run and run.raters_shared and run.raters_own:
        counted = 1 / (1 + (REPLICATES_COUNT - 1) * shares.pair)
        shared, own = run.raters_shared.times(counted), run.raters_own.times(counted)
        value = f"{_root(shared):.4f} shared, {_root(own):.4f} an architecture's own"
        origin = f"measured in {run.name}, {run.replicates} replicates, less what these count too often"
        sources.append(Origin(what, value, origin))
        return shared, own
    if facts.lean is None:
        raise InputError(
            "neither replicates nor ratings that differ tell how much hangs on the raters: --assume raters=…"
        )
    transfer = given.transfer or DEFAULTS.transfer or 1.0
    shared = Term.assumed(transfer**2 * facts.lean.variance)
    origin = f"{_origin(given.transfer)}: {transfer:g} times the ratings' own ({facts.asked.origin})"
    sources.append(Origin(what, f"{_root(shared):.4f}", origin))
    return shared, Term.assumed(0.0)


def _prompts(facts: ContrastFacts, reference: Design, sources: list[Origin]) -> tuple[Term, Term]:
    run, given = facts.run, facts.assumptions
    if run:
        shared, own = run.prompts_shared, run.prompts_own
        each, origin = shared.plus(own), f"measured in {run.name}, {run.prompts} prompts"
    if not run or given.prompts is not None:
        each, origin = Term.assumed(_value("prompts", given) ** 2 / reference.prompts), _origin(given.prompts)
        shared, own = each.times(0), each
    if given.prompts_shared is not None or not run:
        part = _value("prompts_shared", given)
        shared, own = each.times(part), each.times(1 - part)
    together = shared.value / each.value if each.value else 0.0
    deviation = math.sqrt(each.value * reference.prompts)
    value = f"{deviation:.3f} between prompts, correlation {together:.2f} between architectures"
    sources.append(Origin("prompts, standard deviation", value, origin))
    return shared, own


def _seeds(facts: ContrastFacts, reference: Design, sources: list[Origin]) -> Term:
    """Of one architecture, with the reference's seeds."""
    run, given = facts.run, facts.assumptions
    if run and run.between_seeds and given.seeds is None:
        term, origin = run.between_seeds, f"measured in {run.name}, {run.seeds} seeds"
    elif run and given.seeds is None:
        term, origin = Term.assumed(0.0), f"in that of architectures: {run.name} has one seed"
    else:
        term, origin = Term.assumed(_value("seeds", given) ** 2 / reference.seeds), _origin(given.seeds)
    value = f"{math.sqrt(term.value * reference.seeds):.4f}"
    sources.append(Origin("seeds, standard deviation", value, origin))
    return term


def _architectures(facts: ContrastFacts, raters_own: Term, sources: list[Origin]) -> Term:
    """τ², less what each architecture makes of the raters, which τ² has in it."""
    run, given = facts.run, facts.assumptions
    if run and given.architectures is None:
        term = Term(*(max(end - raters_own.value, 0.0) for end in run.tau2))
        origin = f"measured in {run.name}, {run.architectures} architectures"
    else:
        term, origin = Term.assumed(_value("architectures", given) ** 2), _origin(given.architectures)
    sources.append(Origin("architectures, standard deviation", f"{_root(term):.4f}", origin))
    return term


def _value(name: str, given: Assumptions) -> float:
    value = getattr(given, name)
    return float(getattr(DEFAULTS, name) if value is None else value)


def _origin(value: float | None) -> str:
    return "assumed" if value is None else "given"


def _root(term: Term) -> float:
    return math.sqrt(term.value)
