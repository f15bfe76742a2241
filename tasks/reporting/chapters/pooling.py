"""Pooling: which interval to trust, and how much a pooled effect depends on a method or on one architecture."""

from __future__ import annotations

from collections.abc import Mapping

from configs.placebo import PLACEBO
from tasks.effects.tables import Doses, EffectCovariances
from tasks.meta_analysis.heterogeneity import TITLES
from tasks.meta_analysis.pooling import EGGER_FROM
from tasks.meta_analysis.shared_prompts import TITLES as SHARED_TITLES
from tasks.meta_analysis.tables import LeaveOneOut, Pairwise, Pooled, PoolingMethods
from tasks.reporting.chapters.dose_figure import draw_doses
from tasks.reporting.chapters.health import marked_runs
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, effect_of, estimate, numbers, p_values, span, texts
from tasks.reporting.house.document import Column, Fold, Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.effects import direction, trusted, unmarked, with_interval
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import DASH, finite, interval, joined, number, whole

NAMED = 3
"""A sentence names at most so many architectures; more are counted."""
Key = tuple[str, str, str]


def _key(row: Row) -> Key:
    """What a pooled effect is of: experiment, contrast and dimension."""
    return row["experiment"], row["contrast"], row["dimension"]


def _parts(results: Results) -> list[Part]:
    """Everything about the pooled effects as a whole."""
    pooled = [row for row in results.pooled() if finite(row["estimate"])]
    if not pooled:
        return []
    focused = [row for row in pooled if row["focus"] and row["experiment"] != PLACEBO]
    reported = ", which the paper reports," if results.has_published else ""
    trust = (
        f"Which interval to trust: where architectures differ and few are pooled, the Wald 95% interval of "
        f"DerSimonian and Laird{reported} is too narrow, and holds the true effect less often than in 95% of cases; "
        "the HKSJ interval is made for few. The full interval, of contrasts with replicates of their raters, also "
        "knows who was asked. Read the full interval where there is one, HKSJ's elsewhere. This report calls an "
        "effect clear where every interval that it has excludes zero."
    )
    texts = [trust, _spread(focused), _single(results, focused), _egger(pooled), *marked_runs(results)]
    return [
        *(Paragraph(text) for text in texts if text),
        *_without_marked(results, pooled),
        Fold("Heterogeneity and prediction", [_heterogeneity(results, pooled), SourceTables(("pooled",))]),
        *_other_methods(results, focused),
        *_left_out(results, focused),
        *_pairs(results),
        *results.picture("dose"),
    ]


# ---- sentences


def _spread(focused: list[Row]) -> str:
    known = [row for row in focused if finite(row["i2"])]
    if not known:
        return "No effect is pooled over several architectures, so nothing is said of how they differ."
    shares = sorted(row["i2"] for row in known)
    crossing = sum(row["pi_low"] <= 0 <= row["pi_high"] for row in known)
    return (
        f"How architectures differ: I², the part of the spread between them that is more than sampling error, is "
        f"{number(shares[len(shares) // 2], 0)}% in the middle of {whole(len(known))} pooled effects (from "
        f"{number(shares[0], 0)}% to {number(shares[-1], 0)}%). {whole(crossing)} of their prediction intervals hold "
        "zero: there, another architecture may well have no effect, or the opposite one."
    )


def _single(results: Results, focused: list[Row]) -> str:
    """For how many effects what is clear hangs on one architecture."""
    left_out, known = results.rows(LeaveOneOut), {_key(row): row for row in focused}
    depends: dict[Key, set[str]] = {}
    for row in left_out:
        if _key(row) in known and direction(row) != direction(known[_key(row)]):
            depends.setdefault(_key(row), set()).add(row["without"])
    clear = [key for key, row in known.items() if direction(row)]
    if not left_out or not clear:
        return ""
    fragile = [depends[key] for key in clear if key in depends]
    which = sorted(set().union(*fragile))
    several = f"one or another of {whole(len(which))} architectures"
    one = f"one architecture ({joined(which)})" if len(which) <= NAMED else several
    how_many = f"{whole(len(fragile))} would not be so without {one}" if fragile else "all stay so"
    return f"One architecture left out: of {whole(len(clear))} clear effects {how_many}."


def _egger(pooled: list[Row]) -> str:
    tested = [row for row in pooled if finite(row["egger_p"])]
    if tested:
        low = sum(row["egger_p"] < 0.05 for row in tested)
        return f"Egger's regression finds a link of effect and standard error in {low} of {len(tested)} pooled effects."
    return (
        f"Egger's test is not made: with fewer than {EGGER_FROM} effects it tells nothing, and architectures are not "
        "published studies, of which those with a null result might be missing."
    )


# ---- tables


def _without_marked(results: Results, pooled: list[Row]) -> list[Part]:
    """Pooled effects that rest on marked runs, with and without them."""
    marked = [row for row in pooled if row["n_marked"] > 0]
    if not marked:
        return []
    table = TablePart.of(
        marked,
        *effect_of(results.study),
        ("Marked", "l", lambda r: f"{whole(r['n_marked'])} of {whole(r['k'])}"),
        *(*estimate("Effect"), *numbers({"Without": "unmarked_estimate"})),
        ("95% CI (HKSJ)", "r", lambda r: interval(*trusted(unmarked(r)))),
    )
    return [Fold(f"With and without marked runs: {len(marked)} effects", [table, SourceTables(("pooled",))])]


