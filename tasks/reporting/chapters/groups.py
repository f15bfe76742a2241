"""Can one model serve all? What each group gets of each way to serve, what sharing costs it, and who is worst off."""

from __future__ import annotations

from collections.abc import Iterator

from configs.schema import CONTROL
from tasks.groups.measures import GAP, MEAN, POPULATION, WORST
from tasks.groups.tables import Groups, Voices
from tasks.judging.tables import JudgeGroups
from tasks.meta_analysis.tables import Service
from tasks.reporting.chapters.groups_figure import GROUP, ceilings_of, draw_groups, levels_of, served
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, dimension_column, numbers, span, texts
from tasks.reporting.house.document import Caution, Fold, Items, Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.effects import (
    asked,
    by_how_much,
    contrast_text,
    direction,
    not_clear,
    trusted,
)
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, interval, joined, label_sentence, raters_title, spoken

OVER_GROUPS = (WORST, GAP, MEAN, POPULATION)
TIE = 1e-9
LABELS = {WORST: "the worst group", GAP: "the gap between groups", MEAN: "the mean over groups"}


def _contrasts(results: Results, experiment: str, dimension: str) -> Iterator[Row]:
    """The pooled contrasts of two ways, with `first` and `second`; whom an interval knows must be said of each."""
    for row in results.rows(Service, experiment=experiment, dimension=dimension, architecture=""):
        if " - " in row["contrast"] and finite(row["estimate"]):
            first, second = row["contrast"].split(" - ")
            yield row | {"first": first, "second": second, "of_raters": True}


def _asked_for(results: Results, experiment: str, dimension: str) -> list[Row]:
    """The contrasts that the study names, on the measures over all groups, with `alike`: whether either way gives every
    group the same by the same judge. Then there is no gap by construction, and the worst group is the mean."""
    named = results.study.experiments[experiment].contrasts
    levels = levels_of(results, experiment, dimension)
    even = {way for way, own in levels.items() if GAP in own and abs(own[GAP]["uncorrected"]) < TIE}
    every = (
        row | {"alike": {row["first"], row["second"]} <= even}
        for row in _contrasts(results, experiment, dimension)
        if row["contrast"] in named and row["measure"] in OVER_GROUPS
    )
    return [row for row in every if not (row["alike"] and row["measure"] in (WORST, GAP))]


# ---- sentences


def _findings(results: Results) -> list[str]:
    """Of each contrast that the study names and each dimension, whether the worst off are better off."""
    sentences, every = [], served(results)
    for experiment, dimensions in every.items():
        which = f" ({results.study.experiments[experiment].title})" if len(every) > 1 else ""
        for dimension in dimensions:
            named = _asked_for(results, experiment, dimension)
            rows, doubt = _said_once(
                [row for row in named if row["measure"] in ((MEAN,) if row["alike"] else (WORST, GAP))]
            )
            clear = [_change(row) for row in rows if direction(row)]
            unclear = [f"{_what(row)} {not_clear(row)}" for row in rows if not direction(row)]
            said = [*clear, *([f"not clear: {'; '.join(unclear)}"] if unclear else [])]
            if said:
                sentences.append(
                    f"Serving all groups{which}, {spoken(results.study, dimension)}: {'; '.join(said)}{doubt}."
                )
    return sentences


def _said_once(rows: list[Row]) -> tuple[list[Row], str]:
    """The rows of one sentence, and its end: that no interval knows who was asked need not stand beside each."""
    if any(asked(row) for row in rows):
        return rows, ""
    return [row | {"of_raters": False} for row in rows], "; no interval here knows who was asked"


def _what(row: Row) -> str:
    return f"{contrast_text(row)} on {LABELS.get(row['measure'], row['measure'])}"


def _change(row: Row) -> str:
    """`robust raises the worst group against pooled by 0.05 (0.02 to 0.08)`."""
    words = ("narrows", "widens") if row["measure"] == GAP else ("lowers", "raises")
    word = words[direction(row) > 0]
    what = LABELS.get(row["measure"], row["measure"])
    return f"{row['first']} {word} {what} against {row['second']} {by_how_much(row)}"


