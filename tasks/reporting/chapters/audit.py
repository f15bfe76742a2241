"""Whose voice is in the data, and what every condition does to it."""

from __future__ import annotations

from collections.abc import Sequence

from configs.schema import Study
from tasks.audit.tables import Audit, FilteredRaters, PopulationWeights
from tasks.reporting.chapters.audit_figure import draw_audit
from tasks.reporting.chapters.audit_voices import each_group, voices
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, numbers, p_values, shares, texts
from tasks.reporting.house.document import Caution, Fold, Paragraph, Part, TablePart
from tasks.reporting.house.effects import SIGNIFICANT
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    finite,
    joined,
    named,
    number,
    p_is,
    percent,
    raters_label,
    raters_title,
    stratum_title,
    whole,
)

SHARES = ("share_of_participants", "share_of_ratings")
EVERYBODY = "all"
NAMED = 3
"""A sentence names at most so many conditions that tie."""
FEWEST_PAIRS = 10
"""A share of fewer response pairs than this is not called the largest: it says little."""
TIE = 1e-9


def _findings(results: Results) -> list[str]:
    """One sentence: what is retained, and whose majority loses more often than chance lets it."""
    study, audited = results.study, voices(results)
    sentences = [*_retained(study, audited), *_beyond_chance(study, audited)]
    clauses = [f"{sentence[:1].lower()}{sentence[1:-1]}" for sentence in sentences]
    return [f"Whose voice is in the data: {'; '.join(clauses)}."] if clauses else []


def _parts(results: Results) -> list[Part]:
    """What is measured, the extremes in words, the figure, and the whole table behind a fold."""
    study, audited = results.study, voices(results)
    if not audited:
        return []
    text = (
        "Every rating of a training prompt is followed through stratum, filter of raters, balance, scale, aggregation "
        "and pairs. It is "
        "retained if in the end its response has a label, and that label is the rating's own. A group's voice is its "
        "part of the weight that trains, over its part of the ratings. On a pair of responses, a group's majority is "
        "the response that its own ratings prefer: it loses where the condition prefers the other one, counted among "
        "the pairs on which both prefer one, and is unheard where the condition prefers neither. A small group's "
        "majority rests on few ratings and loses more often by chance alone, so compare groups of like size. Groups "
        "overlap: shares need not sum to one."
    )
    extremes = (_sizes, _voice, _retained, _majorities, _beyond_chance)
    sentences = [sentence for extreme in extremes for sentence in extreme(study, audited)]
    words = [Paragraph(f"{' '.join(sentences)} {raters_label(study)}".strip())] if sentences else []
    shown = [*words, *_small(study, audited), *results.picture("audit"), _full(study, audited)]
    return [Paragraph(text), *shown, *_weighted(results), *_filtered(results)]


# ---- sentences


def _raters(study: Study, row: Row) -> str:
    return f"{stratum_title(study, row['stratum'])} raters"


def _sizes(study: Study, audited: list[Row]) -> list[str]:
    """The largest and the smallest group, by participants and by ratings."""
    groups = [row for row in each_group(audited) if finite(row["share_of_participants"], row["share_of_ratings"])]
    if len(groups) < 2:
        return [f"The only group: {_size(study, row)}." for row in groups]
    if all(len({percent(row[key]) for row in groups}) == 1 for key in SHARES):
        people, ratings = (percent(groups[0][key]) for key in SHARES)
        return [f"Each of {len(groups)} groups is {people} of the participants and gave {ratings} of the ratings."]
    by_people, by_ratings = (sorted(groups, key=lambda row: row[key]) for key in SHARES)
    if by_people[0] is by_ratings[0] and by_people[-1] is by_ratings[-1]:
        most, least = (_size(study, by_people[end]) for end in (-1, 0))
        return [f"The largest of {len(groups)} groups: {most}. The smallest: {least}."]
    ends = [
        f"from {percent(order[0][key])} ({_raters(study, order[0])}) to {percent(order[-1][key])} "
        f"({_raters(study, order[-1])})"
        for order, key in zip((by_people, by_ratings), SHARES, strict=True)
    ]
    return [f"The {len(groups)} groups are {ends[0]} of the participants, and gave {ends[1]} of the ratings."]


def _size(study: Study, row: Row) -> str:
    """`white raters, 66.0% of the participants (723) and 65.2% of the ratings (2,680)`."""
    counts = [f" ({whole(row[key])})" if finite(row[key]) else "" for key in ("n_participants", "n_ratings")]
    shares = [
        f"{percent(row[key])} of the {what}" for key, what in zip(SHARES, ("participants", "ratings"), strict=True)
    ]
    return f"{_raters(study, row)}, {shares[0]}{counts[0]} and {shares[1]}{counts[1]}"


