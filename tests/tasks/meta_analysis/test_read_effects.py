"""Any table of effects, and what is wrong with one in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import InputError
from flows import meta_analysis
from flows.cli import main
from tasks.meta_analysis.pooling import MORE, STATISTICS, pool
from tasks.meta_analysis.read_effects import NAME, EffectColumns, read_effects
from tasks.reporting.house.forest import MOST_LINES
from tests.tasks.ratings.every_format import FORMATS, write_table

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
    assert printed[7] == "contrast: blanks around a group's name don't count, first in row 3"


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


# ---- columns of other names


def effects_of_metafor(shared_reference: Path) -> list[dict[str, Any]]:
    data = json.loads((shared_reference / "metafor_dat_bcg.json").read_text())["data"]
    return [
        {"trial": f"t{n}", "yi": yi, "vi": vi} for n, (yi, vi) in enumerate(zip(data["yi"], data["vi"], strict=True))
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_metafors_own_columns_give_metafors_numbers_from_every_format(
    tmp_path: Path, kind: str, shared_reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_table(tmp_path / f"bcg.{kind}", effects_of_metafor(shared_reference))
    columns = ["--estimate", "yi", "--variance", "vi", "--label", "trial"]
    assert main(["meta", str(path), *columns, "--method", "reml", "--output", str(tmp_path), "--figures", "1"]) == 0
    theirs = json.loads((shared_reference / "metafor_dat_bcg.json").read_text())["REML_z"]
    pooled = pd.read_csv(tmp_path / "pooled.csv").iloc[0]
    names = {
        "estimate": "beta",
        "std_error": "se",
        "ci_low": "ci.lb",
        "tau2": "tau2",
        "q": "QE",
        "q_p": "QEp",
        "i2": "I2",
    }
    expected = {name: theirs[key] for name, key in names.items()}
    assert pooled[list(names)].to_dict() == pytest.approx(expected, rel=1e-9)
    assert pd.read_csv(tmp_path / "leave_one_out.csv")["without"].tolist() == [f"t{n}" for n in range(13)]
    header, values = (line.split() for line in capsys.readouterr().out.splitlines()[3:5])
    assert header == ["k", "q", "q_df", "q_p", "i2", "i2_low", "i2_high", "tau2", "tau2_low", "tau2_high"]
    assert values[:5] == ["13", "152.2", "12", "1.997e-26", "92.22"]  # metafor's QE, k - 1, QEp and I^2
    assert values[7] == f"{theirs['tau2']:.4g}"


def test_a_standard_error_is_the_root_of_a_variance(tmp_path: Path) -> None:
    path = write(tmp_path, "name;d;var;s e\na;0,5;0,25;0,5\nb;1;4;2\n")
    by_variance = read_effects(path, [], columns=EffectColumns("d", variance="var", label="name")).table
    assert by_variance["std_error"].tolist() == [0.5, 2.0]
    pd.testing.assert_frame_equal(
        read_effects(path, [], columns=EffectColumns("d", std_error="s e", label="name")).table, by_variance
    )


def test_every_fault_of_a_variance_is_told_by_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path, "yi,vi\n1,-0.04\n1,0\nx,1e101\n1,1e-101\n1,inf\n1,\n1,1e-100\n1,1e100\n")
    with pytest.raises(InputError) as error:
        read_effects(path, [], columns=EffectColumns("yi", variance="vi"))
    assert str(error.value) == (
        f"{path}: row 2, column vi: must be above 0, got -0.04; row 3, column vi: must be above 0, got 0; "
        "row 4, column vi: must be from 1e-100 to 1e+100, got 1e+101; row 4, column yi: not a number: 'x'; "
        "row 5, column vi: must be from 1e-100 to 1e+100, got 1e-101; row 6, column vi: must be finite, got inf; "
        "row 7, column vi: missing; leave the row out if it has no effect"
    )


@pytest.mark.parametrize(
    ("header", "arguments", "advice"),
    [
        ("trial,yi,vi", [], "unknown 'estimate', 'std_error'; allowed: trial, yi, vi; try --estimate yi --variance vi"),
        ("yi,vi,sei", [], "; try --estimate yi --std-error sei"),
        ("studlab,TE,seTE,lower", [], "; try --estimate TE --std-error seTE"),
        ("Effect,SE", [], "; try --estimate Effect --std-error SE"),
        (
            "term,estimate,std.error",
            [],
            "unknown 'std_error'; allowed: term, estimate, std.error; try --std-error std.error",
        ),
        ("estimate,variance", [], "; try --variance variance"),
        ("y,std_error", [], "unknown 'estimate'; allowed: y, std_error"),
        ("yi,vi", ["--estimate", "y"], "unknown 'y', 'std_error'; allowed: yi, vi; try --estimate yi --variance vi"),
        ("yi,v", ["--estimate", "yi"], "unknown 'std_error'; allowed: yi, v"),
        ("yi,vi", ["--estimate", "yi", "--variance", "vi", "--label", "trial"], "unknown 'trial'; allowed: yi, vi"),
    ],
)
def test_columns_that_other_tools_write_are_told_with_the_options_to_type(
    tmp_path: Path, header: str, arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, f"{header}\n{','.join('1' for _ in header.split(','))}\n")
    assert main(["meta", str(path), *arguments]) == 2
    assert capsys.readouterr().err.endswith(f"{advice}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--std-error", "s", "--variance", "v"], "--std-error, --variance: one of them, since each says how sure"),
        (["--estimate", "s", "--variance", "s"], "--estimate s: the same column as its error"),
        (["--estimate", "std_error"], "--estimate std_error: the same column as its error"),
        (["--estimate", "yi", "--by", "yi"], "--by yi: a number, not a group"),
        (["--variance", "vi", "--by", "vi"], "--by vi: a number, not a group"),
        (["--variance", "vi", "--shares", "vi"], "--shares vi: a number, not what effects share"),
        (["--estimate", "yi", "--by", "estimate"], "--by estimate: the results have a column of this name"),
        (["--label", "g", "--by", "g"], "--label g: --by names it, so that all effects of a group would have one name"),
    ],
)
def test_columns_that_contradict_each_other_are_one_line(
    tmp_path: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["meta", str(write(tmp_path, SEVERAL)), *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"pluralign: {line}")


def test_a_named_label_takes_the_place_of_a_column_study(tmp_path: Path, run_flow) -> None:
    path = write(tmp_path, "study,study,site,yi,sei\n1,2,a,1,0.5\n1,2,b,3,0.5\n")
    folder = run_flow(str(path), [], estimate="yi", std_error="sei", label="site", variance="")
    assert pd.read_csv(folder / "leave_one_out.csv")["without"].tolist() == ["a", "b"]


def test_a_covariance_may_be_a_sheet_and_faults_of_a_table_without_a_header_line_are_of_its_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    effects = write(tmp_path, "study,estimate,std_error\ns,1,1\nt,3,2\n")
    matrix = write_table(tmp_path / "v.xlsx", [{"of": "s", "s": 1, "t": 0.5}, {"of": "t", "s": 0.5, "t": 4}])
    assert main(["meta", str(effects), "--covariance", str(matrix), "--output", str(tmp_path)]) == 0
    assert pd.read_csv(tmp_path / "pooled.csv")["mean_correlation"].tolist() == [0.25]  # 0.5 / (1 · 2)
    matrix = write_table(tmp_path / "v.json", [{"": "s", "s": 1, "z": 0.5}])
    assert main(["meta", str(effects), "--covariance", str(matrix)]) == 2
    line = "columns: no column of 't'; columns: no row of 't'; columns, column z: no effect is called 'z'"
    assert capsys.readouterr().err == f"pluralign: {matrix}: {line}\n"


# ---- what is printed and drawn


def test_heterogeneity_is_printed_for_every_pool_of_two_and_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a: weights 1 / .5² = 4, mean 2, Q = 4 · 1 + 4 · 1 = 8; χ² with df 1 is beyond 8 in 2 (1 - Φ(√8)) = .00468;
    # τ² = (Q - 1) / (Σw - Σw² / Σw) = 7 / (8 - 32 / 8) = 1.75; I² = (Q - 1) / Q = 87.5%
    assert main(["meta", str(write(tmp_path, SEVERAL)), "--by", "contrast"]) == 0
    estimates, heterogeneity, _ = capsys.readouterr().out.replace("\n1 of 2", "\n\n1 of 2").split("\n\n")
    assert [line.split()[:2] for line in estimates.splitlines()[1:]] == [["a", "2"], ["b", "1"]]
    assert estimates.splitlines()[2].split()[-3:] == ["–"] * 3
    header, *rows = heterogeneity.splitlines()
    assert len(rows) == 1
    numbers = dict(zip(header.split(), rows[0].split(), strict=True))
    assert {name: numbers[name] for name in ("contrast", "k", "q", "q_df", "q_p", "i2", "tau2")} == {
        "contrast": "a", "k": "2", "q": "8", "q_df": "1", "q_p": "0.004678", "i2": "87.5", "tau2": "1.75",
    }  # fmt: skip
    assert float(numbers["tau2_low"]) < 1.75 < float(numbers["tau2_high"])


def test_effects_that_share_something_and_effects_alone_have_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "study,lab,estimate,std_error\ns,x,1,0.5\nt,x,3,0.5\nu,y,2,1\n")
    assert main(["meta", str(path), "--shares", "lab"]) == 0
    _, heterogeneity, beside = capsys.readouterr().out.split("\n\n")
    assert heterogeneity.splitlines()[1].split()[0:3:2] == ["3", "2"]  # k and its degrees of freedom
    assert "cr2_df" in beside
    assert main(["meta", str(write(tmp_path, TWO)), "--by", "g"]) == 0
    assert "q_df" not in capsys.readouterr().out


def test_a_groups_name_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meta", str(write(tmp_path, SEVERAL.replace("\na,", "\n\x1b[31ma,"))), "--by", "contrast"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[31ma" in printed


def test_a_pool_of_many_effects_goes_on_to_further_pages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"s{n},0.{n:03d},0.1\n" for n in range(1, MOST_LINES + 2))
    path = write(tmp_path, f"study,estimate,std_error\n{rows}")
    assert main(["meta", str(path), "--output", str(tmp_path / "out")]) == 0
    figures = tmp_path / "out" / "figures"
    assert sorted(file.name for file in figures.glob("*.svg")) == ["forest-001-2.svg", "forest-001.svg"]
    first, second = ((figures / f"forest-001{page}.svg").read_text() for page in ("", "-2"))
    # 61 effects: 30 and 31
    assert "Effects 1 to 30 of 61" in first
    assert "Effects 31 to 61 of 61" in second
    assert [">s30<" in first, ">s31<" in first, ">s31<" in second, ">s30<" in second] == [True, False, True, False]
    for page in (first, second):
        assert "(df = 60, p " in page
        assert "Pooled, HKSJ 95% CI" in page
        assert "  1.6%" in page  # 1 / 61
    assert caplog.records == []
    assert not (tmp_path / "out" / "not_drawn.csv").exists()


def test_groups_without_a_forest_plot_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    many = "".join(f"m,s{n},1,1\n" for n in range(MOST_LINES + 1))
    path = write(tmp_path, f"{SEVERAL}{many}c,u,1,1\n\x07d,u,1,1\n")  # a 2, b 1, m 61, c 1, \x07d 1
    out = tmp_path / "out"
    with caplog.at_level("INFO", logger="tasks.reporting.pooled_file"):
        assert main(["meta", str(path), "--by", "contrast", "--output", str(out), "--figures", "3"]) == 0
    # a and b leave one figure; m needs two, c takes it, and nothing is left for the last
    assert caplog.messages == ["forest plots of 3 of 5 groups (--figures 3); left out: m; \\x07d"]
    assert sorted(file.stem for file in (out / "figures").glob("*.svg")) == ["forest-001", "forest-002", "forest-004"]
    assert pd.read_csv(out / "not_drawn.csv").to_numpy().tolist() == [["m", 61], ["\x07d", 1]]
    assert main(["meta", str(path), "--by", "contrast", "--output", str(out)]) == 0
    assert not (out / "not_drawn.csv").exists()
    assert len(list((out / "figures").glob("*.svg"))) == 6


def test_of_many_groups_without_a_plot_a_file_names_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"g{n},1,1\n" for n in range(25))
    path, out = write(tmp_path, f"{HEADER}{rows}"), tmp_path / "out"
    with caplog.at_level("INFO", logger="tasks.reporting.pooled_file"):
        assert main(["meta", str(path), "--by", "contrast", "--output", str(out), "--figures", "1"]) == 0
    assert caplog.messages[0].endswith("; g20 and 4 more, all of them in not_drawn.csv")
    assert pd.read_csv(out / "not_drawn.csv")["contrast"].tolist() == [f"g{n}" for n in range(1, 25)]
