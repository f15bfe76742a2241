"""Models by formula: `rating ~ temp + contact + (1|judge)`, on any table.

The random terms are split off first, formulaic does the rest. Columns are looked up by name and nothing is evaluated,
so that a formula or a table can't run code; a name with other than letters, digits, _ and . stands in `backticks` (and
may hold no |).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import InputError, one_of
from tasks.ratings.reading.delimited import ROW, as_numbers, is_missing, read_delimited, refuse, shown, spans
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.source import by_text
from tasks.survey.clmm.model import fit
from tasks.survey.clmm.result import Fit

RANDOM = re.compile(r"\(([^()|]*)\|([^()|]*)\)")
FACTOR = re.compile(r"\b(?:C|factor)\(\s*(`[^`]+`|[\w.]+)\s*\)")
POWER = re.compile(r"(?:\*\*|\^)\s*(\d+)")
MOST_POWER = 9
"""Interactions of more columns than this can't be read by anybody, and take formulaic hours to spell out."""
LARGEST_WHOLE = 2**53
"""Beyond it not every whole number is a float."""
LEVEL, CODED = "\ue000{}", re.compile(r"\[(?:T\.)?\ue000(\d+)\]")
"""A level's number as formulaic sees it, and its place in a term; the character is of no language."""
MOST_LEVELS = 500
"""Of a fixed effect; whoever has more means a random one."""


@dataclass(frozen=True)
class Formula:
    """A formula's parts: the response, the fixed terms as text, their columns, those to take as factors, the groups."""

    response: str
    fixed: str
    columns: tuple[str, ...]
    factors: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def used(self) -> list[str]:
        return list(dict.fromkeys([self.response, *self.columns, *self.groups]))


def clmm(formula: str, data: pd.DataFrame, reference: Mapping[str, str] | None = None) -> Fit:
    """Fit `formula` to the rows of `data`.

    Text columns, `C(column)` and columns with a reference are factors, coded against their reference level (by default
    the first in sorted order; that of a categorical column is its own first); terms are called `column[level]`. Other
    columns are numbers. Blanks around a text don't count. Rows with a missing value are left out and counted; rows are
    called by the table's index where it has the lines of a file, else counted from 1.

    Raises:
        InputError: a formula that can't be read, an unknown column or level, a response that is no number, a factor or
            group with one level; and what `model.fit` raises.
    """
    parts = parse(formula)
    for column in parts.used:
        if column not in data.columns:
            raise one_of("formula: column", column, [str(name) for name in data.columns])
        if list(data.columns).count(column) > 1:
            raise InputError(f"formula: {column}: several columns of the table have this name")
    levels = {column: level.strip() for column, level in (reference or {}).items()}
    rows, dropped = _complete(_numbered(data[parts.used]))
    rows, trimmed = _trimmed(rows)
    ratings = _numbers(rows, parts.response)
    table = _coded(rows, parts, levels)
    dropped += [*trimmed, *_almost_numbers(rows, parts, levels)]
    result = fit(ratings.to_numpy(), _matrix(parts, table), {name: rows[name] for name in parts.groups})
    return replace(result, left_out=len(data) - len(rows), notes=(*dropped, *result.notes))


def parse(formula: str) -> Formula:
    """Split a formula; see the module.

    Raises:
        InputError: where it can't be read, or asks for more than columns, + : * and random intercepts.
    """
    response, tilde, right = formula.partition("~")
    response = _name(response)
    if not tilde or not response:
        raise InputError(f"formula {visible(formula)!r}: expected RATING ~ TERM + … + (1|GROUP)")
    groups = []
    for match in RANDOM.finditer(right):
        slope, group = match.groups()
        before, after = right[: match.start()].strip()[-1:], right[match.end() :].strip()[:1]
        if before not in ("", "+") or after not in ("", "+", "-"):
            raise InputError(f"formula: {match[0]}: a random intercept is added to the rest, … + (1|GROUP)")
        if slope.strip() != "1" or not re.fullmatch(r"\s*(`[^`]+`|[\w.]+)\s*", group):
            raise InputError(f"formula: ({slope}|{group}): only random intercepts of one column, (1|GROUP), are known")
        groups.append(_name(group))
    if len(set(groups)) < len(groups):
        raise InputError(f"formula: a group stands twice: {', '.join(groups)}")
    fixed, factors = RANDOM.sub("0", right), [_name(name) for name in FACTOR.findall(right)]
    if "|" in fixed:
        raise InputError(f"formula {visible(formula)!r}: a random intercept is written (1|GROUP)")
    _check_powers(fixed)
    fixed = f"({FACTOR.sub(lambda match: match[1], fixed)}) + 1"
    columns = _columns(formula, fixed)
    if response in (*columns, *groups):
        raise InputError(f"formula: {response} stands on both sides")
    if "Intercept" in columns:
        raise InputError("formula: Intercept is what the constant is called; give the column another name")
    return Formula(response, fixed, columns, tuple(factors), tuple(groups))


