"""A real language model learns from real ratings, through the whole study, to the same adapters wherever it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from prefect.states import State
from safetensors.torch import load_file

from configs.load import load_study
from configs.schema import Architecture
from tasks.architectures.chat import encode_prompts
from tasks.architectures.load import BASES, MODEL, load_base
from tests.flows.conftest import train_here

pytestmark = pytest.mark.slow
STUDY = """
name: real
title: Appropriateness by party, on a real model
ratings: {folder: FOLDER, codebooks: [spica]}
dimensions: {appropriateness: {title: Appropriateness, better: higher}}
strata:
  democrat: {attribute: political-party, values: [Democrat]}
  republican: {attribute: political-party, values: [Republican]}
scales: {5-point: [1, 2, 3, 4, 5]}
survey: {draws: 20}
evaluation: {share: 0.25, dimensions: [appropriateness], max_prompts: 3}
experiments:
  party:
    title: Party
    question: Whose sense of what is appropriate shapes the model?
    conditions:
      democrat: {stratum: democrat, dimensions: [appropriateness], scale: 5-point}
      republican: {stratum: republican, dimensions: [appropriateness], scale: 5-point}
    contrasts: {democrat - republican: {focus: [appropriateness]}}
architectures:
- {name: smollm2, title: SmolLM2 135M, family: llama, parameters: 1.35e+8, gguf: GGUF}
recipe:
  max_length: 96
  max_new_tokens: 12
  lora: {rank: 8, alpha: 16}
  dpo: {learning_rate: 1.0e-3, batch_size: 4, max_pairs: 8}
"""


def run(place: Path, home: str, monkeypatch: pytest.MonkeyPatch) -> State:
    from flows.study import run_study

    monkeypatch.setenv("PLURALIGN_HOME", str(place / home))
    return run_study(str(place / "real.yaml"), None, str(place / home / "out"), workers=2, return_state=True)


def adapters(place: Path, home: str) -> dict[str, dict[str, torch.Tensor]]:
    """Key of a training run → its adapter's weights."""
    runs = (place / home / "store" / "training-runs").glob("*/adapter/adapter_model.safetensors")
    return {file.parents[1].name: load_file(file) for file in runs}


def test_smollm2_learns_from_real_ratings(
    prefect: None,
    shared_data: Path,
    smollm2: Path,
    mlflow_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = STUDY.replace("FOLDER", str(shared_data / "spica")).replace("GGUF", str(smollm2))
    (tmp_path / "real.yaml").write_text(study)
    for home in "ab":
        shutil.copytree(mlflow_database, tmp_path / home)
    assert run(tmp_path, "a", monkeypatch).is_completed()
    cells = pd.read_csv(tmp_path / "a" / "out" / "tables" / "cells.csv")
    assert set(cells["condition"]) == {"democrat", "republican", "control"}
    assert cells["training_run"].nunique() == 2
    pooled = pd.read_csv(tmp_path / "a" / "out" / "tables" / "pooled.csv")
    assert pooled["estimate"].notna().all()
    assert "democrat - republican" in set(pooled["contrast"])
    html = (tmp_path / "a" / "out" / "report.html").read_text()
    assert "SmolLM2 135M" in html
    first = adapters(tmp_path, "a")
    assert len(first) == 2
    for weights in first.values():
        assert all(bool(value.any()) for name, value in weights.items() if "lora_B" in name)  # began as zero

    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "a" / "store").rglob("*.safetensors")}
    again = run(tmp_path, "a", monkeypatch)
    assert again.is_completed()
    assert again.result().trained == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "a" / "store").rglob("*.safetensors")} == before

    # another home, that has all but what training makes, and another process of as many threads
    without = shutil.ignore_patterns("training-runs", "reference", "checkpoints")
    shutil.copytree(tmp_path / "a" / "store", tmp_path / "b" / "store", ignore=without)
    train_here(monkeypatch)
    other = run(tmp_path, "b", monkeypatch)
    assert other.is_completed()
    assert other.result().trained == 2
    second = adapters(tmp_path, "b")
    assert second.keys() == first.keys()
    for key, weights in first.items():
        assert all(torch.equal(value, second[key][name]) for name, value in weights.items())

    (folder,) = (tmp_path / "a" / "store" / BASES).glob(f"*/{MODEL}")
    assert "Paris" in answer(load_study(str(tmp_path / "real.yaml")).architectures[0], folder)


def answer(architecture: Architecture, folder: Path) -> str:
    """What the untouched model says of a capital."""
    base = load_base(architecture, str(folder), None)
    ids = torch.tensor(encode_prompts(base.tokenizer, ["What is the capital of France?"]))
    with torch.no_grad():
        found = base.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
    return base.tokenizer.decode(found[0, ids.shape[1] :])
