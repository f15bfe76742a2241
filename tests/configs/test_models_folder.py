"""Where a folder has a model of the hub, it is read from there: as ORG/NAME, as NAME, or as a GGUF file."""

from __future__ import annotations

from pathlib import Path

import pytest

import tasks.methods  # noqa: F401
from configs.errors import InputError
from configs.load import load_study
from configs.schema import Architecture

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"


def first(models: Path, **changes: str) -> Architecture:
    """SmolLM2 of `small-cpu`, with models in this folder."""
    architecture = {"name": "one", "title": "One", "family": "llama", "parameters": 1e8, "hub": HUB} | changes
    return load_study("small-cpu", {"models": str(models), "architectures": [architecture]}).architectures[0]


def folder_of(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    return place


@pytest.mark.parametrize("name", [HUB, HUB.rpartition("/")[2]])
def test_a_folder_serves_instead_of_the_hub(tmp_path: Path, name: str) -> None:
    place = folder_of(tmp_path / name)
    found = first(tmp_path, revision="main")
    assert (found.path, found.hub, found.gguf, found.revision) == (str(place), None, None, None)


def test_a_gguf_file_serves_instead_of_the_hub(tmp_path: Path) -> None:
    file = tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.touch()
    found = first(tmp_path)
    assert (found.gguf, found.hub, found.path) == (str(file), None, None)
    assert first(tmp_path, gguf=file.name).gguf == str(file)  # one that is named, of the hub's repository


def test_what_the_folder_lacks_stays_with_the_hub(tmp_path: Path) -> None:
    folder_of(tmp_path / "Another-Model")
    (tmp_path / "SmolLM2-135M-Instruct").mkdir()  # no model in it
    assert (first(tmp_path).hub, first(tmp_path).path) == (HUB, None)
    assert first(tmp_path, gguf="named.gguf").gguf == "named.gguf"


def test_a_folder_that_is_not_there_and_files_that_may_be_meant_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^models: no folder .*gone$"):
        first(tmp_path / "gone")
    for kind in ("Q4_1", "Q8_0"):
        (tmp_path / f"SmolLM2-135M-Instruct.{kind}.gguf").touch()
    with pytest.raises(InputError, match=r"has several files of .*: SmolLM2-135M-Instruct.Q4_1.gguf, "):
        first(tmp_path)


def test_the_folder_stands_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "models" / HUB)
    (tmp_path / "own.yaml").write_text("extends: small-cpu\nname: own\nmodels: models\n")
    assert load_study(str(tmp_path / "own.yaml")).architectures[0].path == str(place)
