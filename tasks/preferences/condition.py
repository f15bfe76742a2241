"""What the feedback of one condition comes to: labels, pairs of responses, and rewards (our choice, see README).

stratum → rater filter → scale → aggregation → preferences, with every drop counted. Which of these trains is the
method's affair.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from configs.schema import Condition, Experiment, Study
from tasks.preferences.aggregation import aggregate, mean_label
from tasks.preferences.pairs import count_preferences, differing, has_partner, unite
from tasks.preferences.population import rake, shares_of
from tasks.preferences.rater_filter import asks_for_indices, raters_left_out, training_indices
from tasks.preferences.scales import middle_of, to_scale
from tasks.preferences.strata import compared_groups, equal_numbers
from tasks.ratings.study_data import StudyData

ONE_RESPONSE = "prompts with one labelled response"
NOBODY_TWO = "prompts of which nobody labelled two responses"
KEYS = ["participant_id", "response_id", "prompt_id", "order"]
PAIRS = ["prompt_id", "a", "b", "n", "target", "weight", "prompt", "text_a", "text_b"]
REWARDS = ["response_id", "dimension", "prompt", "response", "reward", "n"]
Drop = tuple[str, str, int, int]
"""(step, reason, dropped, kept), in ratings, labels, responses or pairs as the reason says."""


@dataclass(frozen=True)
class Labels:
    """Oriented labels of one dimension, each KEYS and label, indexed as the ratings that they come from.

    scaled: one row a rating that the scale has a label for.
    final: those that train, what the aggregation makes of `scaled`.
    middle: of the scale; a label above it says that the response is good.
    """

    scaled: pd.DataFrame
    final: pd.DataFrame
    middle: float


@dataclass(frozen=True)
class ConditionData:
    """What the ratings of one condition come to.

    labels: dimension → its labels.
    pairs: prompt_id, a, b, n, target, weight, prompt, text_a, text_b.
    rewards: response_id, dimension, prompt, response, reward in [0, 1] (more is better), n.
    preferences: dimension → number of its label preferences when the dimensions were united, before pairs of equal
        texts were left out; one of them weighs 1 / that number.
    no_pairs: why there is no pair, and after which step; "" where there is one.
    groups: of a condition with `voices`, what the ratings of each group alone come to; the rest is of all together.
    voices: the part of the training weight that each group begins with; they sum to 1.
    names: group → what it is called, where the condition tells it to the model.
    left_out: the raters whom the condition's filter leaves out; None where it has none.
    """

    labels: dict[str, Labels]
    pairs: pd.DataFrame
    rewards: pd.DataFrame
    drops: list[Drop]
    preferences: dict[str, int] = field(default_factory=dict)
    no_pairs: str = ""
    groups: dict[str, ConditionData] = field(default_factory=dict)
    voices: dict[str, float] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    left_out: list[str] | None = None


def whom_filters_leave_out(
    study: Study, data: StudyData, experiment: Experiment, indices: pd.DataFrame | None = None
) -> dict[str, list[str]]:
    """Condition → participants, of the conditions that have a rater filter.

    indices: those of `training_indices`, which are worked out here where a filter goes by them and they are not given.

    Raises:
        InputError: no rater of a condition has the index that its filter goes by.
    """
    filters = {name: condition.raters for name, condition in experiment.conditions.items() if condition.raters}
    if indices is None and asks_for_indices(filters.values()):
        indices = training_indices(study, data)
    left_out, ratings = {}, data.training(data.ratings)
    for name, own in filters.items():
        rated, _ = of_stratum(data, ratings, experiment.conditions[name], experiment.groups)
        place = f"{study.name}: condition {name!r}: raters"
        left_out[name] = raters_left_out(place, own, rated["participant_id"], indices, study.seed)
    return left_out


def stratified(
    study: Study, data: StudyData, experiment: Experiment, left_out: Mapping[str, Collection[str]] | None = None
) -> dict[str, tuple[pd.DataFrame, list[Drop]]]:
    """Each condition's training ratings: those of its stratum, in equal numbers where some raters are compared.

    A stratum without ratings counts as empty and doesn't empty the group that it is compared with. `left_out`: as
    `whom_filters_leave_out` gives it, by default worked out.
    """
    ratings = data.training(data.ratings).reset_index(drop=True)
    groups = experiment.groups
    tables = {name: of_stratum(data, ratings, condition, groups) for name, condition in experiment.conditions.items()}
    left_out = whom_filters_leave_out(study, data, experiment) if left_out is None else left_out
    for name, people in left_out.items():
        own, drops = tables[name]
        kept = own[~own["participant_id"].isin(people)]
        why = f"ratings of the {len(people)} of {own['participant_id'].nunique()} raters whom the filter leaves out"
        tables[name] = kept, [*drops, ("raters", why, len(own) - len(kept), len(kept))]
    result, together = dict(tables), "prompt_id" if data.compared else "response_id"
    for group in compared_groups(experiment):
        present = {name: tables[name][0] for name in sorted(group) if len(tables[name][0])}
        for name, table in equal_numbers(present, study.seed, together).items() if present else ():
            lost = len(present[name]) - len(table)
            cut = ("balance", "ratings beyond the smallest stratum's number", lost, len(table))
            result[name] = (table, [*result[name][1], cut])
    return result


def of_stratum(
    data: StudyData, ratings: pd.DataFrame, condition: Condition, groups: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[Drop]]:
    """Of training ratings those on the condition's dimensions by its raters, before any filter; what that drops.

    groups: the experiment's, whose raters are those of a condition with `voices`.
    """
    answered = ratings.dropna(subset=list(condition.dimensions), how="all")
    silent = len(ratings) - len(answered)
    drops: list[Drop] = [("stratum", "ratings without an answer on its dimensions", silent, len(answered))]
    people, reason = data.raters(condition), "ratings of other strata"
    if condition.voices:
        people, reason = set[str]().union(*(data.strata[name] for name in groups)), "ratings of no group"
    if people is None:
        return answered, drops
    kept = answered[answered["participant_id"].isin(people)]
    return kept, [*drops, ("stratum", reason, len(answered) - len(kept), len(kept))]


def experiment_data(
    study: Study, data: StudyData, experiment: Experiment, indices: pd.DataFrame | None = None
) -> dict[str, ConditionData]:
    """Condition → what its ratings come to; `indices`: see `whom_filters_leave_out`."""
    left_out = whom_filters_leave_out(study, data, experiment, indices)
    tables, result = stratified(study, data, experiment, left_out), {}
    for name, condition in experiment.conditions.items():
        ratings, drops = tables[name]
        own = condition_data(study, data.responses, condition, ratings, drops)
        own = _with_groups(study, data, experiment.groups, condition, ratings, own) if condition.voices else own
        result[name] = replace(own, left_out=left_out.get(name))
    return result


def _with_groups(
    study: Study,
    data: StudyData,
    groups: Sequence[str],
    condition: Condition,
    ratings: pd.DataFrame,
    own: ConditionData,
) -> ConditionData:
    """A condition with `voices`: its data with those of each group, a rater of several in each of them.

    To speak for a population, raters are weighted so that their shares are its own: within a group by these weights,
    between groups by their sums.
    """
    weights = rake(data.participants, study.population) if condition.voices == "population" else None
    if weights is not None:
        weights = weights[weights > 0]
        ratings = ratings[ratings["participant_id"].isin(weights.index)]
    parts = {}
    for group in groups:
        members = ratings[ratings["participant_id"].isin(data.strata[group])]
        part = condition_data(study, data.responses, condition, members)
        if weights is not None:
            part = reweighted(condition, part, data.responses, weights)
        parts[group] = replace(part, drops=[])
    missing = [f"group {group!r}: {part.no_pairs}" for group, part in parts.items() if part.no_pairs]
    shares = shares_of({group: data.strata[group] for group in groups}, weights)
    names = {group: study.stratum_title(group) for group in groups} if condition.voices == "named" else {}
    return replace(own, no_pairs=own.no_pairs or "; ".join(missing), groups=parts, voices=shares, names=names)


def condition_data(
    study: Study, responses: pd.DataFrame, condition: Condition, ratings: pd.DataFrame, before: list[Drop] | None = None
) -> ConditionData:
    """What the ratings of a condition's stratum come to; `before` are the drops on the way to them."""
    drops = [*(before or [])]
    labels = {name: _labels(study, name, condition, ratings, drops) for name in condition.dimensions}
    final, texts = {name: table.final for name, table in labels.items()}, responses.set_index("response_id")
    counts = {name: _preferences(name, table, condition, drops) for name, table in final.items()}
    united = unite(list(counts.values()))
    pairs = _with_texts(united, texts, drops) if len(united) else pd.DataFrame(columns=PAIRS)
    no_pairs = ""
    if ratings.empty:
        whose = f"stratum {condition.stratum!r} has" if condition.stratum else "there is"
        no_pairs = f"{whose} no rating of a training prompt on {', '.join(condition.dimensions)}"
    elif united.empty:
        no_pairs = f"no preference pair: {_why_none(condition, list(final.values()))}"
    elif pairs.empty:
        no_pairs = "no preference pair: all pairs are of responses with the same text"
    preferences = {name: int(table["n_a"].sum() + table["n_b"].sum()) for name, table in counts.items()}
    return ConditionData(labels, pairs, _rewards(final, texts), drops, preferences, no_pairs)


