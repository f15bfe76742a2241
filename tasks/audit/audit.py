"""Whose voice is in the data, and what each condition does to it.

A rating is one participant's answer on one dimension about one response; those of training prompts on a condition's
dimensions are audited. Each is followed through stratum, balancing, scale, aggregation and pairs, so that a stratum's
part in what trains stands beside its part in what was asked. Strata overlap where attributes differ or a participant
declares several values: shares add up to 1 only over strata that divide the participants among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.errors import InputError
from configs.schema import Condition, Study
from tasks.audit.tables import Audit, FilteredRaters, PopulationWeights
from tasks.methods import METHODS
from tasks.methods.group_weights import GROUP
from tasks.methods.training_rows import of_all_groups, training_rows, why_not
from tasks.preferences.aggregation import behind
from tasks.preferences.condition import ConditionData, of_stratum
from tasks.preferences.pairs import differing, pairs_sharing
from tasks.preferences.population import effective_number
from tasks.preferences.scales import to_scale
from tasks.ratings.study_data import StudyData

EVERYBODY = "all"
CHANCE_GROUPS = 20
"""Random groups of a stratum's size that its own majority is held against."""
TIE = 1e-9
"""Sums of several dimensions' preferences for either side that are closer than this are equal but for rounding."""


def check_audit(study: Study) -> None:
    """See that there is something to audit.

    Raises:
        InputError: the study has no experiments or no strata.
    """
    settings = {"experiments": study.experiments, "strata": study.strata}
    missing = [name for name, values in settings.items() if not values]
    if missing:
        raise InputError(f"{study.name}: no {' and no '.join(missing)}; an audit asks what conditions do to strata")


def audit(study: Study, data: StudyData, made: Mapping[str, Mapping[str, ConditionData]]) -> DataFrame[Audit]:
    """One row an experiment, condition and stratum; NaN where a denominator is 0.

    made: experiment → condition → what its ratings came to.

    Returns:
        experiment, condition, stratum.
        n_participants, n_ratings: members, and their ratings of training prompts on the condition's dimensions.
        share_of_participants, share_of_ratings: of everybody, and of everybody's such ratings.
        retained: share of n_ratings that the condition's stratum, balancing, scale and aggregation leave: the response
            keeps a label, and it is the rating's own. So `first` retains all ratings equal to the first one.
        share_of_preferences: share of the weight that trains. A label preference gives half of its weight to either
            label, a label's weight is split equally among the ratings that it was made of (`aggregation.behind`).
            A rating that stands for a population has that weight times its rater's; groups have what `voices` gives
            them to begin with. Where no pairs train, each label that does has the same weight, split in the same way
            (each method says what a voice is under it). Dimensions weigh the same.
        majority_loses: of the response pairs on which both the members' own ratings and the condition prefer one
            response, the share where it is not the same one. Members' own ratings are those of training prompts, with
            the questionnaire's categories as labels and every two labels of a prompt compared. The fewer the members,
            the less they count in what trains: a small stratum loses more by its size alone.
        chance_loses, chance_sd: mean and standard deviation of majority_loses over random groups of as many
            participants, which is what to hold it against.
        majority_unheard: share of the members' own majorities on which the condition prefers neither response.
        n_majorities: response pairs on which the members' own ratings prefer one response.

        A condition that can't train retains nothing, has no share_of_preferences, no majority_loses, and leaves all
        unheard.
    """
    ratings = data.training(data.ratings).reset_index(drop=True)
    people = data.participants["participant_id"]
    belongs = pd.DataFrame(
        {name: people.isin(ids).to_numpy() for name, ids in data.strata.items()}, index=pd.Index(people)
    )
    random = _random_groups(belongs, study.seed)
    majorities: dict[tuple[str, ...], tuple[Majorities, Majorities]] = {}
    rows = []
    for experiment, settings in study.experiments.items():
        for name, condition in settings.conditions.items():
            if condition.half:  # raters drawn at random are no group whose voice could be louder
                continue
            own_data = made[experiment][name]
            method = METHODS[condition.method]
            trained = None
            if not why_not(method, own_data):
                trained = training_rows(method, own_data, study.recipe, study.seed)[0]
            if condition.dimensions not in majorities:
                groups = (_majorities(study, data, condition, ratings, table) for table in (belongs, random))
                majorities[condition.dimensions] = next(groups), next(groups)
            own, others = majorities[condition.dimensions]
            voices = _voices(condition, ratings, own_data, trained, belongs.index)
            a, b = own.pairs["a"], own.pairs["b"]
            directions = np.zeros(len(a))
            if trained is not None:
                directions = _sign(method.lead(of_all_groups(method, trained), a, b))
            by_chance = _heard(others, directions)["majority_loses"]
            by_chance = by_chance.groupby([group.rpartition("/")[0] for group in by_chance.index], sort=False)
            part = _shares(voices, belongs).join(_heard(own, directions))
            part = part.assign(chance_loses=by_chance.mean(), chance_sd=by_chance.std())
            rows.append(part.assign(experiment=experiment, condition=name).reset_index(names="stratum"))
    return Audit.checked(pd.concat(rows) if rows else [])


