"""What is made of the adapters that groups have of their own: their losses, and their mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import Recipe
from tasks.architectures.load import Base
from tasks.methods.group_weights import GROUP
from tasks.methods.lora import WEIGHTS, adapted, lent
from tasks.methods.method import Method
from tasks.methods.token_rows import rows_of
from tasks.runtime.job import Progress

if TYPE_CHECKING:
    import pandas as pd

CONFIG, AT_ONCE = "adapter_config.json", 32


def own_losses(
    base: Base, method: Method, table: pd.DataFrame, adapters: Mapping[str, Path], recipe: Recipe, reference: Path,
    progress: Progress,
) -> dict[str, float]:  # fmt: skip
    """Group → the weighted mean loss of its rows under its own adapter, which no shared one is expected to undercut.

    Raises:
        ValueError: the method has no loss of a row.
    """
    import torch

    loss = method.row_loss(recipe)
    if loss is None:
        raise ValueError(f"{method.title} has no loss of a row")
    losses = {}
    for group, folder in adapters.items():
        own = table[table[GROUP] == group].reset_index(drop=True)
        rows = rows_of(loss, own, base, recipe, reference, progress)
        target, weight = (torch.tensor([own[name].tolist()], device=base.model.device) for name in ("target", "weight"))
        with lent(base.model) as model, torch.no_grad():
            adapted(model, folder)
            model.eval()
            places, z = range(len(own)), None
            parts = [places[start : start + AT_ONCE] for start in range(0, len(own), AT_ONCE)]
            if rows.others:
                away = torch.cat([rows.ratio(base, part, others=True) for part in parts], 1)[..., 0]
                z = ((weight * away).sum(1) / weight.sum(1)).clamp(min=0)
            each = loss.losses(torch.cat([rows.ratio(base, part) for part in parts], 1), target, weight, z)
        losses[group] = float(each.sum() / weight.sum())
    return losses


def merge(adapters: Mapping[str, Path], folder: Path) -> None:
    """Write the adapter whose update is the mean of the others': ΔW = 1/G Σ_g (α / r) B_g A_g, exactly.

    A and B of all stand side by side, in rank G · r; with the same α the scale α / (G · r) is the mean's.

    Raises:
        ValueError: adapters of other ranks, scales or modules.
    """
    import torch
    from safetensors.torch import load_file, save_file

    first = next(iter(adapters.values()))
    configs = [json.loads((own / CONFIG).read_text()) for own in adapters.values()]
    weights = [load_file(own / WEIGHTS) for own in adapters.values()]
    shapes = [(config["r"], config["lora_alpha"], sorted(own)) for config, own in zip(configs, weights, strict=True)]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"adapters of {', '.join(adapters)} differ in rank, scale or modules, so they have no mean")
    merged = {
        name: torch.cat([own[name] for own in weights], dim=0 if ".lora_A." in name else 1) for name in weights[0]
    }
    shutil.copytree(first, folder, dirs_exist_ok=True)
    save_file({name: value.contiguous() for name, value in merged.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(configs[0] | {"r": len(adapters) * configs[0]["r"]}, indent=2))