def reweighted(condition: Condition, data: ConditionData, responses: pd.DataFrame, weights: pd.Series) -> ConditionData:
    """The same ratings with other weights of the raters: participant → weight above zero. No drops are told, and
    `preferences` are counted as before.

    A response that raters are tied on, or agree on, may keep another label than before, and two responses may come to
    differ or to be alike.
    """
    texts, labels = responses.set_index("response_id"), {}
    for name, table in data.labels.items():
        before = table.scaled.get("weight", 1)
        scaled = table.scaled.assign(weight=before * table.scaled["participant_id"].map(weights))
        labels[name] = Labels(scaled, aggregate(scaled, condition.aggregation), table.middle)
    final = {name: table.final for name, table in labels.items()}
    united = unite([count_preferences(table, condition.within) for table in final.values()])
    pairs = _with_texts(united, texts, []) if len(united) else pd.DataFrame(columns=PAIRS)
    groups = {name: reweighted(condition, part, responses, weights) for name, part in data.groups.items()}
    no_pairs = "" if len(pairs) else data.no_pairs
    return replace(
        data, labels=labels, pairs=pairs, rewards=_rewards(final, texts), drops=[], no_pairs=no_pairs, groups=groups,
        left_out=None,
    )  # fmt: skip


def _why_none(condition: Condition, labels: list[pd.DataFrame]) -> str:
    """After which step nothing is left to compare."""
    after = (
        f"after scale {condition.scale!r} and aggregation {condition.aggregation!r} no prompt has two responses with"
    )
    if not any(_prompts_with_two(table, ["prompt_id"]) for table in labels):
        return f"{after} labels"
    if condition.within == "prompt":
        return f"{after} different labels"
    if not any(_prompts_with_two(table, ["prompt_id", "participant_id"]) for table in labels):
        return "within: participant, and no participant labelled two responses to one prompt"
    return f"within: participant, and {after} different labels by one participant"


