"""Who rates differently: the ordinal regression of the ratings on what the participants declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.schema import Study
from tasks.reporting.document import Caution, Fold, Items, Picture, Table, Text
from tasks.reporting.drawing import Figure
from tasks.reporting.regression import (
    BOTH,
    OPPOSITE,
    PAPER,
    SIGNIFICANT,
    against,
    change,
    odds,
    odds_interval,
    published,
    reference_values,
    separated,
    stars,
    terms,
    told,
)
from tasks.reporting.tables import Row, Tables, rows, titled
from tasks.reporting.words import (
    DASH,
    FEW,
    attribute_title,
    finite,
    in_sentence,
    joined,
    number,
    p_value,
    raters_label,
    whole,
)

NAMED = 5
"""A sentence names at most so many terms."""


def regression(study: Study, tables: Tables, figures: Mapping[str, Figure]) -> list[Any]:
    """The model in words, the terms that are significant here or in the paper, and behind folds all there is."""
    found, models = terms(tables), rows(tables, "ordinal_models")
    if not found:
        return [*_troubles(study, models), *_facts(study, models)]
    sentences = (_model(models), _tested(found), _agreement(study, found), _unusable(study, found))
    parts: list[Any] = [*(Text(text) for text in sentences if text), *_troubles(study, models)]
    parts += _short(study, found)
    parts += [Picture(figures["odds-ratios"])] if "odds-ratios" in figures else []
    return [*parts, _full(study, found), *_facts(study, models)]


def regression_finding(study: Study, tables: Tables) -> list[str]:
    """One sentence for the findings: what survives Holm's adjustment, and how many of the paper's effects do again."""
    found = terms(tables)
    tested = [row for row in found if finite(row["p"])]
    if not tested:
        return []
    clear = sorted((row for row in tested if row["holm"] < SIGNIFICANT), key=lambda row: row["p"])
    named = [f"{_on(study, row)} ({against(row)} odds of a higher rating)" for row in clear[:NAMED]]
    more = [f"{len(clear) - NAMED} more"] if len(clear) > NAMED else []
    of, firm = _count(len(tested), "term"), _are(len(clear))
    sentence = f"Who rates differently: of {of} of the ordinal regression, {firm} significant after Holm's adjustment"
    again = _found_again(found)
    return [f"{sentence}{f': {joined([*named, *more])}' if clear else ''}{f'; {again}' if again else ''}."]


# ---- sentences


def _model(models: list[Row]) -> str:
    """What was fitted, and how to read an effect."""
    known = [f"{attribute_title(name)}: {value}" for name, value in reference_values(models).items()]
    several = len({row["reference"] for row in models}) > 1
    group = f" ({'; '.join(known)})" if known else " of its dimension, named below" if several else ""
    lost = any(row["left_out"] > 0 for row in models)
    without = " Participants who don't declare every attribute are left out." if lost else ""
    return (
        "For each dimension, a cumulative link mixed model with a logit link explains the ratings, as ordered "
        "categories, by all that the participants declare, at once. Random intercepts of participant and of response "
        "take up that some people rate everything higher, and that some responses are rated higher by everybody. "
        f"Effects are against the reference group{group}. An odds ratio of 1.25 means that the odds of a higher rating "
        f"are 1.25 times those of the reference group, a change of +25%.{without}"
    )


def _tested(found: list[Row]) -> str:
    """How many tests there were, and what chance alone would give."""
    tested = [row for row in found if finite(row["p"])]
    if not tested:
        return ""
    clear, firm = (_are(sum(row[key] < SIGNIFICANT for row in tested)) for key in ("p", "holm"))
    return (
        f"{_count(len(tested), 'term')} {'was' if len(tested) == 1 else 'were'} tested. If no group differed at all, "
        f"about {number(SIGNIFICANT * len(tested), 1)} would be significant (p < .05) by chance; {clear}. After Holm's "
        f"adjustment for {'the one test' if len(tested) == 1 else f'all {whole(len(tested))} tests'}, {firm}."
    )


def _are(n: int) -> str:
    return f"{whole(n) if n else 'none'} {'are' if n > 1 else 'is'}"


def _agreement(study: Study, found: list[Row]) -> str:
    """How many of the paper's effects are found again, and which are not."""
    again = _found_again(found)
    if not again:
        return ""
    text = f"{again[:1].upper()}{again[1:]}."
    for verdict, start in ((PAPER, "Not significant here"), (OPPOSITE, "Significant in the opposite direction")):
        named = [_on(study, row) for row in found if row["verdict"] == verdict]
        text += f" {start}: {joined(named)}." if named else ""
    reason = " Ours are of simulated raters: equality is not expected." if study.ratings.simulate else ""
    return f"{text} The paper's values (arXiv 2511.14476) are of its own participants.{reason}"


def _found_again(found: list[Row]) -> str:
    """`5 of the 7 effects that the paper calls significant are significant here too …`."""
    theirs = [row for row in found if published(row)]
    same = sum(row["verdict"] == BOTH for row in theirs)
    if len(theirs) == 1:
        says = "is significant here too" if same else "is not found here"
        return f"the one effect that the paper calls significant {says} (p < .05, same direction)"
    says = f"{whole(same)} of the {whole(len(theirs))} effects that the paper calls significant"
    return f"{says} {'is' if same == 1 else 'are'} significant here too (p < .05, same direction)" if theirs else ""


def _unusable(study: Study, found: list[Row]) -> str:
    names = [_on(study, row) for row in found if separated(row)]
    named = joined([*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])
    return f"No usable estimate, since too few declare it or they rate too much alike: {named}." if names else ""


