"""A study whose experiments the ratings can answer, and why not the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from configs.codebook import Codebook
from configs.schema import Experiment, Study
from tasks.judging.evidence import mean_ratings
from tasks.methods import METHODS
from tasks.methods.training_rows import why_not
from tasks.preferences.condition import experiment_data
from tasks.ratings.reading.load import Data
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.same_text import prompt_groups
from tasks.ratings.study_data import StudyData, held_out
from tasks.starting.columns import plain_letters
from tasks.starting.draft import Draft

Purpose = Literal["tiny", "small", "survey"]
"""What a study is for: tiny models that train in minutes anywhere, a small real one, or no models at all."""

BY_PAIRS, BY_LABELS, BY_REWARDS = (
    next(name for name, method in METHODS.items() if method.reads == what) for what in ("pairs", "labels", "rewards")
)
"""Methods, by what they train on."""
SHARE, SEED = 0.25, 0
FEWEST_HELD_OUT, FEWEST_TRAINING = 5, 15
"""Prompts with texts that are held out, and that train, at the least; the judge needs the former, pairs the latter."""
FEWEST_PAIRS = 16
"""Response pairs that a condition needs: a step's."""
FEWEST_IN_TRAINING = 20
"""Participants of a stratum that trains a model of its own."""
FEWEST_DISAGREEING = 30
"""Responses with several raters that a way to put them together needs."""
FEWEST_TO_CORRELATE, STRONG = 30, 0.4
"""Ratings, and their correlation, that tell whether directions of two dimensions fit."""
MOST_STRATA, MOST_COMPARED, MOST_EVALUATED, MOST_REFERENCES = 4, 3, 3, 8
MIN_PARTICIPANTS = 10
"""`survey.min_participants`."""
TINY = ["tiny-llama", "tiny-qwen3", "tiny-gemma3", "tiny-phi3", "tiny-olmo2", "tiny-gptneox", "tiny-falcon"]
SMALL = ["smollm2-135m"]


@dataclass
class StudyDraft:
    """The settings of a study, as its YAML file has them. why_not: experiment → why it is not there; noted: what else
    is worth knowing of the choice."""

    settings: dict[str, Any]
    why_not: dict[str, str] = field(default_factory=dict)
    noted: list[str] = field(default_factory=list)


def study_draft(name: str, folder: str, codebook: Codebook, draft: Draft, data: Data, purpose: Purpose) -> StudyDraft:
    """The study; which of its conditions have what their methods need, `answerable` sees afterwards."""
    dimensions = _dimensions(draft, data)
    strata, compared, reference, not_explained = _groups(codebook, data)
    settings: dict[str, Any] = {
        "name": name,
        "title": f"{', '.join(draft.titles.get(one, one) for one in dimensions)}: a first look",
        "ratings": {"folder": folder, "codebooks": ["codebook.yaml"]},
        "dimensions": {
            one: {
                "title": draft.titles.get(one) or one.replace("-", " ").capitalize(),
                "better": draft.better.get(one, "higher"),
                "definition": draft.definitions.get(one, ""),
            }
            for one in dimensions
        },
        "strata": strata,
        "scales": _scales(data.categories),
        "survey": {"reference": {} if data.compared else reference},
        "evaluation": {"share": SHARE, "dimensions": _evaluated(dimensions, data)},
    }
    result = StudyDraft(settings)
    if reference and not_explained and not data.compared:
        left = ", ".join(f"'{name}'" for name in not_explained)
        result.noted.append(
            f"the ordinal models explain ratings by {', '.join(reference)}; {left} are not in them, since they would be"
            " too many: see survey.reference"
        )
    result.noted.extend(_contradictions(settings["dimensions"], data))
    reason = _why_no_experiments(codebook, data, settings["evaluation"]["dimensions"], purpose)
    if reason:
        result.why_not["all"] = reason
        return result
    experiments = _experiments(settings, codebook, data, compared, result)
    if purpose == "small":
        settings["evaluation"]["max_prompts"] = 20
    settings["experiments"] = experiments
    settings["architectures"] = list(SMALL if purpose == "small" else TINY)
    settings["recipe"] = "small-cpu" if purpose == "small" else "tiny-english"
    if not experiments:
        _without_experiments(settings)
    return result


