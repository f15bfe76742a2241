"""A study's ratings, with what every stage asks of them: which prompts are held out, and who is in which stratum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from configs.schema import Condition, Stratum, Study
from tasks.ratings.reading.load import Data
from tasks.ratings.reading.same_text import prompt_groups
from tasks.runtime.fingerprint import stable_share


@dataclass(frozen=True, kw_only=True)
class StudyData(Data):
    """The tables, split and grouped as the study says; both are worked out once."""

    study: Study

    @classmethod
    def of(cls, study: Study, data: Data) -> StudyData:
        """`data` as the study sees them."""
        tables = {name: getattr(data, name) for name in Data.__dataclass_fields__}
        return cls(**tables, study=study)

    @cached_property
    def prompt_groups(self) -> dict[str, str]:
        """Prompt id → the smallest id that its text stands under."""
        return prompt_groups(self.responses)

    @cached_property
    def held_out_prompts(self) -> frozenset[str]:
        """Ids of the prompts that train nothing; all ids of a text are on one side."""
        groups = self.prompt_groups
        apart = held_out(pd.Series(list(groups.values())), self.study.evaluation.share, self.study.seed)
        return frozenset(prompt for prompt, first in groups.items() if first in apart)

    @cached_property
    def strata(self) -> dict[str, set[str]]:
        """Stratum → ids of its participants."""
        return {name: members(self.participants, stratum) for name, stratum in self.study.strata.items()}

    def raters(self, condition: Condition) -> set[str] | None:
        """Ids of those whose ratings a condition trains on; None for everybody."""
        if condition.stratum is not None:
            return self.strata[condition.stratum]
        if condition.half is None:
            return None
        half, seed = condition.half, self.study.seed
        together = set().union(*(self.strata[name] for name in half.of))
        return {name for name in together if (stable_share("half", seed, half.number, name) >= 0.5) == half.second}

    @property
    def strata_shown(self) -> dict[str, set[str]]:
        """The strata that have enough participants to be shown (`survey.min_participants`)."""
        few = self.study.survey.min_participants
        return {name: ids for name, ids in self.strata.items() if len(ids) >= few}

    def training(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with a prompt_id whose prompts are not held out."""
        return table[~table["prompt_id"].isin(self.held_out_prompts)]

    def evaluation(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with a prompt_id whose prompts are held out."""
        return table[table["prompt_id"].isin(self.held_out_prompts)]

    @property
    def evaluation_prompts(self) -> pd.DataFrame:
        """prompt_id and prompt of the held-out prompts, each text once; at most `evaluation.max_prompts`."""
        prompts = self.evaluation(self.responses).drop_duplicates("prompt_id")[["prompt_id", "prompt"]]
        prompts = prompts[prompts["prompt_id"].map(self.prompt_groups) == prompts["prompt_id"]]
        most = self.study.evaluation.max_prompts or len(prompts)
        return prompts.sort_values("prompt_id", ignore_index=True).head(most)


def held_out(prompt_ids: pd.Series, share: float, seed: int) -> frozenset[str]:
    """The prompts whose hash falls below `share`.

    A prompt's side depends on its id and the seed alone, so it keeps it when other prompts come or go.
    """
    return frozenset(prompt for prompt in prompt_ids.unique() if stable_share("split", seed, prompt) < share)


def members(participants: pd.DataFrame, stratum: Stratum) -> set[str]:
    """Ids of those who declare one of the stratum's values, among others or alone."""
    values = set(stratum.values)
    belongs = [not values.isdisjoint(terms) for terms in participants[stratum.attribute]]
    return set(participants.loc[belongs, "participant_id"])