def filtered_raters(
    study: Study, data: StudyData, made: Mapping[str, Mapping[str, ConditionData]]
) -> DataFrame[FilteredRaters]:
    """Whom the rater filters leave out, by group; nothing for a study without any.

    A filter by an index can silence those who answer differently. p_chance is the two-sided exact test of the
    hypergeometric distribution: of N raters n are left out, how many of a group's K are among them by chance? Groups of
    fewer than `survey.min_participants` such raters are not shown.

    Args:
        made: experiment → condition → what its ratings came to, of those with a filter at least.
    """
    ratings, rows = data.training(data.ratings), []
    for experiment, settings in study.experiments.items():
        for name, condition in settings.conditions.items():
            if condition.raters is None:
                continue
            rated, _ = of_stratum(data, ratings, condition)
            given = rated[list(condition.dimensions)].notna().sum(axis=1).groupby(rated["participant_id"]).sum()
            out = given.index.isin(made[experiment][name].left_out or [])
            for stratum, members in {EVERYBODY: set(given.index), **data.strata}.items():
                own = given.index.isin(members)
                size, lost = int(own.sum()), int((own & out).sum())
                if size < study.survey.min_participants:
                    continue
                chance = np.nan if stratum == EVERYBODY else _by_chance(lost, len(given), int(out.sum()), size)
                n, gone = int(given[own].sum()), int(given[own & out].sum())
                key = (experiment, name, stratum)
                rows.append((*key, size, lost, lost / size, out.mean(), chance, n, gone, gone / max(n, 1)))
    return FilteredRaters.checked(rows)


def _by_chance(lost: int, raters: int, left_out: int, size: int) -> float:
    """The two-sided p of `lost` of a group of `size`, where `left_out` of all `raters` are drawn at random: the
    probability of all numbers that are no likelier (Fisher's exact test)."""
    from scipy.stats import hypergeom

    possible = hypergeom(raters, left_out, size).pmf(np.arange(size + 1))
    return float(min(possible[possible <= possible[lost] * (1 + 1e-7)].sum(), 1.0))


def population_weights(
    study: Study, data: StudyData, made: Mapping[str, Mapping[str, ConditionData]]
) -> DataFrame[PopulationWeights]:
    """How many raters of equal weight would tell as much as those who are weighted to stand for a population; nothing
    for a study without such a condition.

    Kish's design effect of weights (1965): n · Σw² / (Σw)², of the n raters with a weight. Groups of fewer than
    `survey.min_participants` raters are not shown.

    Args:
        made: experiment → condition → what its ratings came to, of those with `voices: population` at least.
    """
    rows = []
    for experiment, settings in study.experiments.items():
        for name, condition in settings.conditions.items():
            if condition.voices != "population":
                continue
            own = made[experiment][name]
            asked = pd.Index(_scaled(own)["participant_id"].unique())
            weights = pd.concat([_scaled(part) for part in own.groups.values()]).groupby("participant_id")["weight"]
            by_rater = weights.first().reindex(asked)
            for stratum in (EVERYBODY, *settings.groups):
                members = by_rater if stratum == EVERYBODY else by_rater[asked.isin(data.strata[stratum])]
                counted = members.dropna()
                if len(counted) < study.survey.min_participants:
                    continue
                effective = effective_number(counted)
                row = (experiment, name, stratum, len(counted), len(members) - len(counted))
                rows.append((*row, effective, len(counted) / effective))
    return PopulationWeights.checked(rows)


def _scaled(data: ConditionData) -> pd.DataFrame:
    """The labels of all dimensions before aggregation, one below the other."""
    return pd.concat([labels.scaled for labels in data.labels.values()])


# ---- shares of ratings and of weight


def _voices(
    condition: Condition, ratings: pd.DataFrame, made: ConditionData, trained: pd.DataFrame | None, people: pd.Index
) -> pd.DataFrame:
    """Each participant's ratings, how many are retained, and their weight in training, both 0 if nothing trains."""
    total = pd.DataFrame(0.0, index=people, columns=["ratings", "retained", "weight"])
    given = ratings[list(made.labels)].notna().sum(axis=1)
    total["ratings"] += _by_participant(ratings, given, people)
    if made.groups and trained is not None:
        for group, part in made.groups.items():
            rows = trained[trained[GROUP] == group] if GROUP in trained else trained
            own = _voices(condition, ratings, part, rows, people)
            total["weight"] += made.voices[group] * own["weight"] / max(own["weight"].sum(), 1e-300)
    for dimension, labels in made.labels.items():
        made_of = behind(labels.scaled, labels.final, condition.aggregation)
        if trained is None:
            continue
        total["retained"] += _by_participant(labels.scaled, made_of["agrees"], people)
        if len(labels.final) and not made.groups:
            weight = METHODS[condition.method].voices(trained, made, dimension, made_of, condition.within)
            weight = weight * labels.scaled.get("weight", 1.0)
            total["weight"] += _by_participant(labels.scaled, weight, people)
    return total