def _check_powers(fixed: str) -> None:
    for power in POWER.findall(fixed):
        if len(power) > 1 or int(power) > MOST_POWER:
            raise InputError(f"formula: a power of {power[:10]}: at most {MOST_POWER}")


def _name(text: str) -> str:
    return text.strip().strip("`")


def _columns(formula: str, fixed: str) -> tuple[str, ...]:
    import formulaic

    if re.search(r"(?<![\w.])\.(?![\w.])", fixed):
        raise InputError(f"formula {visible(formula)!r}: . is not known; name each column")
    try:
        terms = list(formulaic.Formula(fixed))
        factors = [factor for term in terms for factor in term.factors]
    except (formulaic.errors.FormulaicError, SyntaxError) as error:
        raise InputError(f"formula {visible(formula)!r}: {visible(str(error).splitlines()[0])}") from None
    except Exception:  # the library raises what it happens to meet where an operator has no term
        raise InputError(f"formula {visible(formula)!r}: can't be read; write it as TERM + TERM:TERM") from None
    for factor in factors:
        if factor.eval_method.value not in ("lookup", "literal"):
            raise InputError(f"formula: {factor.expr!r} is not a column; make one of it first (C(column) is known)")
        if factor.eval_method.value == "literal" and factor.expr != "1":
            raise InputError(f"formula: {factor.expr!r} is not a column")
    return tuple(dict.fromkeys(factor.expr for factor in factors if factor.eval_method.value == "lookup"))


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A delimited file with one header line, which has `columns`, indexed by line (see `delimited`).

    Columns are numbers, truth values or texts; empty cells, NA, N/A, null, None, - and their like are missing.

    Raises:
        InputError: what `read_delimited` raises; lines longer than the header or not UTF-8, all of them.
    """
    source = read_delimited(path, columns)
    refuse(path, source.faults)
    frame = source.frame
    typed = [_typed(frame.iloc[:, place], source.decimal_comma) for place in range(frame.shape[1])]
    return pd.concat(typed, axis=1) if typed else frame


def _typed(texts: pd.Series, decimal_comma: bool) -> pd.Series:
    """A column as numbers or as truth values where all of its cells are, else as it stands; missing ones as NaN.

    Whole numbers that a float can't hold stay texts, so that ids stay different.
    """
    present = ~pd.Series(by_text(texts, is_missing), index=texts.index, dtype=bool)
    numbers = as_numbers(texts, decimal_comma)
    among_numbers = present & (texts.str.strip().str.casefold() != "none")
    if among_numbers.any() and numbers[among_numbers].notna().all():
        whole = texts[among_numbers].str.strip().str.fullmatch(r"[+-]?\d+").all()
        if whole and numbers.abs().max() > LARGEST_WHOLE:
            return texts.str.strip().where(among_numbers)
        return numbers.astype("int64") if whole and among_numbers.all() else numbers
    truths = texts.str.strip().str.casefold()
    if present.any() and truths[present].isin(("true", "false")).all():
        return (truths == "true") if present.all() else (truths == "true").astype(object).where(present, np.nan)
    return texts.where(present)


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows by their line where the index says so, else by their place from 1."""
    return rows if rows.index.name == ROW else rows.set_axis(pd.RangeIndex(1, len(rows) + 1, name=ROW))


