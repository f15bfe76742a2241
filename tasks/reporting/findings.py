"""What the report says in sentences.

Findings claim no more than their intervals allow; the banner and the outline of the study say what they rest on.
"""

from __future__ import annotations

import math

from configs.schema import CONTROL, Contrast, Study
from tasks.methods import methods_of
from tasks.reporting.audit_section import audit_finding
from tasks.reporting.facts import Facts
from tasks.reporting.judge_section import judge_finding
from tasks.reporting.paper import known_ratios
from tasks.reporting.regression_section import regression_finding
from tasks.reporting.tables import Row, Tables, contrast_text, pooled_rows, rows
from tasks.reporting.words import (
    DASH,
    MINUS,
    better,
    finite,
    in_sentence,
    interval,
    joined,
    label_sentence,
    many,
    number,
    percent,
    stratum_title,
    title_of,
    whole,
)

SIGNIFICANT = 0.05
WITHOUT = ("estimate", "ci_low", "ci_high", "hksj_ci_low", "hksj_ci_high")
WELL_FORMED = 0.95
"""Below this share of well-formed outputs a score says little: garbage is not toxic."""


# ---- sentences


def direction(row: Row) -> int:
    """-1 or 1 where the 95% interval lies wholly below or above zero; 0 where it doesn't, or where there is none.

    A pooled effect has two, Wald's and HKSJ's: both must agree.
    """
    if not finite(row["estimate"], row["ci_low"], row["ci_high"]):
        return 0
    low, high = row["ci_low"], row["ci_high"]
    if finite(row.get("hksj_ci_low", math.nan)):
        low, high = min(low, row["hksj_ci_low"]), max(high, row["hksj_ci_high"])
    return 1 if low > 0 else -1 if high < 0 else 0


def honest(row: Row) -> tuple[float, float]:
    """The HKSJ interval, which covers as it should also where few are pooled; without one, Wald's."""
    low, high = row.get("hksj_ci_low", math.nan), row.get("hksj_ci_high", math.nan)
    return (low, high) if finite(low, high) else (row["ci_low"], row["ci_high"])


def findings(study: Study, tables: Tables) -> list[str]:
    """The study's results as plain sentences, survey first."""
    sentences = [*_disagreement(study, tables), *_cooccurrence(study, tables), *_survey_contrasts(study, tables)]
    sentences += [*regression_finding(study, tables), *audit_finding(study, tables)]
    for name in study.experiments:
        sentences += _experiment_in_short(study, tables, name)
    return [
        *sentences,
        *ratio_sentences(study, tables),
        *judge_finding(study, tables),
        *marked_sentences(study, tables),
        *_health(tables),
        *_failures(tables),
    ]


def _disagreement(study: Study, tables: Tables) -> list[str]:
    found = [row for row in rows(tables, "disagreement") if finite(row["disagreement"], row["n_responses"])]
    total = sum(row["n_responses"] for row in found)
    if not total:
        return []
    mean = sum(row["disagreement"] * row["n_responses"] for row in found) / total
    low, high = (end(found, key=lambda row: row["disagreement"]) for end in (min, max))
    each = [f"{percent(row['disagreement'])} ({in_sentence(title_of(study, row['dimension']))})" for row in (low, high)]
    span = f", from {each[0]} to {each[1]}" if len(found) > 1 else ""
    return [f"Raters of the same response disagreed in {percent(mean)} of cases{span.replace(', to', ' to')}."]


def _cooccurrence(study: Study, tables: Tables) -> list[str]:
    """The most frequent contradiction: a good quality seen together with a bad one."""
    sign = {name: dimension.better for name, dimension in study.dimensions.items()}
    mixed = [
        row
        for row in rows(tables, "cooccurrence")
        if finite(row["probability"]) and sign.get(row["row"]) == "higher" and sign.get(row["column"]) == "lower"
    ]
    if not mixed:
        return []
    top = max(mixed, key=lambda row: row["probability"])
    seen, also = (in_sentence(title_of(study, top[side])) for side in ("row", "column"))
    return [f"Of the ratings that saw {seen} in a response, {percent(top['probability'])} also saw {also} in it."]


