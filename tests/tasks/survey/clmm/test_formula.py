"""Formulas, tables and the command line: what is understood, what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from flows.cli import main
from tasks.survey.clmm.formula import Formula, clmm, parse, read_table
from tests.tasks.ratings.every_format import FORMATS, write_table
from tests.tasks.survey.clmm.simulated import ratings


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """300 ratings with columns of every sort."""
    rng = np.random.default_rng(0)
    return ratings(0, n=300, raters=12, items=20).assign(
        tone=rng.choice(["mild", "neutral", "rude"], 300),
        day=rng.choice([1, 2, 10], 300),
        long=rng.random(300) < 0.5,
        **{"my column": rng.normal(size=300), "a:b": rng.choice(["u", "v"], 300), "größe": rng.normal(size=300)},
    )


def terms(formula: str, data: pd.DataFrame, reference: dict[str, str] | None = None) -> list[str]:
    return list(clmm(formula, data, reference).coefficients.index)


def refused(formula: str, data: pd.DataFrame, reference: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as error:
        clmm(formula, data, reference)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- what a formula says


def test_a_formula_has_a_response_fixed_terms_and_groups() -> None:
    assert parse("rating ~ temp + C(day) * `my column` + (1|judge) + ( 1 | `wine bottle` )") == Formula(
        response="rating",
        fixed="( temp + day * `my column` + 0 + 0) + 1",
        columns=("temp", "day", "my column"),
        factors=("day",),
        groups=("judge", "wine bottle"),
    )


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("rating ~ 1", []),
        ("rating ~ 0", []),
        ("rating ~ (1|rater)", []),
        ("rating~x0+x1", ["x0", "x1"]),
        ("rating ~ -1 + tone", ["tone[neutral]", "tone[rude]"]),
        ("rating ~ (1|rater) + x0 + (1|item)", ["x0"]),
        ("rating ~ x0 \n + x1", ["x0", "x1"]),
        ("rating ~ x0 + x0", ["x0"]),
        ("rating ~ day", ["day"]),
        ("rating ~ C(day)", ["day[2]", "day[10]"]),
        ("rating ~ factor(day)", ["day[2]", "day[10]"]),
        ("rating ~ long", ["long[True]"]),
        ("rating ~ `my column`", ["my column"]),
        ("rating ~ `a:b`", ["a:b[v]"]),
        ("rating ~ größe", ["größe"]),
        ("rating ~ x0 * long", ["x0", "long[True]", "x0:long[True]"]),
        ("rating ~ x0 : x1", ["x0:x1"]),
        ("rating ~ x0 : long", ["x0:long[False]", "x0:long[True]"]),
        ("rating ~ long + tone : long", [
            "long[True]", "tone[neutral]:long[False]", "tone[rude]:long[False]", "tone[neutral]:long[True]",
            "tone[rude]:long[True]",
        ]),
    ],
)  # fmt: skip
def test_terms_are_called_after_columns_and_levels(table: pd.DataFrame, formula: str, expected: list[str]) -> None:
    assert sorted(terms(formula, table)) == sorted(expected)


def test_an_interaction_is_the_product_of_its_columns(table: pd.DataFrame) -> None:
    product = table.assign(both=table["x0"] * table["x1"])
    one = clmm("rating ~ x0 * x1 + (1|rater)", product).coefficients
    other = clmm("rating ~ x0 + x1 + both + (1|rater)", product).coefficients
    assert one.loc["x0:x1"].tolist() == pytest.approx(other.loc["both"].tolist(), rel=1e-9)


def test_cells_of_an_interaction_that_do_not_occur_are_dropped_and_named(table: pd.DataFrame) -> None:
    data = table[~((table["tone"] == "rude") & table["long"])]
    found = clmm("rating ~ tone * long", data)
    assert found.aliased == ("tone[rude]:long[True]",)


def test_the_reference_level_is_the_first_or_the_one_that_is_asked_for(table: pd.DataFrame) -> None:
    assert terms("rating ~ tone", table) == ["tone[neutral]", "tone[rude]"]
    assert terms("rating ~ tone", table, {"tone": "rude"}) == ["tone[mild]", "tone[neutral]"]
    # a reference makes a factor of a column of numbers
    assert terms("rating ~ day", table, {"day": "2"}) == ["day[1]", "day[10]"]
    ordered = table.assign(tone=pd.Categorical(table["tone"], ["rude", "nowhere", "mild", "neutral"]))
    assert terms("rating ~ tone", ordered) == ["tone[mild]", "tone[neutral]"]


@pytest.mark.parametrize(
    ("formula", "reference", "message"),
    [
        ("rating ~ tone", {"tome": "mild"}, "reference: unknown 'tome'; allowed: tone"),
        ("rating ~ tone", {"tone": "Mild"}, "reference tone: unknown 'Mild'; allowed: mild, neutral, rude"),
        ("rating ~ tone + (1|rater)", {"rater": "r1"}, "reference: unknown 'rater'; allowed: tone"),
        ("rating ~ 1", {"tone": "mild"}, "reference: unknown 'tone'; allowed: none"),
        ("rating ~ C(day)", {"day": "3"}, "reference day: unknown '3'; allowed: 1, 2, 10"),
    ],
)
def test_an_unknown_reference_is_told_with_what_there_is(
    table: pd.DataFrame, formula: str, reference: dict[str, str], message: str
) -> None:
    assert refused(formula, table, reference) == message


def test_levels_are_called_the_same_whether_or_not_a_cell_is_missing(table: pd.DataFrame) -> None:
    # a missing cell makes floats of whole numbers: 1.0, 2.0, 10.0
    data = table.assign(day=table["day"].astype(float).mask(np.arange(300) == 4))
    assert terms("rating ~ C(day)", data, {"day": "2"}) == ["day[1]", "day[10]"]
    halves = table.assign(day=table["day"] / 2)
    assert terms("rating ~ C(day)", halves) == ["day[1]", "day[5]"]
    assert terms("rating ~ C(day)", halves, {"day": "1"}) == ["day[0.5]", "day[5]"]


def test_dates_and_mixed_cells_are_factors_by_their_text(table: pd.DataFrame) -> None:
    days = pd.Timestamp("2024-02-28") + pd.to_timedelta(table["day"], "D")
    assert terms("rating ~ day", table.assign(day=days)) == ["day[2024-03-01 00:00:00]", "day[2024-03-09 00:00:00]"]
    mixed = table.assign(day=table["day"].astype(object).where(table["long"], table["day"].astype(str)))
    assert terms("rating ~ day", mixed) == ["day[2]", "day[10]"]


@pytest.mark.parametrize(
    "levels", [("=CMD|' /C calc'!A0", "b"), ("<script>", "z"), ("", "[T.x]"), ("__other__", "__a")]
)
def test_level_names_are_only_names(table: pd.DataFrame, levels: tuple[str, str]) -> None:
    data = table.assign(tone=np.where(table["long"], *levels))
    plain = clmm("rating ~ tone", table.assign(tone=np.where(table["long"], "a", "b")), {"tone": "b"})
    found = clmm("rating ~ tone", data, {"tone": levels[1]})
    assert list(found.coefficients.index) == [f"tone[{levels[0]}]"]
    assert found.coefficients.to_numpy() == pytest.approx(plain.coefficients.to_numpy())
    assert f"tone[{levels[0]}]" in found.summary()
    product = clmm("rating ~ tone : x0", data, {"tone": levels[1]})
    assert list(product.coefficients.index) == [f"tone[{level}]:x0" for level in reversed(levels)]


@pytest.mark.parametrize(
    "name", ["C", "I", "poly", "log", "np", "data", "T", "Q", "lambda", "1st", "a.b", "__x", "True"]
)
def test_a_column_may_be_called_like_a_function(table: pd.DataFrame, name: str) -> None:
    assert terms(f"rating ~ {name}", table.rename(columns={"x0": name})) == [name]


# ---- what a formula can't say


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("rating", "formula 'rating': expected RATING ~ TERM + … + (1|GROUP)"),
        ("~ x0", "formula '~ x0': expected RATING ~ TERM + … + (1|GROUP)"),
        ("rating ~ nope", "formula: column: unknown 'nope'; allowed: x0, x1, rating, rater, item, tone, "),
        ("nope ~ x0", "formula: column: unknown 'nope'; allowed: "),
        ("rating ~ x0 + (1|nope)", "formula: column: unknown 'nope'; allowed: "),
        ("rating ~ (x0|rater)", "formula: (x0|rater): only random intercepts of one column, (1|GROUP), are known"),
        ("rating ~ (1 + x0|rater)", "formula: (1 + x0|rater): only random intercepts of one column"),
        ("rating ~ (1|rater/item)", "formula: (1|rater/item): only random intercepts of one column"),
        ("rating ~ (1|rater:item)", "formula: (1|rater:item): only random intercepts of one column"),
        ("rating ~ x0(1\x00|rater)", "formula: (1\\x00|rater): a random intercept is added to the rest"),
        ("rating ~ (1||rater)", "formula 'rating ~ (1||rater)': a random intercept is written (1|GROUP)"),
        ("rating ~ 1|rater", "formula 'rating ~ 1|rater': a random intercept is written (1|GROUP)"),
        ("rating ~ (1|rater) + (1|item) + (1|tone)", "random effects rater, item, tone: at most two groups"),
        ("rating ~ (1|rater) + (1|rater)", "formula: a group stands twice: rater, rater"),
        *(
            (f"rating ~ {text}", "formula: (1|rater): a random intercept is added to the rest, … + (1|GROUP)")
            for text in ("x0(1|rater)", "x0 : (1|rater)", "x0 - (1|rater)", "(1|rater) * x0", "(x0 + (1|rater)) ** 2")
        ),
        ("rating ~ rating", "formula: rating stands on both sides"),
        ("rating ~ x0 : rating", "formula: rating stands on both sides"),
        ("rating ~ C(rating)", "formula: rating stands on both sides"),
        ("rating ~ x0 + (1|rating)", "formula: rating stands on both sides"),
        ("log(rating) ~ x0", "formula: column: unknown 'log(rating)'; allowed: "),
        ("rating ~ log(x0)", "formula: 'log(x0)' is not a column; make one of it first (C(column) is known)"),
        ("rating ~ I(x0)", "formula: 'I(x0)' is not a column; "),
        ("rating ~ {x0 + 1}", "formula: 'x0 + 1' is not a column; "),
        ("rating ~ C(tone, Treatment('rude'))", "formula: \"C(tone, Treatment('rude'))\" is not a column; "),
        ("rating ~ 2", "formula 'rating ~ 2': "),
        ("rating ~ 'x0'", "formula \"rating ~ 'x0'\": "),
        ("rating ~ ", "formula 'rating ~ ': "),
        ("rating ~ x0 +", "formula 'rating ~ x0 +': "),
        ("rating ~ (x0", "formula 'rating ~ (x0': "),
        ("rating ~ x0)", "formula 'rating ~ x0)': "),
        ("rating ~ `x0", "formula 'rating ~ `x0': "),
        ("rating ~ x0 ~ x1", "formula 'rating ~ x0 ~ x1': "),
        ("rating ~ x0, x1", "formula 'rating ~ x0, x1': "),
        ("rating ~ .", "formula 'rating ~ .': "),
        ("rating ~ x0 ** 0", "formula 'rating ~ x0 ** 0': "),
    ],
)  # fmt: skip
def test_what_a_formula_cannot_say_is_one_clear_line(table: pd.DataFrame, formula: str, message: str) -> None:
    assert refused(formula, table).startswith(message)


@pytest.mark.parametrize(
    "form",
    [
        "rating ~ {}",
        "rating ~ x0 + {}",
        "rating ~ C({})",
        "rating ~ I({})",
        "rating ~ {{{}}}",
        "rating ~ `{}`",
        "rating ~ x0 : {}",
        "rating ~ x0 ** {}",
        "rating ~ x0 + (1|{})",
        "rating ~ x0 + ({}|rater)",
        "rating ~ x0 + (1|`{}`)",
        "{} ~ x0",
        "`{}` ~ x0",
    ],
)
def test_python_in_a_formula_is_refused_and_not_run(table: pd.DataFrame, form: str, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for code in (f"__import__('os').system('touch {trace}')", f"open('{trace}','w')", f"tone.to_csv('{trace}')"):
        refused(form.format(code), table)
        assert not trace.exists()


def test_python_in_a_table_is_not_run(table: pd.DataFrame, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    code = f"__import__('os').system('touch {trace}')"
    data = table.rename(columns={"tone": code}).assign(long=np.where(table["long"], code, "b"))
    assert f"long[{code}]" in terms(f"rating ~ `{code}` + long", data, {"long": "b"})
    assert not trace.exists()


def test_columns_that_can_be_confused_are_refused(table: pd.DataFrame) -> None:
    twice = pd.concat([table, table[["x0"]]], axis=1)
    assert refused("rating ~ x0", twice) == "formula: x0: several columns of the table have this name"
    assert terms("rating ~ x1", twice) == ["x1"]
    named = table.rename(columns={"x0": "Intercept"})
    assert refused("rating ~ Intercept + x1", named).startswith("formula: Intercept is what the constant is called")


# ---- responses


def test_an_ordered_response_keeps_its_order(table: pd.DataFrame) -> None:
    names = ["worst", "bad", "fair", "good", "best"]  # not their alphabetical order
    ordered = pd.Categorical.from_codes(table["rating"] - 1, names, ordered=True)
    found, plain = (clmm("rating ~ x0", data) for data in (table.assign(rating=ordered), table))
    assert found.coefficients.to_numpy() == pytest.approx(plain.coefficients.to_numpy())


@pytest.mark.parametrize("as_type", [str, float, "Int64", "category", object])
def test_a_response_of_numbers_may_be_stored_in_any_way(table: pd.DataFrame, as_type: object) -> None:
    # as texts, 10 comes after 2 all the same
    data = table.assign(rating=table["rating"] * 2)
    found, plain = (clmm("rating ~ x0", given) for given in (data.astype({"rating": as_type}), data))
    assert found.categories == ("2", "4", "6", "8", "10")
    assert found.coefficients.to_numpy() == pytest.approx(plain.coefficients.to_numpy())


def test_a_yes_or_no_response_is_a_logistic_regression(table: pd.DataFrame) -> None:
    from statsmodels.api import Logit, add_constant

    found = clmm("long ~ x0 + x1", table)
    expected = Logit(table["long"].astype(float), add_constant(table[["x0", "x1"]])).fit(disp=False, tol=1e-10)
    assert found.coefficients["estimate"].tolist() == pytest.approx(expected.params[1:].tolist(), abs=1e-6)
    assert found.coefficients["std_error"].tolist() == pytest.approx(expected.bse[1:].tolist(), rel=1e-6)
    assert found.thresholds["estimate"].tolist() == pytest.approx([-expected.params.iloc[0]], abs=1e-6)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            ["good", *["bad"] * 299],
            "rating, row 1: 'good' is not a number, and texts have no order; the same in rows 2 to 300",
        ),
        ([*["1", "2"] * 149, "3", "x"], "rating, row 300: 'x' is not a number, and texts have no order"),
        ([4] * 300, "all 300 ratings are 4; the model needs at least two categories"),
        ([*[1, 2.0] * 149, np.inf, 1], "rating, row 299: inf is not a finite number"),
        ([*[1, 2.0] * 149, 1, -np.inf], "rating, row 300: -inf is not a finite number"),
    ],
)
def test_a_response_without_order_is_refused(table: pd.DataFrame, response: list[object], message: str) -> None:
    assert refused("rating ~ x0", table.assign(rating=response)) == message


# ---- columns and groups


@pytest.mark.parametrize(
    ("change", "formula", "message"),
    [
        ({"x0": 3.5}, "rating ~ x0", "x0: all 300 rows have 3.5; drop it from the formula"),
        ({"tone": "rude"}, "rating ~ tone", "tone: all 300 rows have 'rude'; a factor needs two levels"),
        ({"day": 1}, "rating ~ C(day)", "day: all 300 rows have '1'; a factor needs two levels"),
        ({"rater": "r"}, "rating ~ (1|rater)", "(1|rater): one level only; a random effect needs at least two"),
        (
            {"rater": range(300)},
            "rating ~ (1|rater)",
            "(1|rater): 300 levels for 300 ratings; some level needs several ratings",
        ),
        (
            {"item": lambda data: "the " + data["rater"]},
            "rating ~ (1|rater) + (1|item)",
            "(1|rater) and (1|item) group the ratings alike; keep one",
        ),
        ({"x0": lambda data: data["x0"].mask(data.index == 7, np.inf)}, "rating ~ x0", "x0, row 8: inf is not a"),
    ],
)
def test_a_column_that_says_nothing_is_refused(
    table: pd.DataFrame, change: dict[str, object], formula: str, message: str
) -> None:
    assert refused(formula, table.assign(**change)).startswith(message)


def test_a_factor_with_too_many_levels_is_refused_but_a_group_is_not() -> None:
    data = ratings(1, n=1200, raters=501, items=20)
    message = "rater: 501 levels, at most 500 as a fixed effect; (1|rater) is the random one"
    assert refused("rating ~ rater", data) == message
    assert clmm("rating ~ (1|rater)", data).random_effects.loc["rater", "n_levels"] == 501


def test_the_same_column_in_other_words_is_dropped_and_named(table: pd.DataFrame) -> None:
    data = table.assign(again=table["tone"].str.upper(), double=2 * table["x0"] + 1)
    found = clmm("rating ~ x0 + tone + again + double", data)
    assert found.notes == ("dropped, since other columns add up to them: again[NEUTRAL], again[RUDE], double",)


# ---- missing cells


def test_rows_with_a_missing_cell_are_left_out_and_told(table: pd.DataFrame) -> None:
    data = table.assign(x0=table["x0"].mask(np.isin(np.arange(300), [3, 4, 7])))
    data["rater"] = data["rater"].mask(np.isin(np.arange(300), [2, 3]))
    data["x1"] = np.nan  # not in the formula
    found = clmm("rating ~ x0 + (1|rater)", data)
    assert (found.n, found.left_out) == (296, 4)
    assert found.notes == ("left out 4 of 300 rows with a missing value (x0 3, rater 2; first: row 3)",)
    kept = clmm("rating ~ x0 + (1|rater)", data.dropna(subset=["x0", "rater"]))
    assert found.coefficients.to_numpy() == pytest.approx(kept.coefficients.to_numpy())
    assert kept.notes == ()


def test_rows_are_counted_in_the_table_that_was_given(table: pd.DataFrame) -> None:
    data = table.astype({"rating": float}).set_index(pd.Index([f"id{row}" for row in range(300)]))
    data.iloc[0, data.columns.get_loc("x0")] = np.nan
    data.iloc[5, data.columns.get_loc("rating")] = np.inf
    assert refused("rating ~ x0", data) == "rating, row 6: inf is not a finite number"
    assert refused("x1 ~ tone + rating", data) == "rating, row 6: inf is not a finite number"


def test_a_table_without_a_whole_row_is_refused(table: pd.DataFrame) -> None:
    data = table.assign(x0=np.nan, x1=table["x1"].mask(table.index < 2))
    assert refused("rating ~ x0 + x1", data) == "every row has a missing value (x0 300, x1 2)"
    for formula in ("rating ~ x0", "rating ~ tone", "rating ~ (1|rater)"):
        assert refused(formula, table.iloc[:0]) == "the table has no rows"


def test_a_level_whose_rows_are_all_left_out_is_no_level(table: pd.DataFrame) -> None:
    data = table.assign(
        x0=table["x0"].mask(table["tone"] == "rude"), tone=pd.Categorical(table["tone"], ["rude", "mild", "neutral"])
    )
    assert terms("rating ~ x0 + tone", data) == ["x0", "tone[neutral]"]


# ---- files


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes | str], Path]:
    def written(content: bytes | str) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


ROWS = "".join(f"{1 + row % 3},{row % 7},{'ab'[row % 2]}\n" for row in range(60))


@pytest.mark.parametrize(
    "content",
    [
        f"y,x,t\n{ROWS}",
        f"\ufeffy,x,t\n{ROWS}",
        f"y,x,t\n{ROWS}".replace("\n", "\r\n"),
        f"y,x,t\n{ROWS}".rstrip("\n"),
        f"y,x,t\n\n{ROWS}\n\n",
        f'"y","x","t"\n{ROWS}',
    ],
)
def test_a_table_reads_the_same_however_it_is_written(write: Callable[[str], Path], content: str) -> None:
    data = read_table(write(content))
    assert list(data.columns) == ["y", "x", "t"]
    assert data.shape == (60, 3)
    assert data["y"].tolist()[:4] == [1, 2, 3, 1]


def test_a_column_is_found_however_many_blanks_its_name_has(write: Callable[[str], Path]) -> None:
    data = read_table(write("y,age  group\u00a0,t\n1,2,a\n"), ["age  group", "t"])
    assert data["age  group"].tolist() == [2]


NO_VALUES = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "-", "–", ".", "#N/A", "<NA>", " NA "]


@pytest.mark.parametrize("text", NO_VALUES)
def test_a_cell_that_says_there_is_none_is_missing_among_numbers_and_among_levels(
    write: Callable[[str], Path], text: str
) -> None:
    content = f"y,x,t\n{ROWS}3,{text},a\n2,1,{text}\n{text},1,b\n"
    data = read_table(write(content))
    assert data.isna().sum().tolist() == [1, 1, 1]
    fit, whole = clmm("y ~ x + t", data), clmm("y ~ x + t", read_table(write(f"y,x,t\n{ROWS}")))
    assert list(fit.coefficients.index) == ["x", "t[b]"]
    assert fit.coefficients.to_numpy() == pytest.approx(whole.coefficients.to_numpy())
    assert fit.notes[0] == "left out 3 of 63 rows with a missing value (y 1, x 1, t 1; first: row 62)"


def test_other_words_are_levels_and_none_is_one_but_not_among_numbers(write: Callable[[str], Path]) -> None:
    data = read_table(write("a,b\n1,none\nnone,no\n2,missing\n"))
    assert data["b"].tolist() == ["none", "no", "missing"]
    assert data["a"].isna().tolist() == [False, True, False]


def test_labels_that_differ_by_blanks_are_one_level_and_a_note_says_so(write: Callable[[str], Path]) -> None:
    content = ROWS.replace("1,a\n", "1,a \n", 1)
    fit = clmm(
        "y ~ t + (1|g)",
        read_table(
            write("y,x,t,g\n" + content.replace("a\n", "a,u\n").replace("a \n", "a ,u \n").replace("b\n", "b,v\n"))
        ),
    )
    assert list(fit.coefficients.index) == ["t[b]"]
    assert fit.random_effects["n_levels"].tolist() == [2]
    row = 2 + ROWS.splitlines().index(next(line for line in ROWS.splitlines() if line.endswith("1,a")))
    assert fit.notes[:2] == (
        f"t: blanks around a label don't count (first: row {row}, 'a')",
        f"g: blanks around a label don't count (first: row {row}, 'u')",
    )


def test_ids_that_no_float_can_hold_stay_different(write: Callable[[str], Path]) -> None:
    data = read_table(write("y,id\n1,12345678901234567\n2,12345678901234568\n3,NA\n"))
    assert data["id"].nunique() == 2


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_table_reads_the_same_whatever_separates_its_fields(write: Callable[[str], Path], separator: str) -> None:
    content = f"y,x,t\n{ROWS}2,0.5,a\n".replace(",", separator)
    expected = read_table(write(f"y,x,t\n{ROWS}2,0.5,a\n"))
    pd.testing.assert_frame_equal(read_table(write(content), ["y", "x"]), expected)
    if separator != ",":
        pd.testing.assert_frame_equal(read_table(write(content.replace(".", ",")), ["y", "x"]), expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_fit_is_the_same_from_every_format(write: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    table = ratings(2).round(12)  # openpyxl writes 16 digits
    path = write_table(tmp_path / f"ratings.{kind}", table.to_dict("records"))
    formula = "rating ~ x0 + x1 + (1|rater) + (1|item)"
    expected = clmm(formula, read_table(write(table.to_csv(index=False))))
    assert clmm(formula, read_table(path, list(table.columns))).as_dict() == expected.as_dict()


def test_a_truth_value_a_number_and_a_missing_cell_are_the_same_from_every_format(tmp_path: Path) -> None:
    rows = [{"y": 1, "t": True, "x": 0.5}, {"y": 2, "t": False, "x": None}, {"y": 3, "t": True, "x": 1.5}]
    tables = [read_table(write_table(tmp_path / f"table.{kind}", rows)) for kind in FORMATS]
    for table in tables:
        assert table.dtypes.map(str).tolist() == ["int64", "bool", "float64"]
        assert table.fillna(-1).to_numpy().tolist() == [[1, True, 0.5], [2, False, -1], [3, True, 1.5]]


def test_rows_of_a_file_are_called_by_their_lines(write: Callable[[str], Path]) -> None:
    table = read_table(write('y,x\n1,1\n\n\n2,2\nbad,3\n3,"1"\n'))
    assert refused("y ~ x", table) == "y, row 6: 'bad' is not a number, and texts have no order"
    table = read_table(write('y,x,t\n1,1,"a\nb"\n\n2,,c\n3,5,c\n'))
    assert clmm("y ~ x", table).notes[0] == "left out 1 of 3 rows with a missing value (x 1; first: row 5)"


def test_a_shorter_row_lacks_its_last_cells(write: Callable[[str], Path]) -> None:
    assert read_table(write(f"y,x,t\n{ROWS}2\n")).isna().sum().tolist() == [0, 1, 1]


@pytest.mark.parametrize("formula", ["rating ~ .", "rating ~ . - x0", "rating ~ x0:.", "rating ~ C(.)", "rating ~ `.`"])
def test_a_dot_is_not_known_in_one_short_line(table: pd.DataFrame, formula: str) -> None:
    assert refused(formula, table) == f"formula {formula!r}: . is not known; name each column"


@pytest.mark.parametrize("formula", ["rating ~ (x0 + x1) ** 99999999", "rating ~ x0^10", "rating ~ (x0+x1+long)**40"])
def test_a_power_that_would_take_hours_is_refused(table: pd.DataFrame, formula: str) -> None:
    assert refused(formula, table).endswith("at most 9")


@pytest.mark.parametrize("text", ["x0 y" * 500, "3 * x0", "x0 @ x1", "\x00x0", "x0 x1\x1b[31m"])
def test_what_a_library_says_of_a_formula_is_cut_short(table: pd.DataFrame, text: str) -> None:
    message = refused(f"rating ~ {text}", table)
    assert len(message) < 200
    assert message.isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty; expected a header"),
        ("\n\n\n", "empty; expected a header"),
        (f"y,x,t\n{ROWS}1,2,a,4\n", "row 62: 4 fields where the header has 3"),
        (f"y,x,t\n1,1,a,extra\n{ROWS}", "row 2: 4 fields where the header has 3"),
        (f"y,x\n{ROWS}", "row 2: 3 fields where the header has 2; row 3: "),
        ("y,x,t\n" + ROWS.replace("\n", ",\n"), "row 2: 4 fields where the header has 3; row 3: "),
        (f'y,x,t\n{ROWS}1,2,"a\n', "row 62: not CSV: unexpected end of data"),
        ("y,x,t\n1,2,größe\n".encode("latin-1"), "row 2: not UTF-8"),
        (f"y,x,t\n{ROWS}".encode("utf-16-le"), "not text (byte 1 is zero)"),
    ],
)
def test_a_file_that_is_no_table_is_told_in_one_line(
    write: Callable[[bytes | str], Path], content: bytes | str, message: str
) -> None:
    path = write(content)
    with pytest.raises(InputError) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "nope.csv", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=reason):
            read_table(path)


# ---- the command line


def test_the_command_line_fits_prints_and_writes(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = write(ratings(2).to_csv(index=False)), tmp_path / "new folder" / "fit.json"
    formula = "rating ~ x0 + x1 + (1|rater) + (1|item)"
    assert main(["clmm", str(path), formula, "--output", str(output)]) == 0
    printed = capsys.readouterr()
    expected = clmm(formula, read_table(path))
    assert printed.out == expected.summary() + "\n"
    held = json.loads(output.read_text(encoding="utf-8"))
    assert held == {
        "data": "table.csv",
        "formula": formula,
        "reference": {},
        **json.loads(json.dumps(expected.as_dict())),
    }


def test_references_are_given_one_by_one(write: Callable[[str], Path], tmp_path: Path) -> None:
    path, output = write(f"y,x,t\n{ROWS}"), tmp_path / "fit.json"
    options = ["--reference", "t=b", "--reference", "x=3", "--output", str(output)]
    assert main(["clmm", str(path), "y ~ t + x", *options]) == 0
    held = json.loads(output.read_text())
    assert list(held["coefficients"]) == ["t[a]", "x[0]", "x[1]", "x[2]", "x[4]", "x[5]", "x[6]"]
    assert held["reference"] == {"t": "b", "x": "3"}


def test_a_level_name_with_an_equals_sign_can_be_the_reference(write: Callable[[str], Path], tmp_path: Path) -> None:
    path, output = write("y,x,t\n" + ROWS.replace("a", "=CMD()")), tmp_path / "fit.json"
    assert main(["clmm", str(path), "y ~ t", "--reference", "t==CMD()", "--output", str(output)]) == 0
    assert list(json.loads(output.read_text())["coefficients"]) == ["t[b]"]


def test_a_fit_that_did_not_converge_is_written_but_is_no_success(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = "".join(f"{1 + row % 3},{row % 3}\n" for row in range(60))
    path, output = write(f"y,g\n{constant}"), tmp_path / "fit.json"
    assert main(["clmm", str(path), "y ~ (1|g)", "--output", str(output)]) == 1
    assert "NOT CONVERGED" in capsys.readouterr().out
    assert json.loads(output.read_text())["converged"] is False


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (f"y,x,t\n{ROWS}", ["y ~ z"], "{path}: columns: unknown 'z'; allowed: y, x, t"),
        (ROWS, ["y ~ x"], "{path}: no column 'y'; its first line looks like a row of values, not a header"),
        (f"y,x,x\n{ROWS}", ["y ~ x"], "{path}: two columns are called 'x'; give one of them another name"),
        (f"y,x, x\n{ROWS}", ["y ~ x"], "{path}: two columns are called 'x'; give one of them another name"),
        ("y,x,t\n", ["y ~ x + t + (1|t)"], "{path}: the table has no rows"),
        ("", ["y ~ x"], "{path}: empty; expected a header with y, x"),
        (f"y,x,t\n{ROWS}inf,1,a\n", ["y ~ x"], "{path}: y, row 62: inf is not a finite number"),
        (f"y,x,t\n{ROWS}1e999,1,a\n", ["y ~ x"], "{path}: y, row 62: inf is not a finite number"),
        (f"y,x,t\n{ROWS}good,1,a\n", ["y ~ x"], "{path}: y, row 62: 'good' is not a number, and texts have no order"),
        (
            f"y,x,t\ngood,1,a\n{ROWS}bad,1,a\n1%,1,a\n",
            ["y ~ x"],
            "{path}: y, row 2: 'good' is not a number, and texts have no order; the same in rows 63 to 64",
        ),
        (f"y,x,t\n{ROWS}", ["y ~ t", "--reference", "t"], "--reference 't': expected COLUMN=LEVEL"),
        (f"y,x,t\n{ROWS}", ["y ~ t", "--reference", "t=c"], "{path}: reference t: unknown 'c'; allowed: a, b"),
    ],
)
def test_wrong_input_is_one_line_on_standard_error(
    write: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    content: str,
    arguments: list[str],
    message: str,
) -> None:
    path = write(content)
    assert main(["clmm", str(path), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"pluralign: {message.format(path=path)}\n"
    assert printed.out == ""


def test_a_missing_file_is_one_line_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clmm", str(tmp_path / "nope.csv"), "y ~ x"]) == 2
    assert capsys.readouterr().err == f"pluralign: {tmp_path / 'nope.csv'}: No such file or directory\n"


def test_a_number_column_with_a_stray_text_is_said_to_be_a_factor() -> None:
    table = pd.DataFrame({"y": [1, 2, 3, 1, 2, 3] * 5, "x": ["1", "2", "2", "1", "1", "2,5"] * 5})
    assert "x is taken as a factor: row 6 has '2,5'" in clmm("y ~ x", table).notes
    assert not any("taken as a factor" in note for note in clmm("y ~ C(x)", table).notes)


def test_a_column_that_varies_little_around_a_large_mean_is_not_aliased() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(200)
    y = 1 + (x + 0.5 * rng.normal(size=200) > 0.5)
    near, far = clmm("y ~ x", pd.DataFrame({"y": y, "x": x})), clmm("y ~ x", pd.DataFrame({"y": y, "x": 1.6e9 + x}))
    assert far.aliased == ()
    # 1.6e9 leaves 2e-7 of a number between 0 and 1
    assert far.coefficients["estimate"].iloc[0] == pytest.approx(near.coefficients["estimate"].iloc[0], rel=1e-4)


def test_an_output_that_can_be_no_file_is_refused_before_the_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wine.csv").write_text("y,x\n1,1\n2,2\n")
    for output in (tmp_path, tmp_path / "wine.csv" / "fit.json"):
        assert main(["clmm", str(tmp_path / "wine.csv"), "y ~ x", "--output", str(output)]) == 2
        assert capsys.readouterr().err == f"pluralign: --output {output}: not a place for a file\n"
