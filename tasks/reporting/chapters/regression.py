"""Who rates differently: the ordinal regression of the ratings on what the participants declare."""

from __future__ import annotations

from configs.schema import Study
from tasks.reporting.chapters.regression_figure import draw_odds_ratios
from tasks.reporting.chapters.regression_terms import (
    BOTH,
    NEITHER,
    OPPOSITE,
    PAPER,
    against,
    change,
    odds,
    odds_interval,
    published,
    reference_values,
    separated,
    terms,
)
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, dimension_column, numbers, p_values, texts
from tasks.reporting.house.document import Caution, Column, Fold, Items, Paragraph, Part, TablePart
from tasks.reporting.house.effects import SIGNIFICANT
from tasks.reporting.house.latex import LatexTable
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    attribute_title,
    finite,
    joined,
    named,
    number,
    raters_label,
    spoken,
    title_of,
    whole,
)
from tasks.survey.tables import OrdinalModels, OrdinalRegression

STARS = (0.05, 0.01, 0.001)
"""A p below each of these has a star more."""
NAMED = 5
"""A sentence names at most so many terms."""


def _findings(results: Results) -> list[str]:
    """One sentence: what survives Holm's adjustment, and how many of the published effects do again."""
    every = terms(results)
    tested = [row for row in every if finite(row["p"])]
    if not tested:
        return []
    clear = sorted((row for row in tested if row["p_holm"] < SIGNIFICANT), key=lambda row: row["p"])
    names = [f"{_on(results.study, row)} ({against(row)} odds of a higher rating)" for row in clear]
    of, firm = _count(len(tested), "term"), _are(len(clear))
    sentence = f"Who rates differently: of {of} of the ordinal regression, {firm} significant after Holm's adjustment"
    again = _seen_again(every)
    return [f"{sentence}{f': {named(names, NAMED)}' if clear else ''}{f'; {again}' if again else ''}."]


def _parts(results: Results) -> list[Part]:
    """The model in words, the terms that are significant or published, and behind folds all there is."""
    every, models, study = terms(results), results.rows(OrdinalModels), results.study
    troubles, facts = _troubles(study, models), _facts(study, models)
    if not every:
        return [*troubles, *facts]
    sentences = (_model(models), _tested(every), _agreement(study, every), _unusable(study, every))
    texts = [Paragraph(text) for text in sentences if text]
    shown = [*_short(study, every), *results.picture("odds-ratios"), _full(study, every)]
    return [*texts, *troubles, *shown, *facts]


def _latex(results: Results) -> list[LatexTable]:
    tables = [part for part in _short(results.study, terms(results)) if isinstance(part, TablePart)]
    return [LatexTable("ordinal_regression", "Who rates differently.", table) for table in tables]


# ---- sentences


def _model(models: list[Row]) -> str:
    """What was fitted, and how to read an effect."""
    known = [f"{attribute_title(name)}: {value}" for name, value in reference_values(models).items()]
    several = len({row["reference"] for row in models}) > 1
    group = f" ({'; '.join(known)})" if known else " of its dimension, named below" if several else ""
    lost = any(row["left_out"] > 0 for row in models)
    without = " Participants who don't declare every attribute are left out." if lost else ""
    names = dict.fromkeys(part.partition(":")[0] for row in models for part in row["reference"].split("; "))
    attributes = joined(name.replace("-", " ") for name in names if name)
    return (
        "For each dimension, a cumulative link mixed model with a logit link explains the ratings, as ordered "
        f"categories, by {attributes}, at once. Random intercepts of participant and of response "
        "take up that some people rate everything higher, and that some responses are rated higher by everybody. "
        f"Effects are against the reference group{group}. An odds ratio of 1.25 means that the odds of a higher rating "
        f"are 1.25 times those of the reference group, a change of +25%.{without}"
    )


def _tested(every: list[Row]) -> str:
    """How many tests there were, and what chance alone would give."""
    tested = [row for row in every if finite(row["p"])]
    if not tested:
        return ""
    clear, firm = (_are(sum(row[key] < SIGNIFICANT for row in tested)) for key in ("p", "p_holm"))
    return (
        f"{_count(len(tested), 'term')} {'was' if len(tested) == 1 else 'were'} tested. If no group differed at all, "
        f"about {number(SIGNIFICANT * len(tested), 1)} would be significant (p < .05) by chance; {clear}. After Holm's "
        f"adjustment for {'the one test' if len(tested) == 1 else f'all {whole(len(tested))} tests'}, {firm}."
    )


def _are(n: int) -> str:
    return f"{whole(n) if n else 'none'} {'are' if n > 1 else 'is'}"


def _agreement(study: Study, every: list[Row]) -> str:
    """How many of the published effects are found again, and which are not."""
    again = _seen_again(every)
    if not again:
        return ""
    text = f"{again[:1].upper()}{again[1:]}."
    for verdict, start in ((PAPER, "Not significant here"), (OPPOSITE, "Significant in the opposite direction")):
        names = [_on(study, row) for row in every if row["verdict"] == verdict]
        text += f" {start}: {joined(names)}." if names else ""
    reason = " Ours are of simulated raters: equality is not expected." if study.ratings.simulate else ""
    return f"{text} The paper's values (arXiv 2511.14476) are of its own participants.{reason}"


def _seen_again(every: list[Row]) -> str:
    """`5 of the 7 effects that the paper calls significant are significant here too …`."""
    theirs = [row for row in every if published(row)]
    same = sum(row["verdict"] == BOTH for row in theirs)
    if len(theirs) == 1:
        says = "is significant here too" if same else "is not found here"
        return f"the one effect that the paper calls significant {says} (p < .05, same direction)"
    says = f"{whole(same)} of the {whole(len(theirs))} effects that the paper calls significant"
    return f"{says} {'is' if same == 1 else 'are'} significant here too (p < .05, same direction)" if theirs else ""