def survey_rows(study: Study, tables: Tables) -> list[Row]:
    """Survey differences on the dimensions that a contrast is about, each once."""
    focus: dict[str, set[str]] = {}
    for experiment in study.experiments.values():
        for name, contrast in experiment.contrasts.items():
            focus.setdefault(name, set()).update(contrast.focus)
    once = {(row["contrast"], row["dimension"]): row for row in rows(tables, "survey_contrasts")}
    return [row for (name, dimension), row in once.items() if not focus.get(name) or dimension in focus[name]]


def _survey_contrasts(study: Study, tables: Tables) -> list[str]:
    said = []
    for row in survey_rows(study, tables):
        first, second = (stratum_title(study, side) for side in row["contrast"].partition(" - ")[::2])
        what = in_sentence(title_of(study, row["dimension"]))
        if direction(row):
            word = "higher" if row["estimate"] > 0 else "lower"
            said.append(f"{first} raters gave {word} ratings of {what} than {second} raters, {_size(row)}")
        elif finite(row["estimate"]):
            said.append(f"no clear difference in {what} between {first} and {second} raters {_around(row)}")
    return [f"In the survey (0–1; 95% CI in brackets): {'; '.join(said)}."] if said else []


def _experiment_in_short(study: Study, tables: Tables, name: str) -> list[str]:
    """A sentence for each dimension: how many effects are clear, and the largest."""
    found = [row for row in pooled_rows(study, tables, name) if row["focus"] and finite(row["estimate"])]
    said = []
    for dimension in study.evaluation.dimensions:
        own = [row for row in found if row["dimension"] == dimension]
        parts = [_clear(rows_, which) for which, rows_ in _two_kinds(own) if rows_]
        title = (
            f"{study.experiments[name].title}, {in_sentence(title_of(study, dimension))} ({better(study, dimension)}"
        )
        said += [f"{title}; {_ks(own)}): {'; '.join(parts)}."] if parts else []
    return said


def _two_kinds(found: list[Row]) -> list[tuple[str, list[Row]]]:
    against = [row for row in found if row["second"] == CONTROL]
    between = [row for row in found if row["second"] != CONTROL]
    return [("effect against no fine-tuning", against), ("difference between conditions", between)]


def _clear(found: list[Row], which: str) -> str:
    """`of 3 differences between conditions 1 is clear: all − consensus −0.092 (−0.144 to −0.041)`."""
    clear = sorted((row for row in found if direction(row)), key=lambda row: -abs(row["estimate"]))
    one = f"the one {which}" if len(found) == 1 else f"of {len(found)} {which.replace(' ', 's ', 1)}"
    if not clear:
        return f"{one} is not clear: {_named(found[0])}" if len(found) == 1 else f"{one} none is clear"
    firm = sum(row["hksj_p_holm"] < SIGNIFICANT for row in clear)
    count = "is clear" if len(found) == 1 else f"{len(clear)} {'is' if len(clear) == 1 else 'are'} clear"
    count_after = ("also" if firm else "not") if len(found) == 1 else firm or "none"
    known = finite(*(row["hksj_p_holm"] for row in clear))
    after = f", {count_after} after Holm's adjustment" if known else ""
    return f"{one} {count}{after}{', the largest' if len(clear) > 1 else ''}: {_named(clear[0])}"


def _named(row: Row) -> str:
    name = row["first"] if row["second"] == CONTROL else contrast_text(row)
    return f"{name} {number(row['estimate'])} ({interval(*honest(row))})"


def ratio_sentences(study: Study, tables: Tables) -> list[str]:
    """One sentence on the ratios that the study names."""
    said = [ratio_text(study, row) for row in known_ratios(study, tables)]
    return [f"Ratios of effects (95% CI in brackets): {'; '.join(said)}."] if said else []


