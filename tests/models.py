"""Tiny models and a child-process pool that several test files share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import Architecture, Pretraining, Recipe, Tiny
from tasks.architectures.load import Base, BaseRef, load_base
from tasks.architectures.tiny import FAMILIES, build_base
from tasks.methods import METHODS
from tasks.methods.dpo import DpoSettings
from tasks.methods.grpo import GrpoSettings
from tasks.methods.kto import KtoSettings
from tasks.methods.run import Run
from tasks.runtime.local.pool import Pool
from tasks.runtime.store import FolderStore, StoredFile
from tasks.simulation.language import prompts, replies

RECIPE = Recipe(
    max_length=96, max_new_tokens=48, pretraining=Pretraining(steps=60, batch_size=8),
    dpo=DpoSettings(beta=0.5, learning_rate=1e-3, batch_size=8),
    grpo=GrpoSettings(prompts=4, group_size=4, prompts_per_step=2),
    kto=KtoSettings(beta=0.5, learning_rate=1e-3, batch_size=8),
)  # fmt: skip

train_dpo, train_grpo, train_kto = (METHODS[name].train for name in ("dpo", "grpo", "kto"))


def architecture(family: str) -> Architecture:
    return Architecture(name=f"tiny-{family}", title=family, family=family, parameters=1e5, tiny=Tiny())


def texts(n: int = 40) -> list[tuple[str, str]]:
    rng = np.random.default_rng(0)
    return [(prompt.text.en, reply.text.en) for prompt in prompts(n) for reply in replies(prompt, 2, rng)]


def a_run(folder: Path, seed: int = 0, steps: int | None = None) -> Run:
    """A training run that keeps everything in `folder`."""
    return Run(seed, folder / "adapter", folder / "checkpoints", folder / "reference.txt", steps)


def some_pairs(n: int = 16, seed: int = 0) -> pd.DataFrame:
    """Pairs with soft targets that are multiples of 1/4 and weights 4: each is four expanded rows."""
    rng, all_texts = np.random.default_rng(seed), texts()
    rows = [
        {"prompt": all_texts[2 * i][0], "text_a": all_texts[2 * i][1], "text_b": all_texts[2 * i + 1][1],
         "target": rng.integers(0, 5) / 4, "weight": 1.0}
        for i in range(n)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def some_rated(n: int = 16, seed: int = 0) -> pd.DataFrame:
    """Rated responses with soft targets that are multiples of 1/4: each is four expanded rows."""
    rng, all_texts = np.random.default_rng(seed), texts()
    rows = [
        {"prompt": prompt, "response": response, "target": rng.integers(0, 5) / 4, "weight": 1.0}
        for prompt, response in all_texts[:n]
    ]
    return pd.DataFrame(rows)


def some_rewards() -> pd.DataFrame:
    return pd.DataFrame([
        {"prompt": prompt, "response": response, "dimension": "kindness", "reward": float("feel" in response), "n": 3}
        for prompt, response in texts()
    ])  # fmt: skip


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def any_base(request: pytest.FixtureRequest, made_once: FolderStore, settled: None) -> tuple[Architecture, Base]:
    """A base of each of the seven families."""
    return built(request.param, made_once)


@pytest.fixture(scope="session")
def llama(made_once: FolderStore, settled: None) -> tuple[Architecture, Base]:
    return built("llama", made_once)


@pytest.fixture
def precise(llama: Any) -> Iterator[Any]:
    """The base in double precision, in which sums in another order differ by less than 1e-6."""
    architecture, base = llama
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    base.model.double()
    yield architecture, base
    base.model.float().load_state_dict(before)


def built(family: str, made_once: FolderStore) -> tuple[Architecture, Base]:
    """A family's tiny base, whose folder is not to be changed; the first that needs it pre-trains it."""

    def build(folder: Path) -> dict[str, Any]:
        return build_base(family, Tiny(), RECIPE.pretraining, texts(), RECIPE.max_length, 0, folder)

    folder = made_once.make("bases", family, build).path
    return architecture(family), load_base(architecture(family), str(folder), None)


def changed_folder(
    llama: tuple[Architecture, Base], folder: Path, template: str | None = "", **edits: dict[str, Any] | None
) -> Path:
    """A copy of a built base's folder with another template and other keys in config, tokenizer or generation.

    None is without the file; a value of None without the key.
    """
    shutil.copytree(llama[1].model.name_or_path, folder, dirs_exist_ok=True)
    for name, changes in edits.items():
        path = folder / ("config.json" if name == "config" else f"{name}_config.json")
        if changes is None:
            path.unlink()
        else:
            settings = json.loads(path.read_text()) | changes
            path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))
    if template is None:
        (folder / "chat_template.jinja").unlink()
    elif template:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def as_folder(llama: tuple[Architecture, Base], gpus: int = 1) -> BaseRef:
    """A built base as one that lies in a user's folder."""
    architecture, base = llama
    changes = {"tiny": None, "path": base.model.name_or_path, "gpus": gpus, "dtype": "float32"}
    return BaseRef(architecture=architecture.model_copy(update=changes), key="base")


def kept(table: pd.DataFrame, store: FolderStore) -> StoredFile:
    """A table in a store, as the training data of a job."""
    store.make("preferences", "some", lambda folder: table.to_parquet(folder / "table.parquet"))
    return StoredFile(stage="preferences", key="some", name="table.parquet")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def pool(tmp_path: Path, store: FolderStore) -> Iterator[Pool]:
    pool = Pool(store, tmp_path / "slots", workers=1)
    yield pool
    pool.close()