def _contradictions(dimensions: Mapping[str, Mapping[str, str]], data: Data) -> Iterator[str]:
    """Pairs of dimensions that rise together though more is better of one and less of the other, or the reverse."""
    for one, other in combinations(dimensions, 2):
        both = data.ratings[[one, other]].dropna().astype(float)
        if len(both) < FEWEST_TO_CORRELATE or both[one].nunique() < 2 or both[other].nunique() < 2:
            continue
        correlation = float(both[one].corr(both[other]))
        alike = dimensions[one]["better"] == dimensions[other]["better"]
        if abs(correlation) >= STRONG and (correlation > 0) != alike:
            how = "rise together" if correlation > 0 else "go opposite ways"
            which = (
                f"of both {dimensions[one]['better']} is better"
                if alike
                else "of one more is better, of the other less"
            )
            yield f"'{one}' and '{other}' {how} (r = {correlation:.2f}), though {which}: look at better in study.yaml"


def _without_experiments(settings: dict[str, Any]) -> None:
    for key in ("experiments", "architectures", "recipe"):
        settings.pop(key, None)


def _dimensions(draft: Draft, data: Data) -> list[str]:
    """The dimensions that somebody rated, the most rated first where they differ much."""
    return [str(name) for name in draft.codebook["ratings"]["dimensions"] if data.ratings[name].notna().any()]


def _evaluated(dimensions: Sequence[str], data: Data) -> list[str]:
    """Dimensions that differ between ratings and are rated of the same responses: the judge needs all of each."""
    varied = [name for name in dimensions if data.ratings[name].nunique() > 1] or list(dimensions)
    most = varied[:MOST_EVALUATED]
    while len(most) > 1 and mean_ratings(data.ratings, most, data.categories)["prompt_id"].nunique() < FEWEST_TRAINING:
        most = most[:-1]
    return most


def _why_no_experiments(codebook: Codebook, data: Data, dimensions: Sequence[str], purpose: Purpose) -> str:
    if purpose == "survey":
        return "the survey alone was asked for"
    texts = codebook.responses
    if str(texts.response_text) == str(texts.response):
        return "there are no texts of responses, and models learn from texts"
    prompts = data.responses.drop_duplicates("prompt_id")
    if not prompts["prompt"].str.strip().any():
        return "there are no texts of prompts, so a model could not be asked anything"
    if data.categories < 2 or not any(data.ratings[name].nunique() > 1 for name in dimensions):
        return "all ratings are the same"
    rated = mean_ratings(data.ratings, dimensions, data.categories)
    groups = prompt_groups(data.responses)
    own = pd.Series([groups[prompt] for prompt in rated["prompt_id"]], dtype="str")
    apart = held_out(own, SHARE, SEED)
    if len(apart) < FEWEST_HELD_OUT or own.nunique() - len(apart) < FEWEST_TRAINING:
        return (
            f"{own.nunique()} prompts with ratings are too few: {len(apart)} would be held out to judge models by,"
            f" and {own.nunique() - len(apart)} would train; at least {FEWEST_HELD_OUT} and {FEWEST_TRAINING} are"
            " needed"
        )
    return ""


# ---- groups


