"""The grid of cells."""

from __future__ import annotations

from itertools import groupby

from configs.load import load_study
from tasks.planning.cells import Cell, cells


def test_the_papers_grid_is_seven_architectures_by_18_conditions_and_a_control_beside_six_of_ours() -> None:
    grid = cells(load_study("demo"))
    assert len(grid) == len(set(grid)) == 7 * (18 + 4 + 1)
    assert sum(cell.condition == "control" for cell in grid) == 7


def test_an_architectures_cells_stand_together_and_begin_with_its_control() -> None:
    study = load_study("demo")
    runs = [(name, list(group)) for name, group in groupby(cells(study), lambda cell: cell.architecture)]
    assert [name for name, _ in runs] == [architecture.name for architecture in study.architectures]
    assert all(group[0] == Cell("control", name, "control") for name, group in runs)


def test_every_seed_is_a_cell_and_the_control_needs_none() -> None:
    grid = cells(load_study("demo", {"seeds": 3, "architectures": ["tiny-llama"]}))
    assert len(grid) == len(set(grid)) == (18 + 4) * 3 + 1
    assert [cell.name for cell in grid if cell.condition == "binary"] == [
        "tiny-llama · scale · binary", "tiny-llama · scale · binary · seed 1", "tiny-llama · scale · binary · seed 2",
    ]  # fmt: skip


def test_a_study_without_experiments_has_no_cell() -> None:
    assert cells(load_study("popquorn", {"architectures": ["tiny-llama"]})) == []


def test_a_cells_name_says_what_it_is() -> None:
    assert Cell("scale", "tiny-llama", "binary").name == "tiny-llama · scale · binary"
    assert Cell("control", "tiny-llama", "control").name == "tiny-llama · control"