def _complete(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows without a missing value, and a sentence on the others if there are any."""
    if rows.empty:
        raise InputError("the table has no rows")
    missing = rows.isna()
    bad = missing.any(axis=1)
    if not bad.any():
        return rows, []
    counts = ", ".join(f"{column} {int(n)}" for column, n in missing.sum().items() if n)
    if bad.all():
        raise InputError(f"every row has a missing value ({counts})")
    first = rows.index[int(bad.to_numpy().argmax())]
    note = f"left out {int(bad.sum())} of {len(rows)} rows with a missing value ({counts}; first: row {first})"
    return rows[~bad], [note]


def _trimmed(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows without blanks around texts, and a sentence on each column where labels differ by these only."""
    plain, notes = {}, []
    for column, values in rows.items():
        if pd.api.types.is_numeric_dtype(values) or isinstance(values.dtype, pd.CategoricalDtype):
            plain[column] = values
            continue
        plain[column] = values.map(lambda value: value.strip() if isinstance(value, str) else value)
        if plain[column].nunique() < values.nunique():
            row = values.index[int((plain[column] != values).to_numpy().argmax())]
            notes.append(f"{column}: blanks around a label don't count (first: row {row}, {shown(plain[column][row])})")
    return pd.DataFrame(plain, index=rows.index), notes


def _numbers(rows: pd.DataFrame, column: str) -> pd.Series:
    """A column as numbers; an ordered categorical by its codes."""
    values = rows[column]
    if isinstance(values.dtype, pd.CategoricalDtype) and values.dtype.ordered:
        return values.cat.codes.astype(float)
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    if numbers.isna().any():
        bad = values[numbers.isna().to_numpy()]
        others = f"; the same in {spans(bad.index[1:])}" if len(bad) > 1 else ""
        place = f"{column}, row {bad.index[0]}"
        raise InputError(f"{place}: {shown(bad.iloc[0])} is not a number, and texts have no order{others}")
    return _finite(numbers, column)


def _finite(numbers: pd.Series, column: str) -> pd.Series:
    bad = numbers[np.isinf(numbers.to_numpy())]
    if len(bad):
        others = f"; the same in {spans(bad.index[1:])}" if len(bad) > 1 else ""
        raise InputError(f"{column}, row {bad.index[0]}: {bad.iloc[0]} is not a finite number{others}")
    return numbers


def _coded(rows: pd.DataFrame, parts: Formula, reference: Mapping[str, str]) -> pd.DataFrame:
    """The fixed columns: factors as categories with the reference first, the rest as numbers."""
    for column in reference:
        if column not in parts.columns:
            raise one_of("reference", column, parts.columns)
    table: dict[str, Any] = {}
    for column in parts.columns:
        values = rows[column]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if not is_number or column in reference or column in parts.factors:
            table[column] = _factor(values, column, reference.get(column))
        elif values.nunique() < 2:
            raise InputError(f"{column}: all {len(values)} rows have {values.iloc[0]}; drop it from the formula")
        else:
            table[column] = _finite(values.astype(float), column)
    return pd.DataFrame(table, index=rows.index)


def _almost_numbers(rows: pd.DataFrame, parts: Formula, reference: Mapping[str, str]) -> list[str]:
    """A sentence on every column that is a factor only because a few of its cells are no numbers."""
    notes = []
    for column in set(parts.columns) - set(parts.factors) - set(reference):
        values = rows[column]
        if pd.api.types.is_numeric_dtype(values) or isinstance(values.dtype, pd.CategoricalDtype):
            continue
        wrong = pd.to_numeric(values, errors="coerce").isna().to_numpy()
        if 0 < wrong.sum() < len(rows) / 2:
            row = int(wrong.argmax())
            notes.append(f"{column} is taken as a factor: row {rows.index[row]} has {shown(values.iloc[row])}")
    return notes


def _factor(values: pd.Series, column: str, first: str | None) -> pd.Categorical:
    if isinstance(values.dtype, pd.CategoricalDtype):
        different = list(values.cat.remove_unused_categories().cat.categories)
    else:
        different = sorted(values.unique(), key=lambda level: (isinstance(level, str), level))
    names = {level: _level_name(level) for level in different}
    levels = list(dict.fromkeys(names.values()))
    if len(levels) < 2:
        raise InputError(f"{column}: all {len(values)} rows have {levels[0]!r}; a factor needs two levels")
    if len(levels) > MOST_LEVELS:
        most = f"at most {MOST_LEVELS} as a fixed effect"
        raise InputError(f"{column}: {len(levels)} levels, {most}; (1|{column}) is the random one")
    if first is not None and first not in levels:
        raise one_of(f"reference {column}", first, levels)
    ordered = [first, *(level for level in levels if level != first)] if first is not None else levels
    return pd.Categorical(values.astype(object).map(names), categories=ordered)


def _level_name(level: object) -> str:
    """As in a file: a column of whole numbers has 1, not 1.0, also where missing cells made it one of floats."""
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def _matrix(parts: Formula, table: pd.DataFrame) -> pd.DataFrame:
    """Treatment-coded columns without the intercept, which the thresholds are.

    formulaic drops levels whose name begins with two underscores, so it gets to see each level's number only.
    """
    import formulaic

    if not parts.columns:
        return pd.DataFrame(index=table.index)
    levels: list[str] = []
    numbered = {}
    for column, values in table.items():
        if isinstance(values.dtype, pd.CategoricalDtype):
            names = list(values.cat.categories)
            values = values.cat.rename_categories([LEVEL.format(len(levels) + place) for place in range(len(names))])
            levels += names
        numbered[column] = values
    matrix = pd.DataFrame(formulaic.model_matrix(parts.fixed, pd.DataFrame(numbered), output="pandas")).astype(float)
    matrix = matrix.drop(columns="Intercept")
    return matrix.rename(columns=lambda name: CODED.sub(lambda match: f"[{levels[int(match[1])]}]", str(name)))