def _by_participant(rows: pd.DataFrame, values: pd.Series | np.ndarray, people: pd.Index) -> np.ndarray:
    """Each participant's sum of the rows' values."""
    codes = people.get_indexer(rows["participant_id"])
    return np.bincount(codes, weights=np.asarray(values, dtype=float), minlength=len(people))


def _shares(voices: pd.DataFrame, belongs: pd.DataFrame) -> pd.DataFrame:
    """Participants' sums as strata's counts and shares, indexed by stratum."""
    sums = belongs.T.astype(float) @ voices
    everybody = voices.sum()
    size = belongs.sum()
    columns = {
        "n_participants": size,
        "n_ratings": sums["ratings"],
        "share_of_participants": _ratio(size, len(belongs)),
        "share_of_ratings": _ratio(sums["ratings"], everybody["ratings"]),
        "retained": _ratio(sums["retained"], sums["ratings"]),
        "share_of_preferences": _ratio(sums["weight"], everybody["weight"]),
    }
    return pd.DataFrame(columns)


def _ratio(part: pd.Series, whole: pd.Series | float) -> pd.Series:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (part / whole).where(pd.Series(whole, index=part.index) > 0)


# ---- majorities


@dataclass(frozen=True)
class Majorities:
    """Pairs of responses (a, b) of a prompt, and which of them each group's own ratings prefer.

    pairs: a, b; responses of the same text make no pair. wants (pairs, groups): 1 for a, -1 for b, 0 for neither.
    """

    pairs: pd.DataFrame
    groups: list[str]
    wants: np.ndarray


def _majorities(
    study: Study, data: StudyData, condition: Condition, ratings: pd.DataFrame, belongs: pd.DataFrame
) -> Majorities:
    """On the condition's dimensions, as `count_preferences` and `unite` count and weigh, for all groups at once."""
    responses = data.responses[data.responses["response_id"].isin(ratings["response_id"])]
    index = pd.Index(responses["response_id"])
    pairs = pairs_sharing(responses[["prompt_id", "response_id"]], on=["prompt_id"])[["a", "b"]]
    a, b = index.get_indexer(pairs["a"]), index.get_indexer(pairs["b"])
    size, k = len(index), data.categories
    lead = np.zeros((len(pairs), belongs.shape[1]))
    for name in condition.dimensions:
        rated = ratings.dropna(subset=[name])
        labels = to_scale(rated[name], tuple(range(1, k + 1)), study.dimensions[name].better).to_numpy(np.int64)
        first = 1 if study.dimensions[name].better == "higher" else -k
        place = index.get_indexer(rated["response_id"]) * k + labels - first
        members_of = belongs.to_numpy()[belongs.index.get_indexer(rated["participant_id"])]
        for group in range(belongs.shape[1]):
            h = np.bincount(place, members_of[:, group], size * k).reshape(size, k)
            below = np.cumsum(h, axis=1) - h
            for_a, for_b = (h[a] * below[b]).sum(1), (h[b] * below[a]).sum(1)
            total = for_a.sum() + for_b.sum()
            lead[:, group] += (for_a - for_b) / total if total else 0.0
    texts = responses.set_index("response_id")["response"]
    differ = differing(pairs["a"].map(texts), pairs["b"].map(texts)).to_numpy()
    return Majorities(pairs[differ].reset_index(drop=True), list(belongs), _sign(lead[differ]).astype(np.int8))


def _random_groups(belongs: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Members of random groups, `CHANCE_GROUPS` of each stratum's size, side by side; columns `STRATUM/NUMBER`."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(belongs)) for _ in range(CHANCE_GROUPS)]
    columns = {f"{name}/{n}": belongs[name].to_numpy()[order] for name in belongs for n, order in enumerate(orders)}
    return pd.DataFrame(columns, index=belongs.index)


def _sign(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < TIE, 0.0, np.sign(values))


def _heard(majorities: Majorities, directions: np.ndarray) -> pd.DataFrame:
    """n_majorities, majority_unheard and majority_loses, indexed by group."""
    wanted, product = majorities.wants != 0, majorities.wants * directions[:, None]
    n, led, lost = (
        pd.Series(counts.sum(axis=0), index=majorities.groups, dtype=float)
        for counts in (wanted, wanted & (directions != 0)[:, None], product < 0)
    )
    shares = {"majority_loses": _ratio(lost, led), "majority_unheard": _ratio(n - led, n)}
    return pd.DataFrame({"n_majorities": n, **shares})
