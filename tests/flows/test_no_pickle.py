"""No pickle in any store: not of a study that is killed while it trains, nor of the one that goes on to its end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tasks.runtime.files import read_sealed
from tests.flows.conftest import STUDY, Place, new_place
from tests.pickles import pickles_below
from tests.watch import PATIENCE

pytestmark = pytest.mark.slow
CUTS = {
    "transformers.trainer_callback:CallbackHandler.on_step_end@12=cut": "checkpoints/*/checkpoint-*/files.json",
    "tasks.methods.together:_Training._step@7=cut": "checkpoints/*/**/together-*.safetensors",
}
"""Where a run is killed, worker and all, and what is then in its store: while runs train alone, and while
replicates train together."""


def short_study(place: Place) -> None:
    """One contrast on one architecture, with replicates, and a checkpoint after every fifth step."""
    text = STUDY[: STUDY.index("  scale:\n")] + STUDY[STUDY.index("architectures:") :]
    text = text.replace("[tiny-llama, tiny-gptneox]", "[tiny-llama]").replace(
        "recipe:\n", "recipe:\n  checkpoint_seconds: 0\n"
    )
    text = text.replace("dpo: {", "dpo: {epochs: 4, ")
    Path(place.study).write_text(f"{text}raters: {{replicates: 2}}\n")


def steps_gone_on_from(stage: str, place: Place) -> list[int]:
    files = (place.folder / "home" / "store" / stage).glob("*/record.json")
    return [read_sealed(file)["record"]["resumed_from"] for file in files]


def test_no_pickle_in_any_store_and_adapters_are_only_safetensors(databases: Path, tmp_path: Path) -> None:
    place = new_place(tmp_path).has(databases)
    short_study(place)
    (noted := tmp_path / "moments").mkdir()
    happened: set[str] = set()
    while happened != set(CUTS):  # in the order in which they come: which job is first differs from run to run
        moments = "|".join([str(noted), *CUTS])
        process = place.start("run", "small.yaml", "--workers", "1", PLURALIGN_TEST_MOMENTS=moments)
        output = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == -signal.SIGKILL, output
        (new,) = {path.name for path in noted.iterdir()} - happened
        assert list((place.folder / "home" / "store").glob(CUTS[new]))
        assert pickles_below(place.folder) == []
        happened.add(new)
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
