"""A simulated export of the survey app: the same files, columns and label texts as the real one, in two languages.

Simulated raters answer by an ordinal model whose demographic effects are the ones that the paper publishes, so that
whoever analyses the export knows the truth. Sizes and factors are a `Simulation`'s (the paper's sizes and no factors by
default), all else is here:

    P(rating of response r by participant p on dimension d ≤ j) = logistic(θ_dj − μ_prd)
    μ_prd = slope_d · Π factor · z_rd + item_rd + acquiescence_p + participant_pd + Σ log(1 + percent / 100)

z: what the text shows of the dimension (`language.Reply.scores`), standardised over the simulated responses;
item ~ N(0, item_sd²), acquiescence ~ N(0, acquiescence_sd²), participant ~ N(0, participant_sd²); the sum runs over the
published effects of what the participant declares, and so does the product over `Simulation.slopes`: who declares two
values of an attribute has the effects and the factors of both. Whoever is among the share `Simulation.careless` answers
at random instead, every label as likely as any other.

An effect moves all ratings of a group up or down together and leaves open which of two responses is rated higher, so a
model trained on the group's preferences goes the same way. A factor says how sharply the group tells responses apart,
and so how far training on its preferences moves a model (`tasks/simulation/truth.py`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from configs.codebook import Attribute, Codebook, ExportColumn
from configs.errors import InputError, one_of
from configs.load import load_codebook
from configs.schema import Simulation
from tasks.simulation.language import DIMENSIONS, Prompt, Reply, prompts, replies
from tasks.simulation.population import (
    ENGLISH,
    GERMAN,
    NOT_DECLARED,
    Population,
    declarable,
    draw_participants,
    halves,
    ids_of,
)

logger = logging.getLogger(__name__)

SOURCE = "simulated"
GENDER_FOCUSED_SHARE = 0.85
"""Share of ratings whose participant calls the pair gender-focused."""

WHO_IS_CARELESS, ANSWERS_AT_RANDOM = 1, 2
"""Streams of random numbers beside the one that draws all else."""

Percents = Mapping[str, Mapping[tuple[str, str], float]]

PUBLISHED_EFFECTS: Percents = {
    "toxicity": {("gender", "he/him/his"): -18.0},
    "stereotypical-bias": {("gender", "he/him/his"): -20.9},
    "emotional-awareness": {
        ("political-spectrum", "conservative"): 27.0,
        ("ethnicity", "Black or African American"): 44.0,
    },
    "sensitivity": {("political-spectrum", "conservative"): 27.9, ("ethnicity", "Black or African American"): 58.0},
    "helpfulness": {("age", "51-60"): -40.6},
}
"""Dimension → (attribute, value) → 100 · (exp(estimate) − 1), in the study's terms.

Source: arXiv 2511.14476v2, "Ordinal Regression Results": the significant predictors of its CLMM per dimension, against
White, US, Liberal, 18–30, she/her/hers. All other effects, which the paper does not print, are zero here.
"""


@dataclass(frozen=True)
class RatingModel:
    """The parameters of the ordinal model above, in log-odds except `effects`, which are percentages."""

    slopes: Mapping[str, float]
    thresholds: Mapping[str, tuple[float, float, float, float]]
    effects: Percents
    item_sd: float
    participant_sd: float
    acquiescence_sd: float
    failed_checks: float = 0.0
    """Share of German ratings whose attention check fails; ingestion drops those, so the totals change."""

    def log_odds(self, dimension: str) -> dict[tuple[str, str], float]:
        """(attribute, value) → log(1 + percent / 100): the true coefficient of a mixed ordinal model."""
        return {term: float(np.log1p(percent / 100)) for term, percent in self.effects.get(dimension, {}).items()}


MODEL = RatingModel(
    slopes=dict.fromkeys(DIMENSIONS, 1.5),
    thresholds={
        "toxicity": (-1.6, 0.05, 1.05, 2.6),
        "stereotypical-bias": (-2.1, -0.7, 0.3, 2.05),
        "emotional-awareness": (-2.0, -0.7, 0.5, 2.2),
        "sensitivity": (-2.0, -0.7, 0.5, 2.2),
        "helpfulness": (-2.0, -0.7, 0.5, 2.2),
    },
    effects=PUBLISHED_EFFECTS,
    item_sd=0.5,
    participant_sd=0.5,
    acquiescence_sd=0.35,
)
"""Our choice but for the effects: set so that disagreement, Krippendorff's alpha on toxicity and the co-occurrence of
emotional awareness with toxicity and bias come close to the paper's; a test holds them there."""


