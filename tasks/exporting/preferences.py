"""Preference data as Parquet that Hugging Face's `datasets` reads by itself, for TRL's own trainers and as ours trains.

Parquet with a card, not `Dataset.save_to_disk`: TRL's command line (`trl dpo --dataset_name`) and its examples call
`load_dataset`, which refuses folders of `save_to_disk`; and Parquet is read without `datasets`, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from configs.schema import Condition, Study
from tasks.architectures.chat import SYSTEM
from tasks.methods import METHODS
from tasks.methods.expanded import Expanded
from tasks.methods.training_rows import expanded_rows
from tasks.methods.training_set import TrainingSet, training_sets
from tasks.preferences.condition import ConditionData
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import Artifact, Store

FILE = "train.parquet"
"""`datasets` takes a file of this name for the split `train`."""
EXPANDED, COLLAPSED = "expanded", "collapsed"
ROLES = {"prompt": "user", "chosen": "assistant", "rejected": "assistant", "completion": "assistant"}
"""Column of TRL → whose turn it is."""
CONVERSATION = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
ROWS_AT_ONCE = 100_000
MEANINGS = {
    EXPANDED: {
        "prompt": "the user's turn, after a system turn where the condition names the group to the model",
        "chosen": "the response that was preferred",
        "rejected": "the other response",
        "completion": "the response that was rated",
        "label": "whether its label is above the middle of the scale, turned so that more is better",
        "weight": "what the row counts in the condition's loss, mean 1; TRL's trainers don't read it",
    },
    COLLAPSED: {
        "prompt_id": "the prompt",
        "a": "a response to it",
        "b": "another",
        "response_id": "the response",
        "n": "preferences between labels of both responses, or labels of the response; weighted where raters are",
        "target": "the share of them that prefer a, or that are above the middle; weighted by dimension and rater",
        "weight": "what the row counts in the loss, mean 1; where training looks after groups, at its beginning",
        "prompt": "the prompt's text",
        "text_a": "the text of a",
        "text_b": "the text of b",
        "response": "the response's text",
        "dimension": "what is rated",
        "reward": "mean label of the response, stretched to 0–1",
        "group": "whose ratings, where the condition gives groups a voice each",
        "system": "the system turn that names the group to the model",
    },
}
"""What the card says of the columns that a folder may have."""


@dataclass(frozen=True)
class Written:
    """The data of one condition: how many rows it has of either kind, or why it is left out."""

    experiment: str
    condition: str
    method: str
    of_strata: bool
    """Whether only some participants' ratings are behind it, by what they declare."""
    expanded: int = 0
    collapsed: int = 0
    why_not: str = ""