def _voice(study: Study, audited: list[Row]) -> list[str]:
    """Which group's voice a condition on everybody's ratings makes smallest, and which largest."""
    known = [row for row in audited if row["open"] and finite(row["voice"]) and not row["small"]]
    if len(known) < 2:
        return []
    low, high = (
        f"{_raters(study, row)} under {row['name']} ({number(row['voice'], 2)})"
        for row in (end(known, key=lambda row: row["voice"]) for end in (min, max))
    )
    return [f"Where everybody's ratings go in, the smallest voice is that of {low}, the largest that of {high}."]


def _retained(study: Study, audited: list[Row]) -> list[str]:
    """Which of the conditions on everybody's ratings keeps least, and which most, of what each group said."""
    known = [row for row in audited if row["open"] and finite(row["retained"])]
    names = list(dict.fromkeys(row["name"] for row in known))
    if len(names) < 2:
        return [f"The one condition on everybody's ratings, {name}, retains {_span(study, known)}." for name in names]
    least, most = (_extremes(study, known, sign) for sign in (1, -1))
    if least == most:
        return [f"All {len(names)} conditions on everybody's ratings retain as much of what each group said."]
    return [
        f"Of {len(names)} conditions on everybody's ratings, least of what each group said is retained under {least}, "
        f"and most under {most}."
    ]


def _extremes(study: Study, known: list[Row], sign: int) -> str:
    """The conditions at one end; groups at whose end others stand are told apart."""
    ends: dict[tuple[str, ...], list[Row]] = {}
    for stratum in dict.fromkeys(row["stratum"] for row in known):
        own = [row for row in known if row["stratum"] == stratum]
        best = min(sign * row["retained"] for row in own)
        tied = [row for row in own if sign * row["retained"] <= best + TIE]
        ends.setdefault(tuple(row["name"] for row in tied), []).append(tied[0])
    return " or under ".join(f"{named(names, NAMED)} ({_span(study, group)})" for names, group in ends.items())


def _span(study: Study, group: Sequence[Row]) -> str:
    """`12.0% for black raters to 15.1% for white raters`; `100.0%` where it is the same for all of several."""
    low, high = (end(group, key=lambda row: row["retained"]) for end in (min, max))
    ends = [f"{percent(row['retained'])} for {_raters(study, row)}" for row in (low, high)]
    if len(group) == 1:
        return ends[0]
    same = percent(low["retained"]) == percent(high["retained"])
    return f"{percent(low['retained'])} for {len(group)} groups" if same else " to ".join(ends)


def _majorities(study: Study, audited: list[Row]) -> list[str]:
    """Whose majority loses and whose is unheard most often, of those with ten pairs or more."""
    everybody, own = ([row for row in audited if row["open"] is value] for value in (True, False))
    count = len({row["name"] for row in own})
    alone = f"Of the {count} condition{'' if count == 1 else 's'} on one group's ratings, the"
    return [
        *_most(study, everybody, "The", "loses", "majority_loses", "heard"),
        *_most(study, everybody, "The", "is unheard", "majority_unheard", "n_majorities"),
        *_most(study, own, alone, "loses", "majority_loses", "heard"),
    ]


def _most(study: Study, audited: list[Row], start: str, verb: str, key: str, n: str) -> list[str]:
    """`The majority that loses most often is that of black raters under consensus: 31.0% of 120 response pairs.`"""
    known = [row for row in audited if finite(row[key]) and row[key] > 0 and row[n] >= FEWEST_PAIRS]
    if not known:
        return []
    top = max(known, key=lambda row: (row[key], row[n]))
    alike = [row for row in known if row["stratum"] == top["stratum"] and row[n] == top[n]]
    same = [row["name"] for row in alike if top[key] - row[key] <= TIE]
    of = f"{percent(top[key])} of {whole(top[n])} response pairs"
    chance = f" (random groups of as many lose {percent(top['chance_loses'])})" if key == "majority_loses" else ""
    who = f"{_raters(study, top)} under {named(same, NAMED)}"
    return [f"{start} majority that {verb} most often is that of {who}: {of}{chance}."]


def _beyond_chance(study: Study, audited: list[Row]) -> list[str]:
    """Whose majority loses more than random groups of its size do, by twice their standard deviation."""
    known = [
        row for row in audited if row["open"] and finite(row["majority_loses"], row["chance_loses"], row["chance_sd"])
    ]
    over = [row for row in known if row["majority_loses"] > row["chance_loses"] + 2 * row["chance_sd"] + TIE]
    if not known:
        return []
    names = [f"{_raters(study, row)} under {row['name']}" for row in over]
    return [
        "Under conditions on everybody's ratings, these majorities lose more often than those of random groups of the "
        f"same size, by over two standard deviations: {named(names, NAMED) or 'none'} ({len(over)} of {len(known)}; "
        "chance: one in forty)."
    ]


