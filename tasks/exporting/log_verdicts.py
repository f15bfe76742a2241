"""`pluralign inspect`: scores in logs of Inspect as a judge's verdicts, and as effects that `pluralign meta` pools."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.errors import InputError
from tasks.effects.effects import mean_and_error
from tasks.exporting.dictionary import dictionary
from tasks.exporting.inspect_log import InspectLog, LogSample, read_log, values_of
from tasks.exporting.tables import LogEffects, LogVerdicts
from tasks.runtime.files import write_atomically
from tasks.runtime.spreadsheet import as_csv
from tasks.runtime.tables import Table

SHOWN = ["task", "scorer", "label", "reference", "estimate", "std_error", "k"]
MOST_REASONS = 8
"""So many reasons for which scores are missing are printed; all are in the table."""
FAILED, INVALIDATED, NOT_SCORED = "the sample ended with an error", "the sample was invalidated", "not scored"


def write_log_verdicts(paths: Sequence[Path], folder: Path) -> list[str]:
    """Write verdicts.csv, and effects.csv where models can be compared, with dictionary.csv; the lines that tell it.

    Raises:
        InputError: a file is no log that can be read, has no scores, or is given twice.
    """
    logs = {name: read_log(path) for name, path in _names(paths).items()}
    table = verdicts(logs)
    effects, left_out = log_effects(logs, table)
    declared: dict[str, type[Table]] = {"verdicts.csv": LogVerdicts}
    write_atomically(folder / "verdicts.csv", as_csv(table))
    lines = _told(logs, table)
    (folder / "effects.csv").unlink(missing_ok=True)
    if len(effects):
        declared["effects.csv"] = LogEffects
        write_atomically(folder / "effects.csv", as_csv(effects))
        lines += ["", effects[SHOWN].round(4).to_string(index=False)]
    lines += left_out
    write_atomically(folder / "dictionary.csv", as_csv(dictionary(declared)))
    lines.append(f"verdicts: {folder / 'verdicts.csv'}")
    if len(effects):
        several = effects.groupby(["task", "scorer"]).size().max() > 1
        shared = " --shares reference" if several else ""
        lines.append(f"effects: pluralign meta {folder / 'effects.csv'} --by task scorer{shared}")
    return lines


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """What each log is called: its file's name, or its path where two are called alike."""
    files = [path.name for path in paths]
    names = {path.name if files.count(path.name) == 1 else str(path): path for path in paths}
    if len(names) < len(paths):
        raise InputError(f"{next(str(path) for path in paths if paths.count(path) > 1)}: given twice")
    return names


def _told(logs: Mapping[str, InspectLog], table: pd.DataFrame) -> list[str]:
    lines = [f"{name}: ended as {log.status!r}, so samples may be missing" for name, log in logs.items()
             if log.status != "success"]  # fmt: skip
    samples = len(table.drop_duplicates(["log", "sample"]))
    reasons = table.loc[table["unscored"] != "", "unscored"].value_counts()
    lines.append(
        f"{len(table):,} scores of {samples:,} samples in {len(logs)} logs, {reasons.sum():,} of them unscored"
    )
    rest = [f"  {reasons[MOST_REASONS:].sum():,}: other reasons"] if len(reasons) > MOST_REASONS else []
    return [*lines, *(f"  {n:,}: {reason}" for reason, n in reasons[:MOST_REASONS].items()), *rest]


# ---- verdicts


def verdicts(logs: Mapping[str, InspectLog]) -> DataFrame[LogVerdicts]:
    """A row for every scorer of a log and every sample and epoch of it, scored or not; of one that is logged twice, the
    last counts. logs: name → log.

    Raises:
        InputError: a log has no scores.
    """
    rows = []
    for name, log in logs.items():
        scored = {(str(own.id), own.epoch): (own, dict(_values(own))) for own in log.samples}
        scorers = list(dict.fromkeys(scorer for _, values in scored.values() for scorer in values))
        if not scorers:
            raise InputError(f"{log.path}: no scores in it")
        for (sample, epoch), (own, values) in scored.items():
            metadata = json.dumps(own.metadata, ensure_ascii=False) if own.metadata else ""
            for scorer in scorers:
                value, why = values.get(scorer, (math.nan, FAILED if own.error is not None else NOT_SCORED))
                if own.invalidation is not None:
                    value, why = math.nan, INVALIDATED
                rows.append((name, log.task, log.model, sample, epoch, scorer, value, why, metadata))
    return LogVerdicts.checked(rows)


