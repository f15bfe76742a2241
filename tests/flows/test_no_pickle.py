"""No pickle in any store: not of a study that is killed while it trains, nor of the one that goes on to its end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tasks.runtime.files import read_sealed
from tasks.runtime.processes import runs_on
from tests.flows.conftest import STUDY, Place, new_place
from tests.pickles import pickles_below
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
TRAINERS, TOGETHER = "checkpoints/*/checkpoint-*/files.json", "checkpoints/*/**/together-*.safetensors"
"""What is in a store while runs train alone, and while replicates train together."""


def short_study(place: Place) -> None:
    """One contrast on one architecture, with replicates, and a checkpoint after every fifth step."""
    text = STUDY[: STUDY.index("  scale:\n")] + STUDY[STUDY.index("architectures:") :]
    text = text.replace("[tiny-llama, tiny-gptneox]", "[tiny-llama]").replace(
        "recipe:\n", "recipe:\n  checkpoint_seconds: 0\n"
    )
    text = text.replace("dpo: {", "dpo: {epochs: 4, ")
    Path(place.study).write_text(f"{text}raters: {{replicates: 2}}\n")


def kill_once_there_is(patterns: set[str], place: Place, process: subprocess.Popen[str]) -> set[str]:
    """Kill a run and all that it has started, as a power cut does, once its store has a file of these; which it has."""
    store = place.folder / "home" / "store"

    def there() -> set[str]:
        return {pattern for pattern in patterns if any(store.glob(pattern))}

    until(lambda: process.poll() is not None or there(), " or ".join(patterns))
    assert process.poll() is None, process.communicate()[0]
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        os.kill(member.pid, signal.SIGSTOP)
    for member in family:
        os.kill(member.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    until(lambda: not any(runs_on(member) for member in family), "the end of a killed run")
    assert there(), "the training ended before it was killed"
    return there()


def steps_gone_on_from(stage: str, place: Place) -> list[int]:
    files = (place.folder / "home" / "store" / stage).glob("*/record.json")
    return [read_sealed(file)["record"]["resumed_from"] for file in files]


def test_no_pickle_in_any_store_and_adapters_are_only_safetensors(databases: Path, tmp_path: Path) -> None:
    place = new_place(tmp_path).has(databases)
    short_study(place)
    missing = {TRAINERS, TOGETHER}
    while missing:  # in the order in which they come: which job is first differs from run to run
        missing -= kill_once_there_is(missing, place, place.start("run", "small.yaml", "--workers", "1"))
        assert pickles_below(place.folder) == []
    last = place.start("run", "small.yaml", "--workers", "1")
    output = last.communicate(timeout=PATIENCE)[0]
    assert last.returncode == 0, output
    assert pickles_below(place.folder) == []
    for stage in ("training-runs", "replicate-runs"):
        assert max(steps_gone_on_from(stage, place)) > 0
    adapters = {path.parent for path in place.folder.rglob("adapter_*")}
    assert len(adapters) == 2 * 3 + 2  # conditions, each once and with two replicates; MLflow has the former too
    files = [path for adapter in adapters for path in adapter.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md"}