def marked_sentences(study: Study, tables: Tables) -> list[str]:
    """How many pooled effects rest on marked runs, and which are clear with them only, or without them only."""
    found = [row for name in study.experiments for row in pooled_rows(study, tables, name) if row["focus"]]
    marked = [row for row in found if row["n_marked"] > 0]
    if not marked:
        return []
    changed = [row for row in marked if direction(row) != direction({key: row[f"unmarked_{key}"] for key in WITHOUT})]
    names = joined(f"{contrast_text(row)} on {in_sentence(title_of(study, row['dimension']))}" for row in changed)
    what = f"whether an effect is clear changes for {names}" if changed else "what is clear stays clear"
    return [
        f"{len(marked)} of {len(found)} pooled effects rest on training runs that fail a limit of health. Without "
        f"these runs, {what}."
    ]


def ratio_text(study: Study, row: Row) -> str:
    """`5-point moved toxicity 1.20 (0.98 to 1.81) times as much as binary, not clearly different from 1`."""
    of, to = (Contrast(row[side]).sides for side in ("of", "to"))
    names = [side[0] if side[1] == CONTROL else f"{side[0]} {MINUS} {side[1]}" for side in (of, to)]
    what = in_sentence(title_of(study, row["dimension"]))
    if not finite(row["ci_low"], row["ci_high"]):
        return f"{names[0]} to {names[1]} on {what}: no bounds, since the effect of {names[1]} may be zero"
    doubt = ", not clearly different from 1" if row["ci_low"] <= 1 <= row["ci_high"] else ""
    span = f"{number(row['ratio'], 2)} ({interval(row['ci_low'], row['ci_high'], 2)})"
    theirs = f" (published: {number(row['published'], 2)})" if finite(row["published"]) else ""
    return f"{names[0]} moved {what} {span} times as much as {names[1]}{doubt}{theirs}"


def in_words(study: Study, tables: Tables, name: str) -> list[str]:
    """A paragraph for each dimension of an experiment: against control, then between conditions."""
    found = [row for row in pooled_rows(study, tables, name) if row["focus"] and finite(row["estimate"])]
    paragraphs = []
    for dimension in study.evaluation.dimensions:
        own = [row for row in found if row["dimension"] == dimension]
        what, way = in_sentence(title_of(study, dimension)), better(study, dimension)
        said = [*_against_control(what, own), *_between(what, own)]
        title = f"{study.experiments[name].title}, {what} ({way}; {_ks(own)}; 95% CI (HKSJ) in brackets)"
        paragraphs += [f"{title}: {'; '.join(said)}."] if said else []
    return paragraphs


def _ks(found: list[Row]) -> str:
    """`k = 7`, or `k from 5 to 7`: over how many architectures effects are pooled."""
    ks = [row["k"] for row in found if finite(row["k"])]
    if not ks:
        return "k unknown"
    return f"k = {whole(ks[0])}" if min(ks) == max(ks) else f"k from {whole(min(ks))} to {whole(max(ks))}"


def _against_control(what: str, found: list[Row]) -> list[str]:
    against, said = [row for row in found if row["second"] == CONTROL], []
    for sign, verb in ((-1, "lowered"), (1, "raised")):
        clear = sorted((row for row in against if direction(row) == sign), key=lambda row: -abs(row["estimate"]))
        if clear:
            sizes = joined(f"{row['first']} {_size(row)}" for row in clear)
            said.append(f"training {verb} {what} against no fine-tuning: {sizes}")
    unclear = [f"{row['first']} {_around(row)}" for row in against if not direction(row)]
    return [*said, f"no clear difference from no fine-tuning: {joined(unclear)}"] if unclear else said


def _between(what: str, found: list[Row]) -> list[str]:
    between, said = [row for row in found if row["second"] != CONTROL], []
    for sign, word in ((-1, "lower"), (1, "higher")):
        clear = [f"{row['first']} than on {row['second']} {_size(row)}" for row in between if direction(row) == sign]
        said += [f"{what} was {word} after training on {joined(clear)}"] if clear else []
    unclear = [f"{row['first']} and {row['second']} {_around(row)}" for row in between if not direction(row)]
    return [*said, f"no clear difference between {joined(unclear, ', or between ')}"] if unclear else said


