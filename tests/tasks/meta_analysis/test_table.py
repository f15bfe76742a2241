"""Any table of effects, and what is wrong with one in a line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from flows.meta_analysis import run_meta_analysis
from tasks.meta_analysis.table import read_effects


def write(folder: Path, text: str) -> Path:
    (folder / "effects.csv").write_text(text)
    return folder / "effects.csv"


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "model,contrast,estimate,std_error\nm,a - b,0.5,0.25\nn,a - b,,0.1\n")
    table = read_effects(path, ["contrast"])
    assert list(table.columns) == ["contrast", "estimate", "std_error"]
    assert table["estimate"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("contrast,estimate\na,1\n", "columns: unknown 'std_error'; allowed: contrast, estimate"),
        ("estimate,std_error\n1,1\n", "columns: unknown 'contrast'; allowed: estimate, std_error"),
        ("contrast,estimate,std_error\na,1,1\na,x,1\n", "row 3, column estimate: not a number: 'x'"),
        ("contrast,estimate,std_error\na,1,0\n", "row 2, column std_error: must be above 0, got 0"),
        ("contrast,estimate,std_error\n,1,1\n", "row 2, column contrast: empty, and it says to which group"),
        ("", "No columns to parse from file"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_effects(path, ["contrast"])
    assert str(error.value).startswith(f"{path}: {line}")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        read_effects(tmp_path / "effects.csv", [])


def test_the_pooled_table_lies_beside_the_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.meta_analysis.show_table", lambda *_: None)
    path = write(tmp_path, "contrast,estimate,std_error\na,1,0.5\na,3,0.5\nb,2,1\n")
    pooled = pd.read_csv(run_meta_analysis.fn(str(path), ["contrast"])).set_index("contrast")
    assert pooled["k"].to_dict() == {"a": 2, "b": 1}
    assert pooled.loc["a", "estimate"] == pytest.approx(2)  # equal weights
    assert (tmp_path / "effects-pooled.csv").exists()