def _how(results: Results) -> str:
    rows = [row for row in results.rows(Service, architecture="") if finite(row["estimate"])]
    known = "They know who was asked."
    if not all(asked(row) for row in rows):
        known = (
            "Where no rater replicates were trained, they do not know who was asked: other raters of the same groups "
            "might have given other models."
        )
    return (
        "Every way to serve answers the same held-out prompts, and each group's judge scores the answer that the group "
        "gets; scores are turned so that more is better. The worst group is the one with the lowest mean, the gap the "
        "distance between the highest and the lowest; chance makes the lowest of several means too low and a gap too "
        "wide, which a bootstrap over prompts corrects, most of it, so that a gap near zero can come out below it. All "
        "is pooled over architectures. Intervals know prompts, what architectures share of them, and how architectures "
        f"differ. {known} No interval knows how far a group's judge errs, the same way under every way to serve. "
        "Pooled training compares every rater's labels with every other's; ways that keep groups apart compare them "
        "within groups only, and a group's own adapter learns from its ratings alone. With few ratings that makes them "
        "worse than pooling, where groups want nearly the same."
        f"{_told(results)} "
        f"{label_sentence(results.study)}"
    ).strip()


def _told(results: Results) -> str:
    """Which ways tell the model whom it answers."""
    conditions = [item for name in served(results) for item in results.study.experiments[name].conditions.items()]
    ways = joined(dict.fromkeys(name for name, condition in conditions if condition.voices == "named"))
    if not ways:
        return ""
    return (
        f" Under {ways} the model is told the group and answers each for itself; where this report gives one score for "
        "all, it is the mean over groups."
    )


def _prices(results: Results, experiment: str, dimension: str, ceiling: str) -> list[str]:
    """What each way costs each group against its own adapter, no more than the interval says."""
    by_way: dict[str, list[Row]] = {}
    for row in _contrasts(results, experiment, dimension):
        if row["first"] == ceiling and row["second"] != CONTROL and row["measure"].startswith(GROUP):
            by_way.setdefault(row["second"], []).append(row)
    return [f"{way}, {spoken(results.study, dimension)}: {_price(results, rows)}." for way, rows in by_way.items()]


def _price_list(results: Results, experiment: str, dimensions: list[str], ceiling: str) -> list[Part]:
    """The prices of all ways, where each group has an adapter of its own."""
    if not ceiling:
        return []
    prices = [text for name in dimensions for text in _prices(results, experiment, name, ceiling)]
    intro = (
        f"The price of sharing is what a group's own adapter ({ceiling}) gives it more than a model that it shares, on "
        "the same prompts, with its 95% interval."
    )
    return [Paragraph(intro), Items(prices)] if prices else []


def _price(results: Results, rows: list[Row]) -> str:
    clauses = []
    rows, doubt = _said_once(rows)
    for sign, verb in ((1, "costs"), (-1, "gives more than their own adapters to")):
        sizes = [
            f"{_who(results, row)} {by_how_much(row).removeprefix('by ')}" for row in rows if direction(row) == sign
        ]
        if sizes:
            clauses.append(f"{verb} {joined(sizes)}")
    unclear = [row for row in rows if not direction(row)]
    if unclear:
        each = joined(f"{_who(results, row)} {not_clear(row)}" for row in unclear)
        clauses.append(f"no clear price for {each}")
    return "; ".join(clauses) + doubt


def _who(results: Results, row: Row) -> str:
    return raters_title(results.study, row["measure"].removeprefix(GROUP))


def _alike(results: Results) -> list[Part]:
    """Where no group has a judge of its own, a gap says nothing about what the groups want."""
    study = results.study
    by_dimension: dict[str, list[Row]] = {}
    for row in results.rows(JudgeGroups):
        by_dimension.setdefault(row["dimension"], []).append(row)
    none = [name for name, rows in by_dimension.items() if not any(row["used"] for row in rows)]
    some = {
        name: [raters_title(study, row["group"]) for row in rows if not row["used"]]
        for name, rows in by_dimension.items()
        if name not in none
    }
    parts: list[Part] = []
    if none:
        parts.append(Caution(
            f"On {joined(spoken(study, name) for name in none)} the groups can't be told apart: no judge of a group's "
            "own predicts its raters better than everybody's does, so all groups are judged alike. That no gap shows "
            "there between groups who get the same answers is how it is measured, not a finding; of two such ways only "
            "the mean is compared."
        ))  # fmt: skip
    told = [f"{joined(names)} on {spoken(study, name)}" for name, names in some.items() if names]
    if told:
        text = f"Judged as everybody judges, since nothing tells them from everybody: {'; '.join(told)}."
        parts.append(Paragraph(text))
    return parts