def _size(row: Row) -> str:
    """`by 0.210 (0.150 to 0.270)`, of a clear difference, without its sign."""
    low, high = sorted(abs(end) for end in honest(row))
    return f"by {number(abs(row['estimate']))} ({interval(low, high)})"


def _around(row: Row) -> str:
    """`(−0.010, −0.050 to 0.030)`: an estimate and its interval; says where Wald's interval would call it clear."""
    span = interval(*honest(row))
    alone = finite(row["ci_low"], row["ci_high"]) and not row["ci_low"] <= 0 <= row["ci_high"]
    doubt = "; Wald's interval alone excludes zero" if alone else ""
    return f"({number(row['estimate'])}, {'no interval' if span == DASH else span}{doubt})"


def _health(tables: Tables) -> list[str]:
    poor = dict.fromkeys(row["condition"] for row in rows(tables, "health") if row["well_formed"] < WELL_FORMED)
    if not poor:
        return []
    return [
        f"In some architectures fewer than {WELL_FORMED:.0%} of the outputs are well-formed ({few(list(poor))}); "
        "garbage is not toxic, so read these effects with the section on the health of outputs."
    ]


def few(conditions: list[str]) -> str:
    """The conditions' names, or how many they are."""
    return joined(conditions) if len(conditions) <= 4 else f"{len(conditions)} conditions"


def _failures(tables: Tables) -> list[str]:
    cells = rows(tables, "cells")
    failed = sum(row["status"] == "failed" for row in cells)
    if not failed:
        return []
    return [f"{failed} of {len(cells)} cells failed; effects are pooled over the architectures that remain, k of them."]


# ---- what a reader must know first


def banner(study: Study) -> list[str]:
    """What the label means for a reader; empty where ratings and models are real."""
    if not study.label:
        return []
    tiny = sum(architecture.tiny is not None for architecture in study.architectures)
    which = "The models are" if tiny == len(study.architectures) else f"{tiny} of {len(study.architectures)} models are"
    said = [f"{label_sentence(study)[:-1]}: this is not evidence about {_not_about(study)}."]
    if study.ratings.simulate:
        said.append("The ratings were drawn by a simulation; no person gave them.")
    if tiny:
        said.append(f"{which} tiny ones, built and pre-trained within this study, far smaller than any model in use.")
    if tiny and not study.ratings.simulate:
        said.append(
            "The ratings are real, and so is what the survey section says of them. The effects of such tiny models on "
            "real text mean little: only the path through every stage is demonstrated."
        )
    else:
        stages = "every stage works, from ratings to pooled effects" if study.architectures else "the analysis works"
        said.append(f"The numbers show that {stages}.")
    return said


def _not_about(study: Study) -> str:
    people = ["people"] if study.ratings.simulate else []
    models = ["language models in use"] if any(architecture.tiny for architecture in study.architectures) else []
    return joined([*people, *models], " or ")


def in_part(tables: Tables, facts: Facts) -> str:
    """Whether cells failed, in one sentence; nothing where the study is whole."""
    cells = rows(tables, "cells")
    failed = sum(row["status"] == "failed" for row in cells)
    if not failed and facts.status != "in part":
        return ""
    return f"Finished in part: {f'{failed} of {len(cells)}' if failed else 'some'} cells failed."


# ---- what was done


def trained(tables: Tables) -> bool:
    """Whether the report is of models, and not of the ratings alone."""
    return any(rows(tables, name) for name in ("cells", "effects", "pooled"))


def method(study: Study, tables: Tables, facts: Facts) -> list[str]:
    """What was done, step by step, with its counts; no more than the ratings and preferences where nothing trained."""
    steps = [_ratings_step(study, facts)]
    if not study.experiments or not (trained(tables) or rows(tables, "audit")):
        return steps
    training, held_out = (_counted(facts, f"{kind} prompts") for kind in ("training", "evaluation"))
    split = f" Here {training} and {held_out}." if training and held_out else ""
    steps.append(
        "Preferences. Where the ratings of two responses to one prompt differ, one is preferred. A condition says "
        "whose ratings count, on which scale, and what becomes of disagreement. Prompts are divided beforehand into "
        f"training and evaluation prompts; a held-out evaluation prompt trains no model.{split}"
    )
    return [*steps, *_model_steps(study)] if trained(tables) else steps