def _small(study: Study, audited: list[Row]) -> list[Part]:
    """A warning about groups of few participants."""
    small = [
        f"{stratum_title(study, row['stratum'])} ({whole(row['n_participants'])})"
        for row in each_group(audited)
        if row["small"]
    ]
    few = study.survey.min_participants
    text = f"Fewer than {few} participants (†): {joined(small)}. Their numbers say little about others like them."
    return [Caution(text)] if small else []


# ---- the table


def _chance(row: Row) -> str:
    """`14.5% ± 1.8`: mean and standard deviation over random groups."""
    mean, spread = row["chance_loses"], row["chance_sd"]
    return f"{percent(mean)} ± {number(100 * spread, 1)}" if finite(mean) else DASH


def _full(study: Study, audited: list[Row]) -> Fold:
    """Each group, and every condition with every group."""
    groups = TablePart.of(
        each_group(audited),
        *(*texts({"Group": "group"}), *counts({"Participants": "n_participants"})),
        *shares({"Share": "share_of_participants"}),
    )
    every = TablePart.of(
        audited,
        *(*texts({"Condition": "name", "Group": "group"}), *counts({"Ratings": "n_ratings"})),
        *shares({"Share of ratings": "share_of_ratings", "Share of preferences": "share_of_preferences"}),
        *(*numbers({"Voice": "voice"}, 2), *shares({"Retained": "retained", "Majority loses": "majority_loses"})),
        *(("by chance", "r", _chance), *counts({"of pairs": "heard"})),
        *(*shares({"Majority unheard": "majority_unheard"}), *counts({"of pairs": "n_majorities"})),
    )
    text = f"Voice: share of preferences, of the weight that trains, over share of ratings. {raters_label(study)}"
    return Fold("All conditions and groups", [Paragraph(text.strip()), groups, every])


# ---- weights of a population


def _weighted(results: Results) -> list[Part]:
    """What it costs to weigh raters so that they stand for a population."""
    study, rows = results.study, results.rows(PopulationWeights)
    if not rows:
        return []
    told = "; ".join(
        f"under {row['condition']}, {whole(row['n_participants'])} raters tell as much as "
        f"{whole(row['effective_participants'])} of equal weight (design effect {number(row['design_effect'], 2)})"
        for row in rows
        if row["stratum"] == EVERYBODY
    )
    text = (
        "Raters who are weighted to stand for a population tell less than as many who all weigh the same; the design "
        "effect says how many times as many it takes to make up for that"
    )
    table = TablePart.of(
        rows,
        *texts({"Condition": "condition"}),
        ("Raters", "l", lambda row: raters_title(study, row["stratum"])),
        *counts({"With a weight": "n_participants", "Without": "n_without"}),
        *numbers({"Worth": "effective_participants"}, 1),
        *numbers({"Design effect": "design_effect"}, 2),
    )
    return [Paragraph(f"{text}{': ' if told else ''}{told}. {raters_label(study)}".strip()), table]


# ---- rater filters


def _filtered(results: Results) -> list[Part]:
    """Whom the conditions' rater filters leave out, by group, beside what as many at random would."""
    study, rows = results.study, results.rows(FilteredRaters)
    if not rows:
        return []
    groups = [row for row in rows if row["stratum"] != EVERYBODY]
    differs = [row for row in groups if row["p_chance"] < SIGNIFICANT]
    told = "; ".join(_leaves_out(study, row) for row in differs) or "no group has"
    text = (
        "Whom the filters of raters leave out. A filter can silence those who answer differently from most, so each "
        "group's share stands beside what the filter leaves out of everybody; p is of as many raters drawn at random, "
        f"and of {whole(len(groups))} comparisons about {number(SIGNIFICANT * len(groups), 1)} would have p < .05 by "
        f"chance: {told}."
    )
    table = TablePart.of(
        rows,
        ("Condition", "l", lambda row: row["condition"]),
        ("Raters", "l", lambda row: raters_title(study, row["stratum"])),
        *counts({"Number": "n_participants", "Left out": "left_out"}),
        *shares({"Share": "share_left_out", "of everybody": "expected"}),
        *p_values({"p": "p_chance"}),
        *shares({"Share of ratings": "share_of_ratings_left_out"}),
    )
    return [Paragraph(f"{text} {raters_label(study)}".strip()), table]


def _leaves_out(study: Study, row: Row) -> str:
    """`doubtful-10 leaves out 15.0% of black raters (10.0% of everybody; p .003)`."""
    shares = f"{percent(row['share_left_out'])} of {_raters(study, row)} ({percent(row['expected'])} of everybody"
    return f"{row['condition']} leaves out {shares}; p {p_is(row['p_chance'])})"


CHAPTER = Chapter(
    "audit",
    "Whose voice is in the data",
    [Audit, FilteredRaters, PopulationWeights],
    findings=_findings,
    parts=_parts,
    figures=draw_audit,
)
