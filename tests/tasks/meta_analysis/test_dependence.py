"""`pluralign meta` on effects that share something, by a covariance or by a column, and what is wrong with either."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows import meta_analysis
from flows.cli import main
from tasks.meta_analysis.beside import BESIDE
from tasks.meta_analysis.correlated import between_variance, pool_correlated
from tasks.meta_analysis.half_normal import SCALE, half_normal
from tasks.meta_analysis.pooling import STATISTICS, pool
from tasks.meta_analysis.robust import cr2

Y, ERRORS = np.array([0.1, 0.5, 0.3]), np.array([0.1, 0.2, 0.1])
EFFECTS = "study,lab,estimate,std_error\ns,x,0.1,0.1\nt,x,0.5,0.2\nu,y,0.3,0.1\n"
V = np.array([[0.01, 0.008, 0.001], [0.008, 0.04, 0], [0.001, 0, 0.01]])
MATRIX = ",s,t,u\ns,0.01,0.008,0.001\nt,0.008,0.04,0\nu,0.001,0,0.01\n"
GROUPS = "g,study,estimate,std_error\np,s,0.1,0.1\nq,s,0.2,0.1\np,t,0.5,0.2\nq,t,0.4,0.1\n"


def meta(folder: Path, effects: str, covariance: str = "", *arguments: str) -> tuple[int, pd.DataFrame | None]:
    """The exit code and pooled.csv."""
    (folder / "effects.csv").write_text(effects)
    if covariance:
        (folder / "v.csv").write_text(covariance)
        arguments = ("--covariance", str(folder / "v.csv"), *arguments)
    code = main(["meta", str(folder / "effects.csv"), *arguments, "--output", str(folder / "out")])
    return code, pd.read_csv(folder / "out" / "pooled.csv") if code == 0 else None


@pytest.mark.parametrize(
    "covariance",
    [
        MATRIX,
        MATRIX.replace(",", ";").replace(".", ","),
        ",u,s,t\nt,0,0.008,0.04\nu,0.01,0.001,0\ns,0.001,0.01,0.008\n",
        "a,b,covariance\ns,s,0.01\ns,t,0.008\nt,t,0.04\nu,s,0.001\nu,u,0.01\n",
        "a,b,covariance\ns,t,0.008\nt,s,0.008\nu,s,1e-3\nt,u,0\n",
        "other\tcovariance\tarchitecture\tmore\nt\t0.008\ts\t1\ns\t0.001\tu\t2\n",
        MATRIX.replace("0.01\n", "0.010004\n"),  # as printed
    ],
)
@pytest.mark.parametrize("method", ["dl", "reml", "pm", "fixed"])
def test_a_covariance_reads_the_same_however_it_is_written(tmp_path: Path, covariance: str, method: str) -> None:
    code, pooled = meta(tmp_path, EFFECTS, covariance, "--method", method)
    assert code == 0
    expected = pool_correlated(Y, V, method)
    assert pooled is not None
    assert pooled.loc[0, STATISTICS].to_dict() == pytest.approx({name: expected[name] for name in STATISTICS}, rel=1e-6)


def test_effects_not_named_as_pairs_are_uncorrelated_and_a_note_says_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta(tmp_path, EFFECTS, "a,b,covariance\ns,t,0.008\nu,u,0.01\n")
    assert (
        f"2 pairs of effects are not in {tmp_path / 'v.csv'}: they are taken as uncorrelated" in capsys.readouterr().out
    )


def test_a_covariance_of_several_groups_has_their_columns(tmp_path: Path) -> None:
    long = "g,a,b,covariance\np,s,t,0.01\nq,s,t,-0.004\n"
    _, pooled = meta(tmp_path, GROUPS, long, "--by", "g")
    assert pooled is not None
    assert pooled["mean_correlation"].tolist() == pytest.approx([0.5, -0.4])
    for row, (y, errors, c) in enumerate((([0.1, 0.5], [0.1, 0.2], 0.01), ([0.2, 0.4], [0.1, 0.1], -0.004))):
        v = np.diag(np.square(errors)) + c * (1 - np.eye(2))
        expected = pool_correlated(np.array(y), v)
        assert pooled.loc[row, "std_error"] == pytest.approx(expected["std_error"])
    left = pd.read_csv(tmp_path / "out" / "leave_one_out.csv")
    assert left[["g", "without", "estimate"]].to_numpy().tolist() == [
        ["p", "s", 0.5], ["p", "t", 0.1], ["q", "s", 0.4], ["q", "t", 0.2],
    ]  # fmt: skip


def test_names_that_are_there_once_need_no_group(tmp_path: Path) -> None:
    effects = GROUPS.replace("q,s", "q,v").replace("q,t", "q,w")
    matrix = ",s,t,v,w\ns,0.01,0.01,0.009,0\nt,0.01,0.04,0,0\nv,0.009,0,0.01,-0.004\nw,0,0,-0.004,0.01\n"
    for covariance in (matrix, "a,b,covariance\ns,t,0.01\nv,w,-0.004\ns,v,0.009\n"):
        _, pooled = meta(tmp_path, effects, covariance, "--by", "g")
        assert pooled is not None
        assert pooled["mean_correlation"].tolist() == pytest.approx([0.5, -0.4])


def test_cr2_and_the_half_normal_prior_stand_beside_and_cr2_has_the_clusters_that_nothing_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    effects = EFFECTS + "w,z,0.9,0.1\n"
    _, pooled = meta(tmp_path, effects, "a,b,covariance\ns,t,0.008\nu,s,0.001\nw,w,0.01\n", "--method", "reml")
    printed = capsys.readouterr().out
    y, v = np.array([*Y, 0.9]), np.zeros((4, 4))
    v[:3, :3], v[3, 3] = V, 0.01
    robust = cr2(y, v + between_variance(y, v, "reml") * np.eye(4), [0, 0, 0, 1])
    posterior = half_normal(y, v, SCALE)
    expected = {f"cr2_{name}": value for name, value in robust._asdict().items() if name != "estimate"}
    expected |= {f"half_normal_{name}": value for name, value in posterior._asdict().items()}
    assert pooled is not None
    assert pooled.loc[0, BESIDE[1:]].to_dict() == pytest.approx(expected, rel=1e-6)
    assert robust.clusters == 2
    assert "half_normal: τ has a half-normal prior of scale 0.1 (--tau-scale), in the unit of the estimates" in printed
    assert "cr2 has fewer than 4 degrees of freedom in 1 of 1 groups: trust no p there" in printed
    forest = (tmp_path / "out" / "figures" / "forest-001.svg").read_text()
    assert "CR2 95% CI" in forest
    assert "Half-normal prior 95%" in forest


def test_where_every_effect_is_linked_cr2_is_missing_and_shares_names_its_clusters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, pooled = meta(tmp_path, EFFECTS, MATRIX)
    assert pooled is not None
    assert np.isnan(pooled["cr2_std_error"].item())
    assert "cr2 is missing in 1 of 1 groups, where every effect shares something" in capsys.readouterr().out
    _, pooled = meta(tmp_path, EFFECTS, MATRIX, "--shares", "lab")
    expected = cr2(Y, V + between_variance(Y, V) * np.eye(3), ["x", "x", "y"])
    assert pooled is not None
    assert pooled[["cr2_clusters", "cr2_std_error", "cr2_df"]].to_numpy()[0] == pytest.approx(
        [2, expected.std_error, expected.df]
    )


@pytest.mark.parametrize(
    ("arguments", "r"), [([], 0.6), (["--correlation", "0.25"], 0.25), (["--correlation", "0"], 0)]
)
def test_effects_that_share_a_value_correlate_and_are_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], r: float
) -> None:
    _, pooled = meta(tmp_path, EFFECTS, "", "--shares", "lab", *arguments)
    v = np.diag(ERRORS**2)
    v[0, 1] = v[1, 0] = r * 0.1 * 0.2
    expected = pool_correlated(Y, v)
    assert pooled is not None
    assert pooled.loc[0, STATISTICS].to_dict() == pytest.approx({name: expected[name] for name in STATISTICS}, rel=1e-6)
    assert pooled["cr2_clusters"].item() == 2
    note = f"errors of effects with the same lab are taken to correlate by {r:g}"
    assert f"{note}{'' if arguments else ', an assumption (--correlation)'}\n" in capsys.readouterr().out


def test_who_shares_nothing_is_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    effects = EFFECTS.replace("s,x", "s,").replace("t,x", "t,NA")
    _, pooled = meta(tmp_path, effects, "", "--shares", "lab")
    assert pooled is not None
    assert pooled[["cr2_clusters", "mean_correlation"]].to_numpy().tolist() == [[3, 0]]
    assert pooled["std_error"].item() == pytest.approx(pool(Y, ERRORS)["std_error"])
    assert "lab is missing in 2 of 3 rows, which share it with none" in capsys.readouterr().out


def test_the_prior_has_the_scale_that_is_asked_for_also_of_independent_effects(tmp_path: Path) -> None:
    _, pooled = meta(tmp_path, EFFECTS, "", "--tau-scale", "0.4")
    assert pooled is not None
    assert pooled["half_normal_sd"].item() == pytest.approx(half_normal(Y, np.diag(ERRORS**2), 0.4).sd)
    assert pooled["std_error"].item() == pytest.approx(pool(Y, ERRORS)["std_error"])
    assert pooled["cr2_clusters"].item() == 3


def test_without_any_of_it_the_tables_are_what_they_were(tmp_path: Path) -> None:
    _, pooled = meta(tmp_path, EFFECTS)
    assert pooled is not None
    assert not {*BESIDE} & {*pooled}


def test_the_flow_takes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_analysis, "show_table", lambda *_: None)
    _, by_command = meta(tmp_path, EFFECTS, MATRIX, "--shares", "lab", "--tau-scale", "0.4")
    folder = meta_analysis.run_meta_analysis.fn(
        str(tmp_path / "effects.csv"), [], covariance=str(tmp_path / "v.csv"), shares="lab", tau_scale=0.4
    )
    pd.testing.assert_frame_equal(pd.read_csv(folder / "pooled.csv"), by_command)


# ---- what is wrong


@pytest.mark.parametrize(
    ("covariance", "line"),
    [
        ("a,b\ns,t\n", "its header names neither the columns a, b, covariance, nor effects as a matrix"),
        (MATRIX.replace(",s,t,u\n", ",s,t,z\n"), "row 1: no column of 'u'; row 1, column z: no effect is called 'z'"),
        (MATRIX.replace("\nu,", "\nt,"), "row 1: no row of 'u'; row 4: a second row of 't'"),
        (MATRIX.replace(",s,t,u\n", ",s,t,t\n"), "row 1: no column of 'u'; row 1, column t: a second column of 't'"),
        (MATRIX.replace("0.008", "x", 1), "row 2, column t: not a finite number: 'x'"),
        (MATRIX.replace("0.008,0.04", ",0.04"), "row 3, column s: missing"),
        (MATRIX.replace("0.008", "0.007", 1), "row 3, column s: 0.008, and 0.007 the other way round: not symmetric"),
        (MATRIX.replace("0.04", "0.041"), "row 3, column t: 0.041 is not the effect's std_error², 0.04"),
        (
            MATRIX.replace("0.001", "0.02"),
            "row 2, column u: 0.02 is beyond the standard errors' product, 0.01; row 4, column s: 0.02 is beyond",
        ),
        (
            ",s,t,u\ns,0.01,0.018,-0.009\nt,0.018,0.04,0.01\nu,-0.009,0.01,0.01\n",
            "row 2: the covariance is not positive definite: its correlations have an eigenvalue of -0.55",
        ),
        ("a,b,covariance\ns,t,0.008\n", "row 1: no row of 'u'"),
        ("a,b,covariance\ns,z,0.008\nt,u,0\n", "row 2, column b: no effect is called 'z'"),
        ("a,b,covariance\ns,t,0.008\nt,u,0\ns,t,0.008\n", "row 4, column covariance: a second value of these two"),
        (
            "a,b,covariance\ns,t,0.008\nt,s,0.007\nu,u,0.01\n",
            "row 3, column covariance: 0.007, and 0.008 the other way",
        ),
        ("a,b,covariance\ns,t,inf\nu,u,0.01\n", "row 2, column covariance: not a finite number: 'inf'"),
        ("a,b,covariance,b\ns,t,0\n", "two columns are called 'b'; give one of them another name"),
        ("", None),
        (
            ",s,t,z\ns,0.02,x,0\nt,0.009,0.04,0\nu,0,,9\n",
            "row 1: no column of 'u'; row 1, column z: no effect is called 'z'; row 2, column s: 0.02 is not the "
            "effect's std_error², 0.01; row 2, column t: not a finite number: 'x'; row 4, column t: missing",
        ),
    ],
)
def test_what_is_wrong_with_a_covariance_is_one_line_with_every_place(
    tmp_path: Path, covariance: str, line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v.csv").write_text(covariance)
    (tmp_path / "effects.csv").write_text(EFFECTS)
    assert main(["meta", str(tmp_path / "effects.csv"), "--covariance", str(tmp_path / "v.csv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pluralign: {tmp_path / 'v.csv'}: {'empty' if line is None else line}")
    assert error.count("\n") == 1


def test_groups_with_the_same_names_need_rows_with_their_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        ",s,t\ns,0.01,0\nt,0,0.04\n": "which a matrix can't tell apart; give rows with the columns g, a, b, covariance",
        "a,b,covariance\ns,t,0.01\n": "columns: unknown 'g'; allowed: a, b, covariance",
        "g,a,b,covariance\np,s,t,0.01\nz,s,t,0\nq,s,s,0.01\n": "row 1: no row of 'q / t'; row 3, column a: no effect "
        "is called 'z / s'; row 3, column b: no effect is called 'z / t'",
        "g,a,b,covariance\nq,s,t,0.02\np,s,t,0.01\n": "row 2, column covariance: 0.02 is beyond the standard errors'",
    }
    for covariance, line in wrong.items():
        assert meta(tmp_path, GROUPS, covariance, "--by", "g")[0] == 2
        assert line in capsys.readouterr().err
    three = GROUPS + "p,u,0.1,0.1\n"
    rows = "g,a,b,covariance\nq,s,t,0\np,s,t,0.018\np,t,u,0.018\np,s,u,-0.009\n"
    assert meta(tmp_path, three, rows, "--by", "g")[0] == 2
    assert re.search("row 3: the covariance of p is not positive definite", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--correlation", "0.5"], "--correlation: only where --shares says what effects share, and no --covariance"),
        (["--shares", "lab", "--correlation", "1"], "--correlation 1: must be from 0 to below 1"),
        (["--shares", "lab", "--correlation", "nan"], "--correlation nan: must be from 0 to below 1"),
        (["--tau-scale", "0"], "--tau-scale 0: must be above 0"),
        (["--shares", "estimate"], "--shares estimate: a number, not what effects share"),
        (["--shares", "town"], "{file}: columns: unknown 'town'; allowed: study, lab, estimate, std_error"),
        (["--by", "cr2_df"], "--by cr2_df: the results have a column of this name"),
        (["--covariance", "{file}x"], "{file}x: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "effects.csv"
    path.write_text(EFFECTS)
    assert main(["meta", str(path), *(text.format(file=path) for text in arguments)]) == 2
    assert capsys.readouterr().err.startswith(f"pluralign: {line.format(file=path)}")


def test_the_studys_own_covariances_can_be_given(tmp_path: Path) -> None:
    effects = "contrast,architecture,estimate,std_error\nx - y,p,0.1,0.1\nx - y,q,0.2,0.1\n"
    rows = "contrast,dimension,architecture,other,covariance,correlation,n_prompts\n"
    rows += "x - y,d,p,p,0.01,1,9\nx - y,d,p,q,0.004,0.4,9\nx - y,d,q,q,0.01,1,9\n"
    _, pooled = meta(tmp_path, effects, rows, "--by", "contrast")
    assert pooled is not None
    assert pooled["mean_correlation"].item() == pytest.approx(0.4)