def write_preferences(study: Study, data: StudyData, ratings: Artifact, store: Store, folder: Path) -> list[Written]:
    """EXPERIMENT/CONDITION/expanded and …/collapsed of every condition, and a card, into `folder`.

    Only training prompts are in them. A condition with fewer than `survey.min_participants` raters, or with a group of
    fewer, is left out, and so is one that trains on nothing.
    """
    written = [
        _write(study, name, condition, own, of_condition, store, folder / name / condition)
        for name, condition, own, of_condition in _conditions(study, data, ratings, store)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(card(study, written, len(data.held_out_prompts)))
    return written


def _conditions(
    study: Study, data: StudyData, ratings: Artifact, store: Store
) -> Iterator[tuple[str, str, TrainingSet, ConditionData]]:
    for name, experiment in study.experiments.items():
        preferences = keep_preferences(study, name, data, ratings, store)
        sets = training_sets(study, name, preferences, store)
        for condition in experiment.conditions:
            yield name, condition, sets[condition], preferences.of(condition)


def _write(
    study: Study, name: str, condition: str, own: TrainingSet, data: ConditionData, store: Store, folder: Path
) -> Written:
    settings = study.experiments[name].conditions[condition]
    told = Written(name, condition, own.method, bool(settings.stratum or settings.half or settings.voices))
    if reason := _why_not(settings, own, data, study.survey.min_participants):
        return Written(**vars(told) | {"why_not": reason})
    table = pd.read_parquet(own.table.fetch(store))
    expanded = expanded_rows(METHODS[own.method], table, data, settings.within)
    for kind in (EXPANDED, COLLAPSED):
        (folder / kind).mkdir(parents=True)
    table.to_parquet(folder / COLLAPSED / FILE, index=False)
    write_expanded(expanded, folder / EXPANDED / FILE)
    return Written(**vars(told) | {"expanded": int(expanded.copies.sum()), "collapsed": len(table)})


def _why_not(settings: Condition, own: TrainingSet, data: ConditionData, few: int) -> str:
    for group, part in {"": data, **data.groups}.items():
        people = {who for labels in part.labels.values() for who in labels.scaled["participant_id"]}
        if len(people) < few:
            return f"{f'group {group!r}: ' if group else ''}fewer than {few} raters"
    return own.error if settings.trains else "its adapter is merged of others, and trains on nothing"


def write_expanded(expanded: Expanded, path: Path) -> None:
    """One row a copy, prompts and responses as TRL's conversations: a list of turns with role and content."""
    distinct = as_conversations(expanded.rows)
    rows = np.repeat(np.arange(len(expanded.rows)), expanded.copies)
    with pq.ParquetWriter(path, distinct.schema) as writer:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            writer.write_table(distinct.take(pa.array(rows[start : start + ROWS_AT_ONCE])))


def as_conversations(rows: pd.DataFrame) -> pa.Table:
    """The rows of `Expanded` with a list of turns in place of each text; a response has no blanks around it, as the
    models are trained."""
    columns: dict[str, Any] = {}
    for name in rows.columns.drop(SYSTEM, errors="ignore"):
        if name not in ROLES:
            columns[name] = pa.array(rows[name])
            continue
        texts = rows[name] if ROLES[name] == "user" else rows[name].str.strip()
        turns = [[{"role": ROLES[name], "content": text}] for text in texts]
        if name == "prompt" and SYSTEM in rows:
            named = zip(rows[SYSTEM], turns, strict=True)
            turns = [[{"role": SYSTEM, "content": text}, *own] if text else own for text, own in named]
        columns[name] = pa.array(turns, CONVERSATION)
    return pa.table(columns)


# ---- the card


def card(study: Study, written: list[Written], held_out: int) -> str:
    """The README of the folder: for `datasets`, which files are which configuration; for people, what they are."""
    kept = [own for own in written if not own.why_not]
    configurations = [
        {
            "config_name": f"{own.experiment}.{own.condition}.{kind}",
            "data_files": [{"split": "train", "path": f"{own.experiment}/{own.condition}/{kind}/{FILE}"}],
        }
        for own in kept
        for kind in (EXPANDED, COLLAPSED)
    ]
    head = yaml.safe_dump({"configs": configurations}, sort_keys=False, allow_unicode=True) if kept else "{}\n"
    lines = [
        f"# Preference data of the study `{study.name}`",
        "",
        *([f"**{study.label}**", ""] if study.label else []),
        f"Only training prompts are in it: {held_out} prompts are held out, and no answer to them trains anything.",
        "",
        "`expanded` is what TRL's own trainers read, in its conversational format: a row a preference (DPO), a label",
        "(KTO) or a prompt (GRPO). `collapsed` is what pluralign trains on: a row a response pair or a response, with",
        "its soft target and weight or its reward. The weighted mean loss of either is that of the other; where all",
        "weights of `expanded` are 1, so is TRL's plain DPO loss. TRL's KTO estimates the divergence in another way.",
        "",
        "```python",
        "from datasets import load_dataset",
        f'load_dataset("FOLDER", "{configurations[0]["config_name"]}")' if kept else "# no condition has data",
        "```",
        "",
        "| experiment | condition | method | expanded | collapsed | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {own.experiment} | {own.condition} | {own.method} | {own.expanded} | {own.collapsed} "
            f"| {f'left out: {_in_a_cell(own.why_not)}' if own.why_not else ''} |"
            for own in written
        ),
    ]
    for kind, meanings in MEANINGS.items():
        lines += ["", f"Columns of `{kind}`, of which a method has its own:", ""]
        lines += [f"- `{name}`: {meaning}" for name, meaning in meanings.items()]
    return f"---\n{head}---\n" + "\n".join(lines) + "\n"


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
