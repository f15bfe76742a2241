"""How sure: the interval over architectures beside the one that knows who was asked, the placebo, and where the error
comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from configs.placebo import PLACEBO
from configs.schema import CONTROL
from tasks.effects.identity import KEYS
from tasks.effects.tables import ReplicateEffects
from tasks.meta_analysis.tables import LeaveOneOut, Pooled, VarianceComponents
from tasks.reporting.chapters.certainty_figure import draw_certainty
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import effect_of, numbers, shares, texts
from tasks.reporting.house.document import Fold, Items, Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.effects import SIGNIFICANT, asked, direction, effect_text, excludes_zero, with_interval
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, interval, joined, number, roughly, whole

TWICE = {
    "raters": "twice as many raters",
    "prompts": "twice as many held-out prompts",
    "seeds": "twice as many seeds",
    "architectures": "twice as many architectures",
}
FROM = {
    "raters": "who was asked",
    "prompts": "the prompts",
    "seeds": "the seeds",
    "judge": "the judge",
    "architectures": "differences between architectures",
}
NAMED = 5
"""So many differences at most have a line of their own among the findings."""
ENOUGH_SPLITS = 20
"""Placebo splits with which false alarms at one in twenty can be told from none."""
BLIND_TO = (
    "No interval knows what no repetition here shows: a judge that errs the same way everywhere or more for "
    "one group's answers than for another's, people whom nobody asked at all, prompts of another kind"
)
"""What even the full interval leaves out."""


def headline(results: Results) -> list[Row]:
    """The differences between conditions that the study is about, each with `parts`: its sources of error by name."""
    every = [row for row in results.pooled() if row["focus"] and finite(row["estimate"])]
    shown = [row for row in every if row["second"] != CONTROL and row["experiment"] != PLACEBO]
    return _with_parts(results, shown or [row for row in every if row["experiment"] != PLACEBO])


def _with_parts(results: Results, pooled: list[Row]) -> list[Row]:
    parts: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in results.rows(VarianceComponents):
        parts.setdefault((row["experiment"], row["contrast"], row["dimension"]), {})[row["source"]] = row
    return [row | {"parts": parts.get((row["experiment"], row["contrast"], row["dimension"]), {})} for row in pooled]


# ---- sentences


def _findings(results: Results) -> list[str]:
    """Which differences stay clear once the interval knows who was asked, and what the placebo says."""
    shown = headline(results)
    if not shown:
        return []
    known = [row for row in shown if asked(row)]
    if not known:
        return [
            "How sure: no interval of this report knows who was asked, since all architectures learn from the same "
            "raters; other raters might have given other effects. Rater replicates measure it (raters.replicates in "
            "the study)."
        ]
    clear, plain = ([row for row in known if test(row)] for test in (direction, lambda row: excludes_zero(row, "")))
    unknown = sum(bool(direction(row)) for row in shown if not asked(row))
    of = f"{whole(len(known))} differences" if len(known) > 1 else "one difference"
    ways = "different raters" if all(row["of_raters"] for row in known) else "different raters or in other ways"
    text = (
        f"How sure: of {of} between models that learned from {ways}, on what they were trained for, "
        f"{_are_clear(len(clear))} once it counts that other people might have been asked (the full interval)"
    )
    text += f", {_after_holm(clear)} after Holm's adjustment" if clear else ""
    text += f"; by the interval over architectures alone {_are_clear(len(plain))}"
    if unknown:
        verb = "is" if unknown == 1 else "are"
        text += f". In other experiments {whole(unknown)} {verb} clear by intervals that do not know who was asked"
    lines = [_verdict_line(results, row) for row in sorted(known, key=lambda row: not direction(row))[:NAMED]]
    return [f"{text}.", *lines, *filter(None, [_placebo(results)])]


def _are_clear(n: int) -> str:
    """`none is clear`, `1 is clear`, `2 are clear`."""
    return f"{whole(n) if n else 'none'} {'is' if n < 2 else 'are'} clear"


def _after_holm(clear: list[Row]) -> str:
    firm = sum(row["total_p_holm"] < SIGNIFICANT for row in clear)
    return "also" if firm == len(clear) else whole(firm) if firm else "none"


def _verdict_line(results: Results, row: Row) -> str:
    """`female − male on toxicity −0.015 (−0.033 to 0.003): open, though clear by architectures alone; about 80% …`"""
    whole_set = results.rows(LeaveOneOut, **{key: row[key] for key in KEYS})
    lost = [other["without"] for other in whole_set if direction(other) != direction(row)]
    if direction(row):
        verdict = ["clear", *([] if row["total_p_holm"] < SIGNIFICANT else ["but not after Holm's adjustment"])]
        verdict += [f"nor without one or another of {len(lost)} of {whole(row['k'])} architectures"] if lost else []
    else:
        verdict = ["open", *(["though clear by architectures alone"] if excludes_zero(row, "") else [])]
    reasons = [", ".join(verdict), *_of_whom(row), *_nothing_shared(row)]
    return f"{effect_text(results.study, row)} {with_interval(row)}: {'; '.join(reasons)}."


def _of_whom(row: Row) -> list[str]:
    """How much of the error is from who was asked, where that is known."""
    share = row["parts"]["raters"]["share"] if "raters" in row["parts"] else math.nan
    return [f"{roughly(share)} of its error is from who was asked"] if finite(share) else []


def _nothing_shared(row: Row) -> list[str]:
    """A warning where replicates show no error that architectures share, which few of them may do by chance."""
    if row["n_replicates"] < 2 or row["k"] < 2 or row["raters_shared_std_error"] > 0:
        return []
    return [
        f"its {whole(row['n_replicates'])} replicates show nothing of who was asked that the architectures share, "
        "which may be chance, and then the full interval is too narrow"
    ]


def _placebo(results: Results) -> str:
    """What comes out where nothing is to be found."""
    tested = [row for row in results.pooled() if row["experiment"] == PLACEBO and finite(row["estimate"])]
    if not tested:
        return ""
    plain, full = (sum(excludes_zero(row, which) for row in tested) for which in ("", "total_"))
    size = math.sqrt(sum(row["estimate"] ** 2 for row in tested) / len(tested))
    errors = [row["total_std_error"] for row in tested if finite(row["total_std_error"])]
    error = math.sqrt(sum(value**2 for value in errors) / len(errors)) if errors else math.nan
    beside = f" beside a standard error of {number(error, 4)}" if errors else ""
    full_text = f" and the full one {whole(full)}" if errors else ""
    splits = len({row["contrast"] for row in tested})
    drawn = "one split of the raters" if splits == 1 else f"{whole(splits)} splits of the raters"
    few = "" if splits >= ENOUGH_SPLITS else (
        f", too few to tell how often an interval raises a false alarm (placebo={ENOUGH_SPLITS} makes more)"
    )  # fmt: skip
    return (
        "Check for false alarms (placebo): two random halves of the raters should give no clear difference; of "
        f"{whole(len(tested))} such effects, the interval over architectures alone calls {whole(plain)} different from "
        f"zero{full_text}; their size is {number(size, 4)} (root mean square){beside}. They are of {drawn}{few}."
    )


def _why(results: Results) -> str:
    text = (
        "An effect could have come out otherwise for several reasons: other people might have been asked, other "
        "prompts put to the models, other architectures trained, another judge used. The usual interval over "
        "architectures knows how they differ, but all of them learned from the same raters: that they agree says "
        "nothing about who was asked."
    )
    if not any(map(asked, results.pooled())):
        return f"{text} Here nobody's replicates were trained, so no interval knows that."
    replicates = max(row["n_replicates"] for row in results.pooled())
    several = results.study.seeds > 1
    seeds = "seeds among it" if several else "with whatever one seed each adds to that"
    return (
        f"{text} So every model of a contrast with a full interval was trained {whole(replicates)} times more, each "
        "time with every rater weighted anew at random, as if other people had been asked (the Bayesian bootstrap). "
        "How far the effects then spread is the part of the error that lies in who was asked. The full interval has "
        f"it, the prompts that architectures share, and how far architectures differ, {seeds}. {BLIND_TO}."
    )


def _narrower(row: Row) -> str:
    """`most of the error is from who was asked (about 60%); twice as many raters …`, or the largest part of it."""
    known = [part for part in row["parts"].values() if finite(part["share"])]
    most = max(known, key=lambda part: part["share"])
    source, share = most["source"], roughly(most["share"])
    text = f"{'most' if most['share'] > 0.5 else 'the largest part'} of the error is from {FROM[source]} ({share})"
    if source in TWICE:
        text += f"; {TWICE[source]} would make the interval {roughly(most['narrower'])} narrower"
    return "; ".join([text, *_nothing_shared(row)])


# ---- the chapter


def _parts(results: Results) -> list[Part]:
    shown = headline(results)
    if not shown:
        return []
    known = [row for row in shown if any(finite(part["share"]) for part in row["parts"].values())]
    known = [row for row in known if finite(row["total_std_error"])] or known  # the fold below has all
    sentences = [f"{effect_text(results.study, row)}: {_narrower(row)}." for row in known]
    return [
        Paragraph(_why(results)),
        *results.picture("certainty"),
        _table(results, shown),
        *([Paragraph(_placebo(results))] if _placebo(results) else []),
        *([Items(sentences)] if sentences else []),
        *_components(results),
        SourceTables(("pooled", "variance_components", "replicate_effects")),
    ]


def _table(results: Results, shown: Sequence[Row]) -> TablePart:
    reported = ", as the paper reports it" if results.has_published else ""
    return TablePart.of(
        shown,
        *effect_of(results.study),
        ("Different from zero?", "l", _verdict),
        *numbers({"Effect": "estimate"}),
        ("Full 95% CI", "r", lambda r: interval(r["total_ci_low"], r["total_ci_high"])),
        ("HKSJ", "r", lambda r: interval(r["hksj_ci_low"], r["hksj_ci_high"])),
        ("Architectures alone", "r", lambda r: interval(r["ci_low"], r["ci_high"])),
        caption=f"95% intervals. Architectures alone: DerSimonian–Laird with Wald's{reported}; HKSJ: made for few "
        "architectures. Full: with the spread between architectures, shared prompts, and who was asked. Different from "
        "zero where all that there are exclude it.",
    )


def _verdict(row: Row) -> str:
    """Whether all intervals of an effect exclude zero; where only one of the two that stand beside it does, which."""
    if direction(row):
        return "yes" if asked(row) else "yes, but no interval knows who was asked"
    if excludes_zero(row, "total_"):
        return "not by all: HKSJ's holds zero" if excludes_zero(row, "") else "by the full one alone"
    return "no; yes by architectures alone" if excludes_zero(row, "") else "no"


def _components(results: Results) -> list[Part]:
    rows = results.rows(VarianceComponents)
    if not rows:
        return []
    missing = [name for name in FROM if not any(r["source"] == name and finite(r["share"]) for r in rows)]
    text = (
        "Shares of the variance of each pooled effect, and by how much its interval narrows with twice as many. All "
        "but the judge's add up to the variance of the full interval; the judge's is in that of effects on the raters' "
        "scale. With few replicates and architectures, shares are rough."
    )
    text += f" Not measured in this study: {joined(FROM[name] for name in missing)}." if missing else ""
    table = TablePart.of(
        [row for row in rows if finite(row["share"])],
        *(*texts({"Experiment": "experiment"}), *effect_of(results.study), *texts({"Source": "source"})),
        *(*shares({"Share": "share"}), *shares({"Narrower": "narrower"})),
    )
    return [Fold("Where the error of every effect comes from", [Paragraph(text), table])]


CHAPTER = Chapter(
    "certainty",
    "How sure?",
    [Pooled, VarianceComponents, ReplicateEffects, LeaveOneOut],
    findings=_findings,
    parts=_parts,
    figures=draw_certainty,
)