def _values(sample: LogSample) -> Iterator[tuple[str, tuple[float, str]]]:
    for scorer, score in (sample.scores or {}).items():
        for name, value, why in values_of(scorer, score):
            yield name, (value, why)


# ---- effects


class _Pair(NamedTuple):
    """Two logs of a task, the first one its reference."""

    reference: str
    other: str


def log_effects(logs: Mapping[str, InspectLog], table: pd.DataFrame) -> tuple[DataFrame[LogEffects], list[str]]:
    """Every log against the first one of its task, by scorer: mean and standard error of the paired differences.

    A sample's score is the mean of its epochs that are scored. Samples are the same where id and input are. The error
    is at least that of one score moved by the smallest step between two scores of the scorer, as in a study, where
    differences that are all equal say nothing of their spread.

    Returns:
        The table, and a line for each effect that it lacks, with the reason.
    """
    by_task: dict[str, list[str]] = {}
    for name, log in logs.items():
        by_task.setdefault(log.task, []).append(name)
    rows, left_out = [], []
    for task, names in by_task.items():
        labels = _labels({name: logs[name].model for name in names})
        own = table[table["log"].isin(names)]
        for scorer in own["scorer"].unique():
            scores = own[own["scorer"] == scorer]
            step = _step(scores)
            for pair in (_Pair(names[0], other) for other in names[1:]):
                what = f"{task}, {scorer}: {labels[pair.other]} - {labels[pair.reference]}"
                numbers, k = _difference(logs, scores, pair, step)
                if k < 2 or not step:
                    why = f"{k} samples are scored in both" if k < 2 else "all scores are the same"
                    left_out.append(f"no effect of {what}: {why}")
                    continue
                rows.append((task, scorer, labels[pair.other], labels[pair.reference], *numbers))
    return LogEffects.checked(rows), left_out


def _labels(models: Mapping[str, str]) -> dict[str, str]:
    """Log → what its model is called among the logs of a task."""
    several = [model for model in models.values() if list(models.values()).count(model) > 1]
    return {name: f"{model} ({name})" if model in several else model for name, model in models.items()}


def _step(scores: pd.DataFrame) -> float:
    """The smallest difference between two different scores, over the most epochs of a sample; 0 where all are equal."""
    distinct = np.unique(scores["value"].dropna())
    epochs = scores.groupby(["log", "sample"]).size().max()
    return float(np.diff(distinct).min() / epochs) if len(distinct) > 1 else 0.0


def _difference(
    logs: Mapping[str, InspectLog], scores: pd.DataFrame, pair: _Pair, step: float
) -> tuple[tuple[float, float, int, int, int], int]:
    """estimate, std_error, k, n_unscored and n_others of a pair, and k."""
    inputs = [{str(own.id): own.input for own in logs[name].samples} for name in pair]
    same = [sample for sample in inputs[0] if sample in inputs[1] and not _differ(inputs[0][sample], inputs[1][sample])]
    means = scores.groupby(["log", "sample"])["value"].mean().unstack("sample").reindex(index=pair, columns=same)
    values = means.to_numpy(float)
    differences = values[1] - values[0]
    scored = differences[np.isfinite(differences)]
    k, all_samples = len(scored), len({*inputs[0], *inputs[1]})
    estimate, error = mean_and_error(scored[None, :], step)
    return (estimate, error, k, len(same) - k, all_samples - len(same)), k


def _differ(one: object, other: object) -> bool:
    """Whether two inputs are known to differ: messages have ids of their own, and long texts stand elsewhere."""
    texts = [text for text in (one, other) if isinstance(text, str) and not text.startswith("attachment://")]
    return len(texts) == 2 and texts[0] != texts[1]
