"""Paths in settings are relative to the file that names them; the working directory works too, and a line says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError, lines_of
from configs.load import SHIPPED, load_codebook, load_study, parse_overrides
from tasks.ratings.reading.load import files_of

BASE = """\
name: base
title: Base
ratings: {folder: export, codebooks: [book.yaml]}
dimensions: {toxicity: {title: Toxicity, better: lower}}
scales: {5-point: [1, 2, 3, 4, 5]}
evaluation: {dimensions: [toxicity]}
"""
MODEL = "{name: own, title: Own, family: own, parameters: 1, "


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: str, text: str = "") -> None:
    """A file, with its folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def study(path: str, text: str, overrides: dict[str, Any] | None = None) -> Any:
    put(path, text)
    return load_study(path, overrides)


def faults(path: str, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        study(path, text)
    return lines_of(caught.value)


def book() -> str:
    return (SHIPPED / "codebooks" / "survey-app-en.yaml").read_text(encoding="utf-8")


def test_every_path_of_a_chain_of_studies_is_relative_to_the_file_that_names_it(here: Path) -> None:
    put("a/base.yaml", BASE + "recipe: r/own.yaml\n")
    put("a/r/own.yaml", "max_length: 77\n")
    put("a/book.yaml", book())
    Path("a/export").mkdir()
    put("b/m/model.yaml", f"{MODEL}gguf: w/model.gguf}}")
    put("b/folder.yaml", f"{MODEL.replace('name: own', 'name: two')}path: weights}}")
    put("b/middle.yaml", "extends: ../a/base.yaml\narchitectures: [m/model.yaml, folder.yaml]\n")
    top = "extends: ../b/middle.yaml\nname: top\njudge: {kind: embedded, encoder: {path: encoder}}\nmodels: hub\n"
    Path("c/hub").mkdir(parents=True)
    settings = study("c/top.yaml", top)
    assert settings.recipe.max_length == 77
    assert os.path.normpath(settings.ratings.folder) == "a/export"
    assert load_codebook(settings.ratings.codebooks[0]).name == "survey-app-en"
    assert [os.path.normpath(str(one.gguf or one.path)) for one in settings.architectures] == [
        "b/m/w/model.gguf",
        "b/weights",
    ]
    assert os.path.normpath(settings.judge.encoder.path) == "c/encoder"
    assert os.path.normpath(settings.models) == "c/hub"


def test_a_path_of_the_working_directory_works_and_one_line_says_how_to_write_it(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put("book.yaml", book())
    put("recipes/own.yaml", "max_length: 77\n")
    Path("export").mkdir()
    text = BASE + "recipe: recipes/own.yaml\n"
    for _ in range(3):  # a command loads its study several times
        settings = study("studies/deep/study.yaml", text)
    assert settings.recipe.max_length == 77
    assert (settings.ratings.folder, settings.ratings.codebooks) == ("export", ("book.yaml",))
    said = "was taken from the working directory; write"
    assert sorted(caplog.messages) == [
        f"studies/deep/study.yaml: {key}: {path} {said} ../../{path}, which is relative to the file"
        for key, path in (
            ("ratings.codebooks.0", "book.yaml"),
            ("ratings.folder", "export"),
            ("recipe", "recipes/own.yaml"),
        )
    ]


def test_nothing_is_said_of_paths_that_are_beside_the_file_of_overrides_and_of_shipped_studies(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put("studies/book.yaml", book())
    Path("studies/export").mkdir()
    Path("export").mkdir()
    Path("../shared/data").mkdir(parents=True, exist_ok=True)
    settings = study("studies/study.yaml", BASE)
    assert settings.ratings.folder == "studies/export"  # the file's own before that of the working directory
    assert study("studies/study.yaml", BASE, parse_overrides(["ratings.folder=export"])).ratings.folder == "export"
    assert load_study("popquorn").ratings.folder == "../shared/data"
    put("studies/other.yaml", "extends: popquorn\nname: other\n")
    assert load_study("studies/other.yaml").ratings.folder == "../shared/data"
    assert caplog.messages == []


def test_home_and_absolute_paths_are_the_same_in_files_and_overrides(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    put("home/book.yaml", book())
    text = BASE.replace("book.yaml", "~/book.yaml").replace("folder: export", "folder: ~/export")
    settings = study("studies/study.yaml", text)
    assert settings.ratings.folder == str(here / "home" / "export")
    assert load_codebook(settings.ratings.codebooks[0]).name == "survey-app-en"
    absolute = study("studies/study.yaml", BASE.replace("export", str(here / "there")))
    assert absolute.ratings.folder == str(here / "there")
    overridden = study("studies/study.yaml", BASE, parse_overrides(["ratings.folder=~/other"]))
    assert overridden.ratings.folder == str(here / "home" / "other")


def test_a_path_that_is_nowhere_is_told_with_both_places_where_it_was_looked_for(here: Path) -> None:
    missing = "No such file or directory"
    assert faults("studies/study.yaml", "extends: gone/base.yaml\n") == [
        f"studies/study.yaml: line 1: studies/gone/base.yaml: {missing} (nor gone/base.yaml in the working directory)"
    ]
    text = BASE + "recipe: own.yaml\narchitectures: [model.yaml]\nmodels: hub\n"
    assert faults("studies/study.yaml", text) == [
        f"studies/study.yaml: line 7: studies/own.yaml: {missing} (nor own.yaml in the working directory)",
        f"studies/study.yaml: line 8: studies/model.yaml: {missing} (nor model.yaml in the working directory)",
        "studies/study.yaml: line 9: models: no folder studies/hub (nor hub in the working directory)",
        f"studies/book.yaml: {missing} (nor book.yaml in the working directory)",
    ]
    put("studies/book.yaml", book())
    settings = study("studies/study.yaml", BASE)
    with pytest.raises(InputError, match=r"says where the export lies \(nor export in the working directory\)$"):
        files_of([load_codebook("studies/book.yaml")], Path(settings.ratings.folder))
    Path("studies/export").mkdir()
    with pytest.raises(InputError, match=r"^studies/export: 3 faults") as caught:
        files_of([load_codebook("studies/book.yaml")], Path(settings.ratings.folder))
    assert len(lines_of(caught.value)) == 3  # ratings, participants, responses
    assert faults("study.yaml", BASE + "recipe: own.yaml\n")[0] == f"study.yaml: line 7: own.yaml: {missing}"


def test_a_study_that_extends_itself_by_another_way_of_writing_its_path_is_refused(here: Path) -> None:
    (line,) = faults("x/study.yaml", "extends: ../x/study.yaml\n")
    assert line == "x/study.yaml: extends itself: x/study.yaml -> x/../x/study.yaml"


@pytest.mark.parametrize("path", ['"\\0"', '"\\ud800"', "x" * 5000, "~nobody-of-that-name/x", "."])
@pytest.mark.parametrize("end", ["", ".yaml"])
def test_a_text_that_no_path_can_be_is_no_traceback(here: Path, path: str, end: str) -> None:
    path = f'{path[:-1]}{end}"' if path.endswith('"') else path + end
    for key in ("extends", "recipe", "models", "architectures", "folder"):
        value = f"[{path}]" if key == "architectures" else path
        text = BASE.replace("export", path) if key == "folder" else BASE + f"{key}: {value}\n"
        put("study.yaml", text)
        try:
            load_study("study.yaml")
        except InputError as error:
            told = str(error)
        else:
            told = ""
        assert all(line.isprintable() for line in told.split("\n"))