def _heterogeneity(results: Results, pooled: list[Row]) -> TablePart:
    return TablePart.of(
        pooled,
        *(*texts({"Experiment": "experiment"}), *effect_of(results.study), *counts({"k": "k"})),
        *(*numbers({"Q": "q"}, 1), *p_values({"p of Q": "q_p"})),
        *(*numbers({"τ²": "tau2"}, 5), span("95% CI of τ²", "tau2_low", "tau2_high", 5)),
        ("I²", "r", lambda r: f"{number(r['i2'], 0)}%"),
        ("95% CI of I²", "r", lambda r: f"{number(r['i2_low'], 0)} to {number(r['i2_high'], 0)}%"),
        span("95% prediction", "pi_low", "pi_high"),
        caption="Intervals of τ² and I²: Q-profile. Prediction: for another architecture, with HKSJ's error and t.",
    )


def _other_methods(results: Results, focused: list[Row]) -> list[Part]:
    """Estimates and the intervals to trust, a column a method."""
    known = {(*_key(row), row["method"]): row for row in results.rows(PoolingMethods)}
    if not known:
        return []

    def by(method: str, title: str) -> Column:
        def cell(row: Row) -> str:
            return with_interval(known[*_key(row), method]) if (*_key(row), method) in known else DASH

        return title, "r", cell

    def table(titles: Mapping[str, str], *first: Column, caption: str) -> TablePart:
        methods = [by(*item) for item in titles.items() if any(key[3] == item[0] for key in known)]
        return TablePart.of(focused, *effect_of(results.study), *first, *methods, caption=caption)

    alone = table(TITLES, caption="As if the errors of architectures were independent. Effect and HKSJ 95% interval.")
    shared = table(
        SHARED_TITLES,
        caption=f"With the covariance of their errors. {SHARED_CAPTION}",
    )
    parts: list[Part] = [alone, *(Paragraph(text) for text in _shared_prompts(focused)), shared]
    return [
        Fold("The same effects by other methods", [*parts, SourceTables(("pooling_methods", "effect_covariances"))])
    ]


SHARED_CAPTION = (
    "DerSimonian–Laird and REML: HKSJ 95% interval. CR2, from the "
    "residuals of families of architectures: 95% interval with Satterthwaite's degrees of freedom. Half-normal prior: "
    "posterior mean and 95% credible interval."
)


def _shared_prompts(focused: list[Row]) -> list[str]:
    """What architectures share, since they answer the same prompts."""
    known = sorted(row["mean_correlation"] for row in focused if finite(row["mean_correlation"]))
    if not known:
        return []
    return [
        "All architectures answer the same held-out prompts, so that the errors of their effects are correlated: by "
        f"{number(known[len(known) // 2], 2)} in the middle of {whole(len(known))} pooled effects (from "
        f"{number(known[0], 2)} to {number(known[-1], 2)}, each the mean of every two architectures). The methods of "
        "the next table know it. Of all tables of this chapter none knows that architectures learn from the same "
        "raters: the full interval alone does."
    ]


def _left_out(results: Results, focused: list[Row]) -> list[Part]:
    """The range of each effect, and the architecture that moves it most."""
    groups: dict[Key, list[Row]] = {}
    for row in results.rows(LeaveOneOut):
        groups.setdefault(_key(row), []).append(row)
    lines = [row | {"without": groups[_key(row)]} for row in focused if _key(row) in groups]
    for row in lines:
        row["most"] = max(row["without"], key=lambda other: abs(other["estimate"] - row["estimate"]))
        row["changed"] = [other["without"] for other in row["without"] if direction(other) != direction(row)]
        row["range"] = [end(other["estimate"] for other in row["without"]) for end in (min, max)]
    table = TablePart.of(
        lines,
        *(*effect_of(results.study), *numbers({"All": "estimate"})),
        ("Range", "r", lambda r: interval(*r["range"])),
        ("Most moved without", "l", lambda r: r["most"]["without"]),
        ("Then", "r", lambda r: number(r["most"]["estimate"])),
        ("95% CI (HKSJ)", "r", lambda r: interval(*trusted(r["most"]))),
        ("Clear changes without", "l", lambda r: joined(r["changed"]) or DASH),
    )
    return [Fold("Every architecture left out", [table, SourceTables(("leave_one_out",))])] if lines else []


def _pairs(results: Results) -> list[Part]:
    pairs = results.rows(Pairwise)
    if not pairs:
        return []
    text = (
        "Every two conditions of an experiment, from the paired differences of their scores on the same prompts; "
        "groups within one attribute only. No interval here knows who was asked. Holm: within the pairs of an "
        "experiment and dimension, so other p than in the experiments' own tables, which adjust over their lines."
    )
    table = TablePart.of(
        pairs,
        *(*texts({"Experiment": "experiment"}), *effect_of(results.study, "Pair"), *counts({"k": "k"})),
        *(*numbers({"Difference": "estimate"}), span(), *p_values({"p (Holm)": "p_holm"})),
        *(span("95% CI (HKSJ)", "hksj_ci_low", "hksj_ci_high"), *p_values({"p (HKSJ, Holm)": "hksj_p_holm"})),
    )
    return [Fold("Every two conditions compared", [Paragraph(text), table, SourceTables(("pairwise",))])]


CHAPTER = Chapter(
    "pooling",
    "Pooling",
    [Pooled, LeaveOneOut, PoolingMethods, EffectCovariances, Pairwise, Doses],
    parts=_parts,
    figures=draw_doses,
)
