"""Any table of effects, and what is wrong with one in a line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from flows import meta_analysis
from flows.cli import main
from tasks.meta_analysis.pooling import MORE, STATISTICS, pool
from tasks.meta_analysis.read_effects import NAME, read_effects
from tasks.reporting.house.forest import MOST_LINES

HEADER = "contrast,estimate,std_error\n"
SEVERAL = "contrast,study,estimate,std_error\na,s,1,0.5\na,t,3,0.5\nb,s,2,1\n"


def write(folder: Path, text: str) -> Path:
    (folder / "effects.csv").write_text(text)
    return folder / "effects.csv"


@pytest.fixture
def run_flow(monkeypatch: pytest.MonkeyPatch):
    """The flow's own function, without a server to show its table."""
    monkeypatch.setattr(meta_analysis, "show_table", lambda *_: None)
    return meta_analysis.run_meta_analysis.fn


def test_only_the_columns_asked_for_are_read_and_the_one_that_names_the_rows(tmp_path: Path) -> None:
    text = "model,contrast,architecture,estimate,std_error\nm,a - b,x,0.5,0.25\nn,a - b,y, 1e-3 ,0.1\n"
    table = read_effects(write(tmp_path, text), ["contrast"]).table
    assert list(table.columns) == ["contrast", NAME, "estimate", "std_error"]
    assert table[NAME].tolist() == ["x", "y"]
    assert table["estimate"].tolist() == [0.5, 0.001]