def _model_steps(study: Study) -> list[str]:
    judged = joined(in_sentence(title_of(study, name)) for name in study.evaluation.dimensions)
    models = joined(f"{item.title} ({many(item.parameters)} parameters)" for item in study.architectures)
    methods = joined(sorted(method.title for method in methods_of(study)), " or ")
    return [
        f"Fine-tuning. Every condition fine-tunes each of {len(study.architectures)} architectures with LoRA, by "
        f"{methods}: {models}. The control is the architecture without fine-tuning. "
        f"{_budgets(study)}",
        "Generation. Every model answers the held-out prompts with greedy decoding, so the same model gives the same "
        "answers again.",
        f"Judging. {study.judge.method} scores every answer from 0 to 1 on {judged}.",
        "Effects. For each architecture, an effect is the mean difference in score between two conditions on the same "
        "held-out prompts, with a standard error that is clustered by prompt and, where there are several, by training "
        "seed; 0.05 is five percentage points. A prompt that the judge could not score on either side is left out; "
        "outputs that are not well-formed are scored like any other.",
        "Pooling. Effects are pooled over the architectures by DerSimonian–Laird random effects with a Wald interval, "
        "as in the paper. Since k, the number of architectures, is small, that interval is too narrow; the "
        "Hartung–Knapp–Sidik–Jonkman (HKSJ) interval stands beside it. An effect is called clear where both exclude "
        "zero. p is adjusted by Holm's method within an experiment where it says so. No interval knows who was asked: "
        "all architectures learn from the same ratings, so other raters might have given another effect.",
    ]


def _budgets(study: Study) -> str:
    """What every condition has the same number of, and what an effect is then confounded with."""
    epochs = (
        "for the same number of epochs, so a condition with fewer pairs takes fewer steps: an effect of more data is "
        "not told apart from one of better data"
    )
    steps = "for the same number of optimiser steps, so a condition with fewer pairs sees each of them more often"
    titles = {
        budget: [item.title for item in study.experiments.values() if item.budget == budget]
        for budget in ("epochs", "steps")
    }
    if not titles["steps"]:
        return f"All train {epochs}."
    if not titles["epochs"]:
        return f"All train {steps}."
    return f"Conditions of {joined(titles['epochs'])} train {epochs}; those of {joined(titles['steps'])} {steps}."


def _ratings_step(study: Study, facts: Facts) -> str:
    dimensions = joined(f"{in_sentence(item.title)} ({item.better} is better)" for item in study.dimensions.values())
    people = _counted(facts, "participants") or "Participants"
    ratings = _counted(facts, "ratings")
    objects = " to ".join(text for key in ("responses", "prompts") if (text := _counted(facts, key)))
    given = f"{people} gave {ratings}" if ratings else f"{people} gave ratings"
    verb = "Simulated ratings. " if study.ratings.simulate else "Ratings. "
    return f"{verb}{given}{f' of {objects}' if objects else ''}, on {dimensions}."


def published_note(study: Study) -> list[str]:
    """What the published values are, where there are any."""
    known = [c.published for e in study.experiments.values() for c in e.contrasts.values() if c.published]
    if not known:
        return []
    reason = f" Equality is not expected with {joined(study.label.split(', '))}." if study.label else ""
    return [
        "Published values beside ours are the paper's (arXiv 2511.14476). They come from other models, from the "
        f"paper's own participants and from another judge, so ours need not equal them.{reason}"
    ]


def _counted(facts: Facts, key: str) -> str:
    """`1,095 participants`; nothing where it isn't known."""
    return f"{whole(facts.counts[key])} {key}" if key in facts.counts else ""
