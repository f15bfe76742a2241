"""The rows that a condition trains on: its method's, or those of each of its groups put together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.schema import GROUP_NAME, Recipe
from tasks.architectures.chat import SYSTEM
from tasks.methods.expanded import Expanded
from tasks.methods.group_weights import GROUP
from tasks.methods.method import Method
from tasks.preferences.condition import ConditionData, Drop
from tasks.runtime.fingerprint import fingerprint


def why_not(method: Method, data: ConditionData) -> str:
    """Why the condition's data can't train; "" where they can. Each group must have what the method needs."""
    if not data.groups:
        return method.lacks(data)
    reasons = {group: method.lacks(part) for group, part in data.groups.items()}
    return "; ".join(f"group {group!r}: {reason}" for group, reason in reasons.items() if reason)


def training_rows(method: Method, data: ConditionData, recipe: Recipe, seed: int) -> tuple[pd.DataFrame, list[Drop]]:
    """The rows of a condition's data, and what was dropped on the way.

    With groups, the loss of the rows is Σ_g v_g L_g, where L_g is the weighted mean loss of group g's rows and v_g its
    part of the training weight (`ConditionData.voices`). What two groups say of the same responses stands in a row for
    each, with the group's own target. Weights have mean 1. The rows of one group alone are its method's, unchanged.
    Rewards, which have no weights, stand side by side. Where groups are told to the model by name, each row has the
    system turn that does so.
    """
    if len(data.groups) < 2:
        return method.table(next(iter(data.groups.values()), data), recipe, seed)
    tables, drops, naming = dict[str, pd.DataFrame](), list[Drop](), system_turns(data, recipe)
    for group, part in data.groups.items():
        table, lost = method.table(part, recipe, seed)
        if "weight" in table:
            table = table.assign(weight=data.voices[group] * table["weight"] / table["weight"].sum())
        tables[group] = table.assign(**{SYSTEM: naming[group]}) if naming else table
        drops += [(step, f"{group}: {reason}", dropped, kept) for step, reason, dropped, kept in lost]
    rows = pd.concat([own.assign(**{GROUP: group}) for group, own in tables.items()])
    order = [name for name in ("prompt_id", "prompt", "a", "b", "response_id") if name in rows]
    rows = rows.sort_values(order, kind="stable", ignore_index=True)
    return rows.assign(weight=rows["weight"] / rows["weight"].mean()) if "weight" in rows else rows, drops


def expanded_rows(method: Method, rows: pd.DataFrame, data: ConditionData, within: str) -> Expanded:
    """Training rows, made of `data`, as TRL's own trainer of the method reads them; the mean weight of a copy is 1.

    Rows of several groups stand below each other, each with the system turn that names its group, if there is one. What
    has no weights, such as prompts to draw samples for, stands once for all groups.
    """
    if GROUP not in rows or "weight" not in rows:
        own = data if GROUP in rows else next(iter(data.groups.values()), data)
        parts = [method.expanded(of_all_groups(method, rows), own, within)]
    else:
        parts = []
        for group, own_rows in rows.groupby(GROUP, sort=False):
            part = method.expanded(own_rows, data.groups[str(group)], within)
            named = {SYSTEM: own_rows[SYSTEM].iloc[0]} if SYSTEM in own_rows else {}
            parts.append(part._replace(rows=part.rows.assign(**named)))
    expanded = pd.concat([part.rows for part in parts], ignore_index=True)
    copies = np.concatenate([part.copies for part in parts])
    mean = (expanded["weight"] * copies).sum() / copies.sum()
    return Expanded(expanded.assign(weight=expanded["weight"] / mean), copies)


def system_turns(data: ConditionData, recipe: Recipe) -> dict[str, str]:
    """Group → what the system turn says to tell it to the model; nothing where the condition names no groups."""
    return {group: recipe.name_sentence.replace(GROUP_NAME, name) for group, name in data.names.items()}


def rows_digest(method: Method, rows: pd.DataFrame, robust: bool) -> str:
    """The identity of what training reads of the rows: whose a row is matters where it looks after groups, or is told
    whose it is."""
    digest = method.digest(rows)
    if SYSTEM in rows:
        return fingerprint([digest, rows[GROUP].tolist(), rows[SYSTEM].tolist()])
    return fingerprint([digest, rows[GROUP].tolist()]) if robust else digest


def of_all_groups(method: Method, rows: pd.DataFrame) -> pd.DataFrame:
    """Training rows with one row for what all groups say of the same responses: its weighted mean target, or its least
    reward."""
    if GROUP not in rows:
        return rows
    names = [name for name in rows if name not in (*method.weighed, "n", GROUP, SYSTEM)]
    value, weight = method.weighed
    if "weight" not in rows:
        return rows.groupby(names, as_index=False).agg({value: "min", "n": "sum"})
    by_row = rows.assign(**{value: rows[value] * rows[weight]}).groupby(names, as_index=False)
    united = by_row[["n", value, weight]].sum() if "n" in rows else by_row[[value, weight]].sum()
    return united.assign(**{value: united[value] / united[weight]})