def _on(study: Study, row: Row) -> str:
    """`gender he/him/his on toxicity`."""
    term = f"{attribute_title(row['attribute'])} {row['value']}" if row["value"] else row["term"]
    return f"{term} on {in_sentence(titled(study, row))}"


def _count(n: int, noun: str) -> str:
    return f"{whole(n)} {noun}{'' if n == 1 else 's'}"


# ---- tables


def significant_terms(study: Study, tables: Tables) -> Table | None:
    """The table of `_short` alone, for papers."""
    return next((part for part in _short(study, terms(tables)) if isinstance(part, Table)), None)


def _short(study: Study, found: list[Row]) -> list[Any]:
    """The paper's Table 1 beside ours; what the paper prints is there even where it isn't significant here."""
    shown = [row for row in found if told(row)]
    if not shown:
        return []
    columns: dict[str, list[str]] = {
        "Dimension": [titled(study, r) for r in shown], "Predictor": [r["predictor"] for r in shown],
        "n": [whole(r["n_participants"]) for r in shown],
        "Change in the odds": [f"{change(r['percent'])} {stars(r['p'])}".strip() for r in shown],
        "Odds ratio, 95% CI": [odds_interval(r) for r in shown], "p": [p_value(r["p"]) for r in shown],
        "p (Holm)": [p_value(r["holm"]) for r in shown],
    }  # fmt: skip
    if any(finite(r["published"]) or r["published_p"] for r in shown):
        columns["Published"] = [change(r["published"]) for r in shown]
        columns["Published p"] = [r["published_p"] or DASH for r in shown]
        columns["Significant"] = [r["verdict"] for r in shown]
    align = "ll" + "r" * 5 + "rrl"[: len(columns) - 7]
    text = f"n: participants. * p < .05, ** p < .01, *** p < .001, not adjusted.{_dagger(shown)}"
    if "Significant" in columns:
        text += " Significant: at p < .05, here, in the paper (its Table 1), or in both."
    table = Table(list(columns), align, list(zip(*columns.values(), strict=True)))
    return [Text(f"{text} {raters_label(study)}".strip()), table]


def _full(study: Study, found: list[Row]) -> Fold:
    """Every term, a table a dimension."""
    header = ["Predictor", "n", "Estimate", "SE", "z", "p", "p (Holm)", "Odds ratio", "95% CI", "Change in the odds"]
    tables: dict[str, list[list[str]]] = {}
    for r in found:
        line = [
            r["predictor"], whole(r["n_participants"]), number(r["estimate"]), number(r["std_error"]),
            number(r["z"], 2), p_value(r["p"]), p_value(r["holm"]), odds(r["odds_ratio"]), odds_interval(r),
            change(r["percent"]),
        ]  # fmt: skip
        tables.setdefault(titled(study, r), []).append(line)
    text = f"n: participants. Estimates are log odds ratios.{_dagger(found)} {raters_label(study)}".strip()
    parts = [Table(header, "l" + "r" * 9, body, title) for title, body in tables.items()]
    return Fold(f"All terms: {whole(len(found))}", [Text(text), *parts])


def _dagger(found: list[Row]) -> str:
    return f" † fewer than {FEW} participants." if any(row["n_participants"] < FEW for row in found) else ""


def _facts(study: Study, models: list[Row]) -> list[Any]:
    """What the models rest on, a line a dimension; references, where they differ, and notes below."""
    if not models:
        return []
    columns: dict[str, list[str]] = {"Dimension": [titled(study, r) for r in models]}
    counts = {
        "Ratings": "n_ratings", "Participants": "n_participants", "Responses": "n_responses", "Left out": "left_out",
    }  # fmt: skip
    columns |= {title: [whole(r[key]) for r in models] for title, key in counts.items()}
    columns |= {
        "SD of participants": [number(r["sd_participant"], 2) for r in models],
        "SD of responses": [number(r["sd_response"], 2) for r in models],
        "Log-likelihood": [number(r["log_likelihood"], 1) for r in models],
        "AIC": [number(r["aic"], 1) for r in models],
        "Converged": [_converged(r) for r in models],
    }
    text = (
        "Left out: ratings of participants who don't declare all attributes. SD: of the random intercepts. "
        f"{raters_label(study)}"
    )
    known = reference_values(models)
    said = [f"{titled(study, r)}, against {r['reference']}" for r in models if r["reference"] and not known]
    said += [f"{titled(study, r)}: {r['notes']}" for r in models if r["notes"]]
    table = Table(list(columns), "l" + "r" * 8 + "l", list(zip(*columns.values(), strict=True)))
    return [Fold("Facts of the models", [Text(text.strip()), table, *([Items(said)] if said else [])])]


def _converged(row: Row) -> str:
    return "yes" if row["converged"] else "no"


def _troubles(study: Study, models: list[Row]) -> list[Any]:
    """Warnings about models that could not be fitted, with the reason, and about those that did not converge."""
    failed = [row for row in models if _converged(row) == "no"]
    none = [row for row in failed if not finite(row["log_likelihood"])]
    names = [in_sentence(titled(study, row)) for row in failed if finite(row["log_likelihood"])]
    parts: list[Any] = [
        Caution(f"No model of {in_sentence(titled(study, row))} could be fitted: {row['notes'] or 'no reason given'}.")
        for row in none
    ]
    if not names:
        return parts
    which, whose = ("The model", "its") if len(names) == 1 else ("The models", "their")
    return [*parts, Caution(f"{which} of {joined(names)} did not converge: do not rely on {whose} numbers.")]