def _groups(codebook: Codebook, data: Data) -> tuple[dict[str, Any], list[tuple[str, str]], dict[str, str], list[str]]:
    """Strata, pairs of strata to compare, the values that the ordinal models compare others with, and attributes that
    could be in these models and are not, since they would be too many."""
    strata: dict[str, Any] = {}
    compared, reference = list[tuple[str, str]](), dict[str, str]()
    for attribute in codebook.participants.attributes:
        counts = Counter(term for terms in data.participants[attribute] for term in set(terms))
        shown = sorted(
            (term for term, n in counts.items() if n >= MIN_PARTICIPANTS), key=lambda term: (-counts[term], term)
        )
        if len(shown) < 2:
            continue
        names = []
        for term in shown[:MOST_STRATA]:
            name = _stratum_name(attribute, term, strata)
            strata[name] = {"attribute": attribute, "values": [term]}
            names.append(name)
        if min(counts[shown[0]], counts[shown[1]]) >= FEWEST_IN_TRAINING and len(compared) < MOST_COMPARED:
            compared.append((names[0], names[1]))
        declared = sum(bool(len(terms)) for terms in data.participants[attribute])
        if declared >= 0.8 * len(data.participants):
            reference[attribute] = shown[0]
    chosen = dict(list(reference.items())[:MOST_REFERENCES])
    return strata, compared, chosen, [attribute for attribute in reference if attribute not in chosen]


def _stratum_name(attribute: str, term: str, taken: Mapping[str, Any]) -> str:
    bounded = re.sub(r"^\s*[>≥]=?", "over ", re.sub(r"^\s*[<≤]=?", "under ", term))
    slug = "-".join(re.findall(r"[a-z0-9]+", plain_letters(bounded)))[:40].strip("-")
    for name in (slug, f"{attribute}-{slug}"[:60].strip("-")):
        if name and not name.isdigit() and name not in (*taken, "all", "control"):
            return name
    return next(f"{attribute}-{n}" for n in range(1, 10_000) if f"{attribute}-{n}" not in taken)


def _scales(categories: int) -> dict[str, list[int | None]]:
    """The questionnaire's scale, and the coarser ones that it can become."""
    full: list[int | None] = [*range(1, categories + 1)]
    half, middle = categories // 2, categories % 2
    scales: dict[str, list[int | None]] = {f"{categories}-point" if categories > 2 else "binary": full}
    if categories >= 5:
        side = half if middle else categories // 3
        scales["3-point"] = [*[1] * side, *[2] * (categories - 2 * side), *[3] * side]
    if categories > 2:
        scales["binary"] = [1] * half + [None] * middle + [2] * half
    return scales


# ---- experiments


def _experiments(
    settings: Mapping[str, Any], codebook: Codebook, data: Data, compared: Sequence[tuple[str, str]], result: StudyDraft
) -> dict[str, Any]:
    focus = list(settings["evaluation"]["dimensions"])
    scale = next(iter(settings["scales"]))
    method, why = _method(data)
    if why:
        result.noted.append(why)
    base: dict[str, Any] = {"dimensions": focus, "scale": scale} | method
    experiments: dict[str, Any] = {}

    def contrasts(*names: str) -> dict[str, Any]:
        return {name: {"focus": focus} for name in names}

    if compared:
        experiments["demographics"] = {
            "title": "Demographic stratification",
            "question": "Whose feedback shapes the model?",
            "conditions": {name: {"stratum": name} | base for pair in compared for name in pair},
            "contrasts": contrasts(*(f"{a} - {b}" for a, b in compared)),
        }
    else:
        result.why_not["demographics"] = (
            f"no attribute has two values that {FEWEST_IN_TRAINING} participants declare each"
        )
    scales = list(settings["scales"])
    if len(scales) > 1:
        experiments["scale"] = {
            "title": "Rating scale granularity",
            "question": "How many points does a rating scale need?",
            "conditions": {name: base | {"scale": name} for name in scales},
            "contrasts": contrasts(*(f"{name} - control" for name in scales), f"{scales[0]} - {scales[-1]}"),
        }
    else:
        result.why_not["scale"] = "two categories can't be made fewer"
    each = data.ratings.dropna(subset=focus[:1]).groupby("response_id").size()
    if int((each >= 3).sum()) >= FEWEST_DISAGREEING:
        ways = ("majority", "consensus")
        plain = {key: value for key, value in base.items() if key != "within"}
        experiments["disagreement"] = {
            "title": "Disagreement handling",
            "question": "What happens when raters disagree, and one answer is made of theirs?",
            "conditions": {"every": dict(base)} | {way: plain | {"aggregation": way} for way in ways},
            "contrasts": contrasts(*(f"{name} - control" for name in ("every", *ways)), "every - majority"),
        }
    else:
        result.why_not["disagreement"] = (
            f"only {int((each >= 3).sum())} responses have three ratings; {FEWEST_DISAGREEING} are needed"
        )
    if not data.compared:
        own = method.get("method", BY_PAIRS)
        experiments["optimisation"] = {
            "title": f"{METHODS[own].title} and {METHODS[BY_REWARDS].title}",
            "question": "Does the method matter?",
            "conditions": {own: dict(base), BY_REWARDS: base | {"method": BY_REWARDS}},
            "contrasts": contrasts(f"{own} - control", f"{BY_REWARDS} - control", f"{own} - {BY_REWARDS}"),
        }
    return experiments