def _labels(study: Study, name: str, condition: Condition, ratings: pd.DataFrame, drops: list[Drop]) -> Labels:
    """Oriented labels of one dimension after the scale, and after aggregation."""
    scale, better = study.scales[condition.scale], study.dimensions[name].better
    rated = ratings.dropna(subset=[name])
    labels = rated[KEYS].assign(label=to_scale(rated[name], scale, better))
    kept = labels.dropna(subset=["label"])
    drops.append(("scale", f"{name}: ratings that the scale has no label for", len(labels) - len(kept), len(kept)))
    final = aggregate(kept, condition.aggregation)
    lost = kept["response_id"].nunique() - final["response_id"].nunique()
    reason = {"majority": "tied votes", "consensus": "raters who disagree, or one alone"}.get(condition.aggregation, "")
    if reason:
        drops.append(("aggregation", f"{name}: responses with {reason}", lost, final["response_id"].nunique()))
    drops.append(("aggregation", f"{name}: labels merged or lost", len(kept) - len(final), len(final)))
    return Labels(kept, final, middle_of(scale, better))


def _preferences(name: str, labels: pd.DataFrame, condition: Condition, drops: list[Drop]) -> pd.DataFrame:
    """Pairs of one dimension; prompts with one labelled response, or with equal labels only, have none."""
    counts = count_preferences(labels, condition.within)
    if condition.within == "participant":
        with_partner = int(has_partner(labels).sum()) if len(labels) else 0
        drops.append(
            ("pairs", f"{name}: labels of who labelled one response", len(labels) - with_partner, with_partner)
        )
    left = labels["prompt_id"].nunique()
    for reason, prompts in _steps_to_pairs(labels, counts, condition.within):
        drops.append(("pairs", f"{name}: {reason}", left - prompts, prompts))
        left = prompts
    return counts


