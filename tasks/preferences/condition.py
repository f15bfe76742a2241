"""One condition of an experiment, from the study's ratings to the data that trains (our choice, see README).

stratum → scale → aggregation → preferences, with every drop counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from configs.errors import InputError
from configs.schema import Condition, Dimension, Experiment, Study
from tasks.preferences.aggregation import aggregate
from tasks.preferences.pairs import count_preferences, unite
from tasks.preferences.scales import to_scale
from tasks.preferences.split import held_out
from tasks.preferences.strata import compared_groups, equal_numbers, members, stable_hash
from tasks.ratings.reading.load import Data
from tasks.runtime.fingerprint import fingerprint, frame_digest

KEYS = ["participant_id", "response_id", "prompt_id", "order"]
Drop = tuple[str, str, int, int]
"""(step, reason, dropped, kept), in ratings, labels, responses or pairs as the reason says."""


class NoPreferences(InputError):
    """A condition that leaves nothing to train on; its cells fail, the others go on."""


@dataclass(frozen=True)
class Labels:
    """Oriented labels of one dimension, each KEYS and label, indexed as the ratings that they come from.

    scaled: one row a rating that the scale has a label for.
    final: those that train, what the aggregation makes of `scaled`.
    """

    scaled: pd.DataFrame
    final: pd.DataFrame


@dataclass(frozen=True)
class TrainingData:
    """What a condition trains on.

    pairs: prompt_id, a, b, n, target, weight, prompt, text_a, text_b.
    rewards: response_id, dimension, prompt, response, reward in [0, 1] (more is better), n: for GRPO's reward model.
    preferences: dimension → number of its label preferences when the dimensions were united, before pairs were left
        out; one of them weighs 1 / that number.
    """

    pairs: pd.DataFrame
    rewards: pd.DataFrame
    drops: list[Drop]
    preferences: dict[str, int] = field(default_factory=dict)

    def digest(self, optimiser: str) -> str:
        """Identity of what the optimiser reads; conditions that share it share their training run."""
        if optimiser == "grpo":
            return fingerprint(["grpo", frame_digest(self.rewards)])
        return fingerprint(["dpo", frame_digest(self.pairs[["prompt", "text_a", "text_b", "target", "weight"]])])


def training_ratings(study: Study, data: Data) -> pd.DataFrame:
    """The ratings of the prompts that are not held out."""
    kept = ~held_out(data.ratings["prompt_id"], study.evaluation.share, study.seed)
    return data.ratings[kept].reset_index(drop=True)


def stratified(study: Study, data: Data, experiment: Experiment) -> dict[str, tuple[pd.DataFrame, list[Drop]]]:
    """Each condition's ratings: those of its stratum, in equal numbers where strata are compared.

    A stratum without ratings counts as empty and doesn't empty the group that it is compared with.
    """
    ratings = training_ratings(study, data)
    tables = {name: _of_stratum(study, data, ratings, condition) for name, condition in experiment.conditions.items()}
    result = dict(tables)
    for group in compared_groups(experiment):
        present = {name: tables[name][0] for name in sorted(group) if len(tables[name][0])}
        for name, table in equal_numbers(present, study.seed).items() if present else ():
            lost = len(present[name]) - len(table)
            cut = ("balance", "ratings beyond the smallest stratum's number", lost, len(table))
            result[name] = (table, [*result[name][1], cut])
    return result


def _of_stratum(
    study: Study, data: Data, ratings: pd.DataFrame, condition: Condition
) -> tuple[pd.DataFrame, list[Drop]]:
    answered = ratings.dropna(subset=list(condition.dimensions), how="all")
    silent = len(ratings) - len(answered)
    drops: list[Drop] = [("stratum", "ratings without an answer on its dimensions", silent, len(answered))]
    if condition.stratum is None:
        return answered, drops
    ids = members(data.participants, study.strata[condition.stratum])
    kept = answered[answered["participant_id"].isin(ids)]
    return kept, [*drops, ("stratum", "ratings of other strata", len(answered) - len(kept), len(kept))]


def training_data(study: Study, data: Data, condition: Condition, ratings: pd.DataFrame) -> TrainingData:
    """The condition's data from its stratum's ratings.

    Raises:
        NoPreferences: nothing is left to train on, and after which step.
    """
    if ratings.empty:
        whose = f"stratum {condition.stratum!r} has" if condition.stratum else "there is"
        raise NoPreferences(f"{whose} no rating of a training prompt on {', '.join(condition.dimensions)}")
    labels, drops = condition_labels(study, condition, ratings)
    return from_labels(study, data, condition, labels, drops)


def condition_labels(study: Study, condition: Condition, ratings: pd.DataFrame) -> tuple[dict[str, Labels], list[Drop]]:
    """Dimension → the labels of the condition's ratings before and after aggregation, and what was dropped."""
    drops: list[Drop] = []
    labels = {
        name: _labels(ratings, study.dimensions[name], name, study.scales[condition.scale], condition, drops)
        for name in condition.dimensions
    }
    return labels, drops