def _unusable(study: Study, every: list[Row]) -> str:
    names = [_on(study, row) for row in every if separated(row)]
    start = "No usable estimate, since too few declare it or they rate too much alike"
    return f"{start}: {named(names, NAMED)}." if names else ""


def _on(study: Study, row: Row) -> str:
    """`gender he/him/his on toxicity`."""
    term = f"{attribute_title(row['attribute'])} {row['value']}" if row["value"] else row["term"]
    return f"{term} on {spoken(study, row['dimension'])}"


def _count(n: int, noun: str) -> str:
    return f"{whole(n)} {noun}{'' if n == 1 else 's'}"


# ---- tables


def _short(study: Study, every: list[Row]) -> list[Part]:
    """The terms that are significant here or published; a published one stands there whatever came of it here."""
    shown = [r for r in every if r["verdict"] != NEITHER or finite(r["published"]) or r["published_p"].strip()]
    if not shown:
        return []
    columns: list[Column] = [
        *(dimension_column(study), *texts({"Predictor": "predictor"}), *counts({"n": "n_participants"})),
        ("Change in the odds", "r", lambda r: f"{change(r['percent'])} {'*' * sum(r['p'] < p for p in STARS)}".strip()),
        ("Odds ratio, 95% CI", "r", odds_interval),
        *p_values({"p": "p", "p (Holm)": "p_holm"}),
    ]
    text = f"n: participants. * p < .05, ** p < .01, *** p < .001, not adjusted.{_dagger(study, shown)}"
    if any(finite(r["published"]) or r["published_p"] for r in shown):
        columns += [
            ("Published", "r", lambda r: change(r["published"])),
            ("Published p", "r", lambda r: r["published_p"] or DASH),
            ("Significant", "l", lambda r: r["verdict"]),
        ]
        text += " Significant: at p < .05, here, in the paper (its TablePart 1), or in both."
    return [Paragraph(f"{text} {raters_label(study)}".strip()), TablePart.of(shown, *columns)]


def _full(study: Study, every: list[Row]) -> Fold:
    """Every term, a table a dimension."""
    columns: list[Column] = [
        *(*texts({"Predictor": "predictor"}), *counts({"n": "n_participants"})),
        *(*numbers({"Estimate": "estimate", "SE": "std_error"}), *numbers({"z": "z"}, 2)),
        *p_values({"p": "p", "p (Holm)": "p_holm"}),
        ("Odds ratio", "r", lambda r: odds(r["odds_ratio"])),
        ("95% CI", "r", odds_interval),
        ("Change in the odds", "r", lambda r: change(r["percent"])),
    ]
    text = f"n: participants. Estimates are log odds ratios.{_dagger(study, every)} {raters_label(study)}".strip()
    titles = dict.fromkeys(title_of(study, row["dimension"]) for row in every)
    tables = [
        TablePart.of([r for r in every if title_of(study, r["dimension"]) == title], *columns, caption=title)
        for title in titles
    ]
    return Fold(f"All terms: {whole(len(every))}", [Paragraph(text), *tables])


def _dagger(study: Study, shown: list[Row]) -> str:
    few = study.survey.min_participants
    return f" † fewer than {few} participants." if any(row["small"] for row in shown) else ""


def _facts(study: Study, models: list[Row]) -> list[Part]:
    """What the models rest on, a line a dimension; references, where they differ, and notes below."""
    if not models:
        return []
    numbers_of = {"Ratings": "n_ratings", "Participants": "n_participants", "Responses": "n_responses"}
    table = TablePart.of(
        models,
        *(dimension_column(study), *counts({**numbers_of, "Left out": "left_out"})),
        *numbers({"SD of participants": "sd_participant", "SD of responses": "sd_response"}, 2),
        *numbers({"Log-likelihood": "log_likelihood", "AIC": "aic"}, 1),
        ("Converged", "l", lambda r: "yes" if r["converged"] else "no"),
    )
    text = (
        "Left out: ratings of participants who don't declare all attributes. SD: of the random intercepts. "
        f"{raters_label(study)}"
    )
    notes: list[str] = []
    if not reference_values(models):
        notes += [f"{title_of(study, r['dimension'])}, against {r['reference']}" for r in models if r["reference"]]
    notes += [f"{title_of(study, r['dimension'])}: {r['notes']}" for r in models if r["notes"]]
    return [Fold("Facts of the models", [Paragraph(text.strip()), table, *([Items(notes)] if notes else [])])]


def _troubles(study: Study, models: list[Row]) -> list[Part]:
    """Warnings about models that could not be fitted, with the reason, and about those that did not converge."""
    failed = [row | {"title": spoken(study, row["dimension"])} for row in models if not row["converged"]]
    parts: list[Part] = [
        Caution(f"No model of {row['title']} could be fitted: {row['notes'] or 'no reason given'}.")
        for row in failed
        if not finite(row["log_likelihood"])
    ]
    names = [row["title"] for row in failed if finite(row["log_likelihood"])]
    if not names:
        return parts
    which, whose = ("The model", "its") if len(names) == 1 else ("The models", "their")
    return [*parts, Caution(f"{which} of {joined(names)} did not converge: do not rely on {whose} numbers.")]


CHAPTER = Chapter(
    "regression",
    "Who rates differently",
    [OrdinalRegression, OrdinalModels],
    findings=_findings,
    parts=_parts,
    figures=draw_odds_ratios,
    latex=_latex,
)
