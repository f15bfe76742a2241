"""What each group would say of the answers that it gets under each way to serve, from the cells of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import CONTROL, Study
from tasks.groups.service import CEILING
from tasks.groups.tables import GroupScores, Voices
from tasks.judging.group_judges import GroupJudge
from tasks.methods.group_weights import GROUP
from tasks.planning.results import CellResult, ReplicatesResult


def group_scores(
    study: Study, name: str, judges: Mapping[str, GroupJudge], results: Sequence[CellResult],
    replicated: Sequence[ReplicatesResult],
) -> DataFrame[GroupScores]:  # fmt: skip
    """One row an answer, group and dimension, for the experiment `name` and the control.

    Every condition but those of single groups is a way to serve; what these give their groups is the way `own`. Where
    the model is told the group, each group is given its own answers. judges: by group, in the order of their dimensions
    `study.evaluation.dimensions`.
    """
    own = {condition: group for group, condition in study.experiments[name].own.items()}
    tables, every = [], list[CellResult | ReplicatesResult]([*results, *replicated])
    for result in every:
        cell = result.cell if isinstance(result, CellResult) else result.replicates.of
        if result.scores is None or result.answers is None or cell.experiment not in (name, CONTROL):
            continue
        condition = study.experiments[name].conditions.get(cell.condition)
        if condition and (condition.stratum or condition.half) and cell.condition not in own:
            continue
        served = [own[cell.condition]] if cell.condition in own else list(judges)
        where = {"experiment": cell.experiment, "architecture": cell.architecture, "seed": cell.seed}
        way = CEILING if cell.condition in own else cell.condition
        for group, scored in _by_group(study, result, {group: judges[group] for group in served}):
            tables.append(scored.assign(**where, condition=way, group=group))
    return GroupScores.checked(pd.concat(tables, ignore_index=True) if tables else [])


def _by_group(
    study: Study, result: CellResult | ReplicatesResult, judges: Mapping[str, GroupJudge]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each group's scores of a cell's answers: replicate, prompt_id, dimension, score."""
    dimensions = list(study.evaluation.dimensions)
    texts, scores = (pd.read_parquet(str(file)) for file in (result.answers, result.scores))
    keys = ["replicate", "prompt_id"]
    texts, scores = (table if "replicate" in table else table.assign(replicate=0) for table in (texts, scores))
    place = [*keys, *([GROUP] if GROUP in texts else [])]
    wide = scores.pivot(index=place, columns="dimension", values="score").reindex(columns=dimensions)
    judged = wide.loc[pd.MultiIndex.from_frame(texts[place])].to_numpy(float)
    for group, judge in judges.items():
        given = (texts[GROUP] == group).to_numpy() if GROUP in texts else np.ones(len(texts), dtype=bool)
        answers = texts[given]
        own = judge.score(judged[given], answers["text"].tolist())
        table = pd.DataFrame(own, columns=dimensions).assign(**{key: answers[key].to_numpy() for key in keys})
        yield group, table.melt(keys, var_name="dimension", value_name="score")


def voices_table(results: Sequence[CellResult]) -> DataFrame[Voices]:
    """The weights of groups at each logged step of the runs that change them; of the study's first seed."""
    rows = []
    for result in results:
        for entry in result.curve if not result.cell.seed else ():
            cell, step = result.cell, int(entry.get("step", 0))
            rows += [
                (cell.experiment, cell.condition, cell.architecture, step, key.removeprefix("q."), value)
                for key, value in entry.items()
                if key.startswith("q.") and np.isfinite(value)
            ]
    return Voices.checked(rows)