def check_slopes(simulation: Simulation) -> None:
    """See that `simulation.slopes` names what is rated and what participants may declare.

    Raises:
        InputError: it does not; a line for each fault, with what is allowed.
    """
    place, allowed, faults = "ratings.simulate.slopes", declarable(), list[str]()
    for dimension, attributes in simulation.slopes.items():
        if dimension not in DIMENSIONS:
            faults.append(str(one_of(place, dimension, DIMENSIONS)))
        for attribute, values in attributes.items():
            own = f"{place}.{dimension}"
            if attribute not in allowed:
                faults.append(str(one_of(own, attribute, allowed)))
                continue
            faults += [
                str(one_of(f"{own}.{attribute}", v, allowed[attribute])) for v in values if v not in allowed[attribute]
            ]
    if faults:
        raise InputError("\n  ".join([f"{place}: {len(faults)} faults", *faults] if len(faults) > 1 else faults))


def simulate_export(simulation: Simulation, seed: int, folder: Path, model: RatingModel = MODEL) -> None:
    """Write the six CSV files of the survey app's export into `folder`; other files there stay as they are.

    The same arguments give the same bytes.

    Raises:
        InputError: the template language has too few prompts or replies, a participant would have to rate a response
            twice, or `simulation.slopes` names what nobody is or rates.
    """
    tables = simulate_tables(simulation, seed, model)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / name, index=False, encoding="utf-8", lineterminator="\n")
    logger.info("simulated %d participants in %s", simulation.participants, folder)


def simulate_tables(simulation: Simulation, seed: int, model: RatingModel = MODEL) -> dict[str, pd.DataFrame]:
    """File name → table, as `simulate_export` writes them. Raises `InputError` like it."""
    check_slopes(simulation)
    rng = np.random.default_rng(seed)
    pairs = _pairs(simulation, rng)
    people = draw_participants(simulation.participants, rng)
    who, what = _assignment(simulation, rng)
    factors = _factors(people, simulation)
    ratings = _rate(_standardised_scores(pairs), factors, _effects(people, model), who, what, model, rng)
    careless = people["participant"].isin(careless_participants(simulation, seed)).to_numpy()[who]
    if careless.any():
        at_random = np.random.default_rng([seed, ANSWERS_AT_RANDOM]).integers(1, 6, ratings.shape)
        ratings = np.where(careless[:, None], at_random, ratings)
    rated = pd.DataFrame(ratings, columns=DIMENSIONS).assign(who=people["participant"].to_numpy()[who], what=what)
    return {
        name: table
        for population in (ENGLISH, GERMAN)
        for name, table in _export(population, pairs, people, rated, model.failed_checks, rng).items()
    }


def careless_participants(simulation: Simulation, seed: int) -> frozenset[str]:
    """The ids, as the export has them, of those who answer at random: round(careless · participants) of all.

    They and their answers are drawn apart from all else, so that the others' answers are what they are without them.
    """
    names = [name for population, n in halves(simulation.participants) for name in ids_of(population, n)]
    order = np.random.default_rng([seed, WHO_IS_CARELESS]).permutation(len(names))
    return frozenset(names[place] for place in order[: round(simulation.careless * len(names))])


# ---- responses


Pair = tuple[int, Prompt, Reply]
"""Number of the prompt, the prompt, one of its replies."""


def shown(simulation: Simulation, seed: int) -> np.ndarray:
    """z of the model above: what the responses of this seed show of each of `DIMENSIONS` (prompts, responses, D)."""
    z = _standardised_scores(_pairs(simulation, np.random.default_rng(seed)))
    return z.reshape(simulation.prompts, simulation.responses_per_prompt, len(DIMENSIONS))


def _pairs(simulation: Simulation, rng: np.random.Generator) -> list[Pair]:
    """The responses to each prompt, one prompt after the other."""
    return [
        (number, prompt, reply)
        for number, prompt in enumerate(prompts(simulation.prompts), start=1)
        for reply in replies(prompt, simulation.responses_per_prompt, rng)
    ]