def test_rows_without_a_name_are_named_by_their_number(tmp_path: Path) -> None:
    table = read_effects(write(tmp_path, HEADER + "a,1,1\n\na,2,1\n"), ["contrast"]).table
    assert table[NAME].tolist() == ["row 2", "row 4"]
    text = "study,estimate,std_error\ns,1,1\n,2,1\n-,3,1\n"
    assert read_effects(write(tmp_path, text), []).table[NAME].tolist() == ["s", "row 3", "row 4"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("contrast,estimate\na,1\n", "columns: unknown 'std_error'; allowed: contrast, estimate"),
        ("estimate,std_error\n1,1\n", "columns: unknown 'contrast'; allowed: estimate, std_error"),
        (HEADER + "a,1,1\na,x,1\n", "row 3, column estimate: not a number: 'x'"),
        (HEADER + "a,1,1\na,1,\n", "row 3, column std_error: missing; leave the row out if it has no effect"),
        (HEADER + "a,NaN,1\n", "row 2, column estimate: missing; "),
        (HEADER + "a,inf,1\n", "row 2, column estimate: must be finite, got inf"),
        (HEADER + "a,1,0\n", "row 2, column std_error: must be above 0, got 0"),
        (HEADER + "a,1,1\na,1,-0.2\n", "row 3, column std_error: must be above 0, got -0.2"),
        (HEADER + ",1,1\n", "row 2, column contrast: empty, and it says to which group"),
        (HEADER + "a,1,1\na,1\n", "row 3, column std_error: missing; leave the row out"),
        (HEADER + "a,1,1,4\n", "row 2: 4 fields where the header has 3"),
        (HEADER + "a,1,1\na,1,1,4\n", "row 3: 4 fields where the header has 3"),
        (SEVERAL + "a,t,4,1\n", "row 5, column study: 't' has an effect in this group already"),
        (HEADER + "a,1,1\n", "row 2 is the only one; pooling needs two"),
        (HEADER, "no row below the header"),
        (HEADER + "a,1,1\n\n\na,x,1\n", "row 5, column estimate: not a number: 'x'"),
        (HEADER + '"a\nb",1,1\na,x,1\n', "row 4, column estimate: not a number: 'x'"),
        (HEADER + "a,12%,1\n", "row 2, column estimate: not a number: '12%'"),
        (HEADER + "a,1_0,1\n", "row 2, column estimate: not a number: '1_0'"),
        (HEADER + "a,1e400,1\n", "row 2, column estimate: must be finite, got inf"),
        (HEADER + "a,1,inf\n", "row 2, column std_error: must be finite, got inf"),
        (HEADER + "a,1,1e200\n", "row 2, column std_error: must be from 1e-50 to 1e+50, got 1e+200"),
        (HEADER + "a,1,1e-200\n", "row 2, column std_error: must be from 1e-50 to 1e+50, got 1e-200"),
        (HEADER + "a,-1e308,1\n", "row 2, column estimate: must be from -1e+50 to 1e+50, got -1e+308"),
        (HEADER + "N/A,1,1\n", "row 2, column contrast: missing ('N/A'), and it says to which group"),
        ("contrast,estimate,std_error,estimate\na,1,1,9\n", "two columns are called 'estimate'; give one of them"),
        ("contrast,contrast ,estimate,std_error\na,b,1,9\n", "two columns are called 'contrast'; give one of them"),
        ("study,study,contrast,estimate,std_error\n1,2,a,1,9\n", "two columns are called 'study'; give one of them"),
        ("a,0.5,0.1\nb,0.6,0.2\n", "no column 'contrast'; its first line looks like a row of values, not a header"),
        ("contrast;estimate;std_error\na;1.234,5;1\n", "row 2, column estimate: not a number: '1.234,5'"),
        ("contrast;estimate;std_error\na;0.5;1\na;1,5;1\n", "row 3, column estimate: not a number: '1,5'"),
        ("contrast,estimate\0,std_error\n", "not text (byte 17 is zero)"),
        (
            HEADER + "a,x,0\n,y,-1\na,1,1,1\n",
            "row 2, column estimate: not a number: 'x'; row 2, column std_error: must be above 0, got 0; row 3, column "
            "contrast: empty, and it says to which group the row belongs; row 3, column estimate: not a number: 'y'; "
            "row 3, column std_error: must be above 0, got -1; row 4: 4 fields where the header has 3",
        ),
        (
            HEADER + "a,x,1\n" * 10 + "a,1,1\n" + "a,x,1\n",
            "; ".join(f"row {row}, column estimate: not a number: 'x'" for row in range(2, 10))
            + "; more of the like in rows 10 to 11, 13",
        ),
        ("", "empty; expected a header with contrast, estimate, std_error"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(
    tmp_path: Path, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, text)
    assert main(["meta", str(path), "--by", "contrast"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pluralign: {path}: {line}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--method", "ml"], "--method: unknown 'ml'; allowed: fixed, dl, reml, pm"),
        (["--by", "estimate"], "--by estimate: a number, not a group"),
        *(
            (["--by", name], f"--by {name}: the results have a column of this name; give the table's another one")
            for name in (*STATISTICS[3:], *MORE, "k", "p_holm", "without")
        ),
        (["--by", "contrast", "contrast"], "--by contrast: named twice"),
        (["--by", "contrast", "--output", "{file}"], "--output {file}: not a place for a folder"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, SEVERAL)
    assert main(["meta", str(path), *(text.format(file=path) for text in arguments)]) == 2
    assert capsys.readouterr().err == f"pluralign: {line.format(file=path)}\n"


TWO = "study,g,estimate,std_error\nÄ,x,0.1,0.25\nb,y,0.3,0.5\n"


@pytest.mark.parametrize(
    "content",
    [
        TWO.encode(),
        TWO.encode("utf-8-sig"),
        TWO.encode("utf-16"),
        TWO.encode("utf-16-be", "strict").join([b"\xfe\xff", b""]),
        TWO.replace("\n", "\r\n").encode(),
        TWO.replace(",", ";").encode(),
        TWO.replace(",", ";").replace(".", ",").encode(),
        TWO.replace(",", "\t").replace(".", ",").encode(),
        TWO.replace(",", "|").encode(),
        TWO.replace("g,", '"a; b, c; d",').replace("std_error", " std_error ").encode(),
    ],
)
def test_a_table_of_effects_reads_the_same_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "effects.csv"
    path.write_bytes(content)
    table = read_effects(path, []).table
    assert table.to_numpy().tolist() == [["Ä", 0.1, 0.25], ["b", 0.3, 0.5]]


@pytest.mark.parametrize("name", ["label", "group", "index", "level_0", "weight", "name", "table", "method"])
def test_groups_may_have_any_name_that_the_results_do_not_have(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, SEVERAL.replace("contrast", name))
    out = tmp_path / "out"
    assert main(["meta", str(path), "--by", name, "--output", str(out)]) == 0
    pooled = pd.read_csv(out / "pooled.csv")
    assert pooled[[name, "k", "estimate"]].to_numpy().tolist() == [["a", 2, 2.0], ["b", 1, 2.0]]


def test_groups_that_differ_by_blanks_are_one_and_a_note_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER + "a,1,1\na ,2,1\nb,1,1\n b,1,1\n")
    assert main(["meta", str(path), "--by", "contrast"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in printed[1:3]] == [["a", "2"], ["b", "2"]]
    assert printed[3] == "contrast: blanks around a group's name don't count, first in row 3"


def test_an_effect_alone_in_its_group_is_printed_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meta", str(write(tmp_path, TWO)), "--by", "g"]) == 0
    printed = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:3]]
    assert printed == [["x", "1", "0.1"], ["y", "1", "0.3"]]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        read_effects(tmp_path / "effects.csv", [])


def test_meta_prints_pools_and_writes_tables_and_forest_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, path = tmp_path / "out", write(tmp_path, SEVERAL)
    assert main(["meta", str(path), "--by", "contrast", "--method", "reml", "--output", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:3] == ["a", "2", "2"]
    assert printed[-1] == "1 of 2 groups have one effect, which stands as it is, without τ²: the first is b"
    pooled = pd.read_csv(out / "pooled.csv").set_index("contrast")
    alone = pool(pd.Series([1.0, 3.0]).to_numpy(), pd.Series([0.5, 0.5]).to_numpy(), "reml")
    assert pooled.loc["a", list(alone)].to_dict() == pytest.approx(alone, nan_ok=True)
    left_out = pd.read_csv(out / "leave_one_out.csv")
    assert left_out[["without", "estimate"]].to_numpy().tolist() == [["s", 3.0], ["t", 1.0]]
    files = sorted(path.name for path in (out / "figures").iterdir())
    assert files == ["forest-001.png", "forest-001.svg", "forest-002.png", "forest-002.svg"]


def test_all_rows_are_pooled_where_no_column_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "a,1,0.5\nb,3,0.5\n")
    assert main(["meta", str(path), "--output", str(tmp_path / "out")]) == 0
    assert pd.read_csv(tmp_path / "out" / "pooled.csv")["estimate"].tolist() == [2.0]
    assert (tmp_path / "out" / "figures" / "forest-001.svg").exists()


def test_p_values_are_adjusted_within_the_first_of_several_columns(tmp_path: Path, run_flow) -> None:
    groups = (("x", "a", 0.2), ("x", "b", 0.3), ("y", "a", 0.2))
    rows = [f"{e},{c},{n},{estimate},0.1" for e, c, estimate in groups for n in "12"]
    path = write(tmp_path, "experiment,contrast,study,estimate,std_error\n" + "\n".join(rows))
    pooled = pd.read_csv(run_flow(str(path), ["experiment", "contrast"]) / "pooled.csv")
    assert pooled["p_holm"].tolist() == pytest.approx([pooled["p"][0], 2 * pooled["p"][1], pooled["p"][2]])


def test_the_tables_lie_beside_the_effects_where_nothing_else_is_said(tmp_path: Path, run_flow) -> None:
    assert run_flow(str(write(tmp_path, SEVERAL)), ["contrast"]) == tmp_path / "effects-pooled"


def test_groups_too_large_to_read_have_no_forest_plot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "estimate,std_error\n" + "0.1,0.1\n" * (MOST_LINES + 1))
    with caplog.at_level("INFO", logger="tasks.reporting.pooled_file"):
        assert main(["meta", str(path), "--output", str(tmp_path / "out")]) == 0
    assert "forest plots of 0 of 1 groups" in caplog.text
    assert not (tmp_path / "out" / "figures").exists()