def _method(data: Data) -> tuple[dict[str, Any], str]:
    """How feedback becomes training: pairs of a prompt's responses, of a participant's own where they are compared, or
    single rated responses."""
    if data.compared:
        return {"within": "participant"}, "responses are compared, so only labels of the same participant make pairs"
    responses = data.ratings.groupby("prompt_id")["response_id"].nunique()
    if int((responses > 1).sum()) >= FEWEST_TRAINING:
        return {}, ""
    return {
        "method": BY_LABELS
    }, f"only {int((responses > 1).sum())} prompts have several rated responses, so single ones train, by KTO"


# ---- what can be answered


def with_one_experiment(draft: StudyDraft) -> StudyDraft:
    """The draft with the first of its experiments alone, for models that take their time."""
    experiments = draft.settings.get("experiments", {})
    if len(experiments) < 2:
        return draft
    first = next(iter(experiments))
    left = (
        "one experiment, since real models take their time; these ratings could also answer"
        f" {', '.join(list(experiments)[1:])}"
    )
    return replace(
        draft, settings=draft.settings | {"experiments": {first: experiments[first]}}, noted=[*draft.noted, left]
    )


def answerable(draft: StudyDraft, study: Study, data: Data) -> StudyDraft:
    """The draft without conditions that have too little to train on, their contrasts, and experiments of which fewer
    than two conditions are left.

    study: the draft's settings, validated.
    """
    of_study = StudyData.of(study, data)
    experiments, reasons = dict[str, Any](), dict(draft.why_not)
    for key, experiment in study.experiments.items():
        lacking = _lacking(study, of_study, experiment)
        own = draft.settings["experiments"][key]
        conditions = {name: one for name, one in own["conditions"].items() if name not in lacking}
        contrasts = {
            str(name): own["contrasts"][str(name)] for name in experiment.contrasts if not {*name.sides} & set(lacking)
        }
        used = {side for name in experiment.contrasts if str(name) in contrasts for side in name.sides}
        if lacking:
            reasons[key] = "; ".join(f"not {visible(name)}, {reason}" for name, reason in lacking.items())
        kept = {name: one for name, one in conditions.items() if name in used}
        if len(kept) > 1:  # one condition has nothing to be compared with
            experiments[key] = own | {"conditions": kept, "contrasts": contrasts}
    settings = draft.settings | {"experiments": experiments}
    if not experiments:
        _without_experiments(settings)
    return replace(draft, settings=settings, why_not=reasons)


def _lacking(study: Study, data: StudyData, experiment: Experiment) -> dict[str, str]:
    """Condition → what its method lacks."""
    lacking = {}
    for name, own in experiment_data(study, data, experiment, None).items():
        method = METHODS[experiment.conditions[name].method]
        reason = why_not(method, own)
        if not reason and method.reads == "pairs" and len(own.pairs) < FEWEST_PAIRS:
            reason = f"{len(own.pairs)} pairs of responses; at least {FEWEST_PAIRS} are needed"
        if reason:
            lacking[name] = reason
    return lacking