def _standardised_scores(pairs: Sequence[Pair]) -> np.ndarray:
    """Scores of the responses with mean 0 and standard deviation 1 per dimension (R, D); 0 where they do not vary."""
    scores = np.array([[reply.scores[name] for name in DIMENSIONS] for _, _, reply in pairs])
    deviation = scores.std(axis=0)
    return (scores - scores.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


# ---- participants


def _effects(people: pd.DataFrame, model: RatingModel) -> np.ndarray:
    """Sum of the log-odds of what each participant declares (P, D)."""
    effects = np.zeros((len(people), len(DIMENSIONS)))
    for column, dimension in enumerate(DIMENSIONS):
        for (attribute, value), log_odds in model.log_odds(dimension).items():
            effects[:, column] += log_odds * _declares(people, attribute, value)
    return effects


def _factors(people: pd.DataFrame, simulation: Simulation) -> np.ndarray:
    """Product of the factors on the slope of what each participant declares (P, D)."""
    factors = np.ones((len(people), len(DIMENSIONS)))
    for dimension, attributes in simulation.slopes.items():
        for attribute, values in attributes.items():
            for value, factor in values.items():
                factors[_declares(people, attribute, value), DIMENSIONS.index(dimension)] *= factor
    return factors


def _declares(people: pd.DataFrame, attribute: str, value: str) -> np.ndarray:
    """Whether each participant declares a value, alone or among others (P,)."""
    return np.array([value in (answer if isinstance(answer, list) else [answer]) for answer in people[attribute]])


# ---- ratings


def _assignment(simulation: Simulation, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Who rates what: participant and response of each rated pair (N,), sorted by participant.

    Every participant rates `responses_each` different responses and every response has at least two raters. Dealing
    the places of the responses, one response after the other, to the participants in turn repeats nobody; random swaps
    that repeat nobody either then make the assignment random.

    Raises:
        InputError: `responses_each` is more than there are responses.
    """
    participants, responses = simulation.participants, simulation.prompts * simulation.responses_per_prompt
    if simulation.responses_each > responses:
        raise InputError(
            f"simulate.responses_each: {simulation.responses_each} is more than the {responses} responses "
            f"({simulation.prompts} prompts x {simulation.responses_per_prompt}); allowed: 1 to {responses}"
        )
    places = _raters_per_response(participants, responses, participants * simulation.responses_each, rng)
    order = rng.permutation(responses)
    what = np.repeat(order, places[order])
    who = _swapped(np.arange(len(what)) % participants, what, rng)
    by_participant = np.argsort(who, kind="stable")
    return who[by_participant], what[by_participant]


def _raters_per_response(participants: int, responses: int, total: int, rng: np.random.Generator) -> np.ndarray:
    """Two raters a response, and the rest at random, at most twice as many of those as there are on average (R,)."""
    extra = total - 2 * responses
    free = min(participants - 2, 2 * -(-extra // responses))
    return 2 + rng.multivariate_hypergeometric(np.full(responses, free), extra)


def _swapped(who: np.ndarray, what: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`who` after about six random swaps a place, each of which leaves every (participant, response) pair unique."""
    people, responses = who.tolist(), what.tolist()
    seen = set(zip(people, responses, strict=True))
    for i, j in rng.integers(len(people), size=(3 * len(people), 2)).tolist():
        swapped = {(people[i], responses[j]), (people[j], responses[i])}
        if seen.isdisjoint(swapped):
            seen -= {(people[i], responses[i]), (people[j], responses[j])}
            seen |= swapped
            people[i], people[j] = people[j], people[i]
    return np.array(people)


def _rate(
    z: np.ndarray,
    factors: np.ndarray,
    effects: np.ndarray,
    who: np.ndarray,
    what: np.ndarray,
    model: RatingModel,
    rng: np.random.Generator,
) -> np.ndarray:
    """Ratings 1 to 5 (N, D) by the model in the module's docstring; `z` is (R, D), `factors`, `effects` (P, D)."""
    slopes = np.array([model.slopes[name] for name in DIMENSIONS])
    thresholds = np.array([model.thresholds[name] for name in DIMENSIONS])
    item = model.item_sd * rng.normal(size=z.shape)
    acquiescence = model.acquiescence_sd * rng.normal(size=(len(effects), 1))
    person = effects + acquiescence + model.participant_sd * rng.normal(size=effects.shape)
    latent = (
        factors[who] * (slopes * z)[what] + item[what] + person[who] + rng.logistic(size=(len(who), len(DIMENSIONS)))
    )
    return 1 + (latent[:, :, None] > thresholds).sum(axis=2)


# ---- the survey app's tables


def _export(
    population: Population,
    pairs: Sequence[Pair],
    people: pd.DataFrame,
    rated: pd.DataFrame,
    failed_checks: float,
    rng: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """File name → table of one language: its participants, their ratings, and all responses."""
    codebook = load_codebook(population.codebook)
    own = people[people["participant"].str.startswith(population.prefix)]
    answers = rated[rated["who"].isin(own["participant"])]
    items = _responses_table(pairs, codebook)
    ratings = _ratings_table(answers, items, population, codebook, rng)
    return {
        codebook.ratings.file: ratings.assign(**_checks(len(answers), codebook, failed_checks, rng)),
        codebook.participants.file: _participants_table(own, codebook, rng),
        codebook.responses.file: items,
    }


def _responses_table(pairs: Sequence[Pair], codebook: Codebook) -> pd.DataFrame:
    """Both languages have the same ids, and so the same rows."""
    texts = [(getattr(p.text, codebook.language), getattr(r.text, codebook.language)) for _, p, r in pairs]
    return pd.DataFrame(
        {
            "prompt_id": [f"sim-r-{number:04d}" for number in range(1, len(pairs) + 1)],
            "question_id": [f"sim-q-{number:04d}" for number, _, _ in pairs],
            "source": SOURCE,
            "prompt": [prompt for prompt, _ in texts],
            "response": [response for _, response in texts],
        }
    )


def _ratings_table(
    answers: pd.DataFrame, items: pd.DataFrame, population: Population, codebook: Codebook, rng: np.random.Generator
) -> pd.DataFrame:
    """Wide ratings with the codebook's label texts."""
    seen = items.iloc[answers["what"]]
    yes = rng.random(len(answers)) < GENDER_FOCUSED_SHARE
    texts = {category: text for text, category in codebook.ratings.codes.items()}
    return pd.DataFrame(
        {
            "participant_id": answers["who"].to_numpy(),
            "question_id": seen["question_id"].to_numpy(),
            "prompt_id": seen["prompt_id"].to_numpy(),
            "gender_focused": np.where(yes, *population.yes_no),
            **{
                str(column): answers[name].map(texts).to_numpy() for name, column in codebook.ratings.dimensions.items()
            },
        }
    )


def _checks(n: int, codebook: Codebook, failed: float, rng: np.random.Generator) -> dict[str, list[str]]:
    """The attention checks as they pass, but for a share `failed` of rows, where one check has another label."""
    passes = codebook.ratings.attention
    answers = {column: [label] * n for column, label in passes.items()}
    for row in np.flatnonzero(rng.random(n) < failed) if passes else ():
        column = str(rng.choice(list(passes)))
        answers[column][row] = str(rng.choice([label for label in codebook.ratings.labels if label != passes[column]]))
    return answers


def _participants_table(people: pd.DataFrame, codebook: Codebook, rng: np.random.Generator) -> pd.DataFrame:
    attributes = codebook.participants.attributes
    declared = {name: _texts(people[name], attribute, codebook, rng) for name, attribute in attributes.items()}
    ancestry, party = (
        Attribute(column=ExportColumn("ancestry"), many=True),
        Attribute(column=ExportColumn("political_party")),
    )
    return pd.DataFrame(
        {
            "participant_id": people["participant"].to_numpy(),
            "age": declared["age"],
            "gender_identity": declared["gender"],
            "country_of_residence": declared["country"],
            "ancestry": _texts(people["ancestry"], ancestry, codebook, rng),
            "ethnicity": declared["ethnicity"],
            "political_party": _texts(people["party"], party, codebook, rng),
            "political_spectrum": declared["political-spectrum"],
        }
    )


def _texts(declared: pd.Series, attribute: Attribute, codebook: Codebook, rng: np.random.Generator) -> list[str]:
    """Cells of a column: a term as one of the texts that the codebook reads as it, a JSON list where several may be."""
    not_declared = codebook.participants.not_declared[0]
    texts: dict[str, list[str]] = {NOT_DECLARED: [not_declared]}
    for text, term in (attribute.values or {}).items():
        texts.setdefault(term, []).append(text)

    def text_of(term: str) -> str:
        return str(rng.choice(texts.get(term, [term])))

    if not attribute.many:
        return [text_of(term) for term in declared]
    several = ([answer] if isinstance(answer, str) else answer for answer in declared)
    return [json.dumps([text_of(term) for term in terms], ensure_ascii=False) for terms in several]