def from_labels(
    study: Study, data: Data, condition: Condition, labels: Mapping[str, Labels], before: Sequence[Drop] = ()
) -> TrainingData:
    """The condition's data from its labels; `before` are the drops on the way to them.

    Raises:
        NoPreferences: nothing is left to train on, and after which step.
    """
    final, drops = {name: table.final for name, table in labels.items()}, [*before]
    counts = {name: _preferences(name, table, condition, drops) for name, table in final.items()}
    pairs = unite(list(counts.values()))
    if pairs.empty:
        raise NoPreferences(
            f"no preference pair: after scale {condition.scale!r} and aggregation {condition.aggregation!r} no prompt "
            "has two responses with different labels"
        )
    texts = data.responses.set_index("response_id")
    pairs = _with_texts(pairs, texts, drops)
    if pairs.empty:
        raise NoPreferences("no preference pair: all pairs are of responses with the same text")
    if condition.optimiser == "dpo":
        pairs = _cap(pairs, study.recipe.dpo.max_pairs, study.seed, drops)
    preferences = {name: int(table["n_a"].sum() + table["n_b"].sum()) for name, table in counts.items()}
    return TrainingData(pairs, _rewards(final, texts), drops, preferences)


def _labels(
    ratings: pd.DataFrame, dimension: Dimension, name: str, scale: tuple[int | None, ...], condition: Condition,
    drops: list[Drop],
) -> Labels:  # fmt: skip
    """Oriented labels of one dimension after the scale, and after aggregation."""
    rated = ratings.dropna(subset=[name])
    labels = rated[KEYS].assign(label=to_scale(rated[name], scale, dimension.better))
    kept = labels.dropna(subset=["label"])
    drops.append(("scale", f"{name}: ratings that the scale has no label for", len(labels) - len(kept), len(kept)))
    final = aggregate(kept, condition.aggregation)
    lost = kept["response_id"].nunique() - final["response_id"].nunique()
    reason = {"majority": "tied votes", "consensus": "raters who disagree, or one alone"}.get(condition.aggregation, "")
    if reason:
        drops.append(("aggregation", f"{name}: responses with {reason}", lost, final["response_id"].nunique()))
    drops.append(("aggregation", f"{name}: labels merged or lost", len(kept) - len(final), len(final)))
    return Labels(kept, final)


def _preferences(name: str, labels: pd.DataFrame, condition: Condition, drops: list[Drop]) -> pd.DataFrame:
    """Pairs of one dimension; prompts with one labelled response, or with equal labels only, have none."""
    counts = count_preferences(labels, condition.within)
    sizes = labels.groupby("prompt_id")["response_id"].nunique()
    several = int((sizes > 1).sum())
    paired = counts["prompt_id"].nunique()
    drops.append(("pairs", f"{name}: prompts with one labelled response", len(sizes) - several, several))
    drops.append(("pairs", f"{name}: prompts whose labels don't differ", several - paired, paired))
    return counts


def _with_texts(pairs: pd.DataFrame, texts: pd.DataFrame, drops: list[Drop]) -> pd.DataFrame:
    """The pairs with prompt, text_a and text_b; two responses of the same words can't be told apart and go."""
    pairs = pairs.assign(
        prompt=pairs["a"].map(texts["prompt"]),
        text_a=pairs["a"].map(texts["response"]),
        text_b=pairs["b"].map(texts["response"]),
    )
    kept = pairs[pairs["text_a"] != pairs["text_b"]].reset_index(drop=True)
    drops.append(("pairs", "pairs of responses with the same text", len(pairs) - len(kept), len(kept)))
    return kept.assign(weight=kept["weight"] / kept["weight"].mean())


def _cap(pairs: pd.DataFrame, limit: int | None, seed: int, drops: list[Drop]) -> pd.DataFrame:
    if limit is None or len(pairs) <= limit:
        return pairs
    drops.append(("cap", "pairs beyond the recipe's max_pairs", len(pairs) - limit, limit))
    kept = pairs.loc[stable_hash(pairs[["a", "b"]], seed).nsmallest(limit).index].sort_index(ignore_index=True)
    return kept.assign(weight=kept["weight"] / kept["weight"].mean())


def _rewards(labels: Mapping[str, pd.DataFrame], texts: pd.DataFrame) -> pd.DataFrame:
    """Each response's mean label, a dimension's labels stretched to [0, 1]."""
    tables = []
    for name, table in labels.items():
        if table.empty:
            continue
        low, high = table["label"].min(), table["label"].max()
        means = table.groupby("response_id")["label"].agg(["mean", "size"]).reset_index()
        reward = (means["mean"].astype(float) - low) / max(high - low, 1)
        tables.append(
            pd.DataFrame({"response_id": means["response_id"], "dimension": name, "reward": reward, "n": means["size"]})
        )
    rewards = pd.concat(tables, ignore_index=True)
    rewards.insert(2, "prompt", rewards["response_id"].map(texts["prompt"]))
    rewards.insert(3, "response", rewards["response_id"].map(texts["response"]))
    return rewards