# ---- the chapter


def _parts(results: Results) -> list[Part]:
    every, ceilings = served(results), ceilings_of(results)
    if not every:
        return []
    parts: list[Part] = [Paragraph(_how(results)), *_alike(results)]
    for experiment, dimensions in every.items():
        parts += results.picture(f"served-{experiment}", f"trade-off-{experiment}", f"voices-{experiment}")
        parts += _price_list(results, experiment, list(dimensions), ceilings.get(experiment, ""))
        named = [row for name in dimensions for row in _asked_for(results, experiment, name)]
        parts += [_compared(results, named)] if named else []
        title = results.study.experiments[experiment].title
        parts.append(Fold(f"Every way to serve, {title}", [_levels(results, dimensions)]))
    judged = results.rows(JudgeGroups)
    parts += [Fold("The judges of the groups", [Paragraph(_judges()), _judge_table(results, judged)])] if judged else []
    return [*parts, SourceTables(("groups", "service", *(["judge_groups"] if judged else [])))]


def _compared(results: Results, rows: list[Row]) -> TablePart:
    return TablePart.of(
        rows,
        ("Ways", "l", contrast_text),
        dimension_column(results.study),
        ("On", "l", lambda row: row["measure"]),
        *numbers({"Difference": "estimate"}),
        ("95% CI", "r", lambda row: interval(*trusted(row))),
        ("Knows who was asked?", "l", lambda row: "yes" if asked(row) else "no"),
        *counts({"Models": "k"}),
        caption="More is better, but of the gap.",
    )


def _levels(results: Results, dimensions: dict[str, dict[str, dict[str, Row]]]) -> TablePart:
    rows = [row for levels in dimensions.values() for own in levels.values() for row in own.values()]
    return TablePart.of(
        rows,
        *texts({"Way": "contrast"}),
        dimension_column(results.study),
        ("What", "l", lambda row: _who(results, row) if row["measure"].startswith(GROUP) else row["measure"]),
        *numbers({"Level": "estimate"}),
        ("95% CI", "r", lambda row: interval(*trusted(row))),
        *numbers({"Uncorrected": "uncorrected"}),
        *counts({"Models": "k", "Prompts": "n_prompts"}),
    )


def _judges() -> str:
    return (
        "Everybody's judge, on the raters' scale, is held against one made of the group's ratings, both on prompts "
        "that they have not seen. A group has a judge of its own only where that makes its squared error smaller, by "
        "a gain whose 95% interval over prompts lies above zero. Agreement is Spearman's rank correlation with the "
        "means of the raters: of the group's judge with its own raters, of everybody's judge with them, and of the "
        "group's judge with all others."
    )


def _judge_table(results: Results, rows: list[Row]) -> TablePart:
    return TablePart.of(
        rows,
        ("Group", "l", lambda row: raters_title(results.study, row["group"])),
        dimension_column(results.study),
        *counts({"Ratings": "n_ratings", "Prompts": "n_prompts"}),
        *numbers({"Own": "spearman_own", "Everybody's": "spearman_everybody", "Others": "spearman_others"}, 2),
        *numbers({"Gain": "gain"}, 4),
        span("95% CI", "gain_low", "gain_high", 4),
        ("Own judge", "l", lambda row: "yes" if row["used"] else f"no: {row['why_not']}"),
    )


CHAPTER = Chapter(
    "serving-groups",
    "Can one model serve all?",
    [Groups, Service, JudgeGroups, Voices],
    findings=_findings,
    parts=_parts,
    figures=draw_groups,
)