def _steps_to_pairs(labels: pd.DataFrame, counts: pd.DataFrame, within: str) -> list[tuple[str, int]]:
    """Why prompts have no pair, and how many are left after each reason."""
    steps = [(ONE_RESPONSE, _prompts_with_two(labels, ["prompt_id"]))]
    if within == "participant":
        steps.append((NOBODY_TWO, _prompts_with_two(labels, ["prompt_id", "participant_id"])))
    return [*steps, ("prompts whose labels don't differ", counts["prompt_id"].nunique())]


def _prompts_with_two(labels: pd.DataFrame, by: list[str]) -> int:
    """How many prompts have two labelled responses in any group."""
    sizes = labels.groupby(by)["response_id"].nunique()
    return int(sizes.index.get_level_values("prompt_id")[sizes > 1].nunique())


def _with_texts(pairs: pd.DataFrame, texts: pd.DataFrame, drops: list[Drop]) -> pd.DataFrame:
    """The pairs with prompt, text_a and text_b; two responses of the same words can't be told apart and go."""
    pairs = pairs.assign(
        prompt=pairs["a"].map(texts["prompt"]),
        text_a=pairs["a"].map(texts["response"]),
        text_b=pairs["b"].map(texts["response"]),
    )
    differ = differing(pairs["text_a"], pairs["text_b"])
    kept = pairs[differ].reset_index(drop=True)
    drops.append(("pairs", "pairs of responses with the same text", len(pairs) - len(kept), len(kept)))
    return kept.assign(weight=kept["weight"] / kept["weight"].mean())


def _rewards(labels: Mapping[str, pd.DataFrame], texts: pd.DataFrame) -> pd.DataFrame:
    """Each response's mean label, a dimension's labels stretched to [0, 1]; n labels, or their weight."""
    tables = []
    for name, table in labels.items():
        if table.empty:
            continue
        low, high = table["label"].min(), table["label"].max()
        by_response = table.groupby("response_id")
        n = by_response["weight"].sum() if "weight" in table else by_response.size()
        reward = (mean_label(table)[n.index] - low) / max(high - low, 1)
        tables.append(pd.DataFrame({"dimension": name, "reward": reward, "n": n}).reset_index())
    if not tables:
        return pd.DataFrame(columns=REWARDS)
    rewards = pd.concat(tables, ignore_index=True)
    rewards.insert(2, "prompt", rewards["response_id"].map(texts["prompt"]))
    rewards.insert(3, "response", rewards["response_id"].map(texts["response"]))
    return rewards
