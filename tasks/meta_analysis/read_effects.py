"""Read any table of effects to pool; every fault is told with its row and column, all of a file at once."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.codebook import tidy
from configs.errors import InputError
from tasks.meta_analysis.beside import BESIDE
from tasks.meta_analysis.pooling import LARGEST, MORE, SMALLEST, STATISTICS
from tasks.ratings.reading.delimited import Fault, as_numbers, is_missing, read_delimited, refuse, shown

WELL_KNOWN = {
    "--estimate": ("estimate", "yi", "te", "effect", "effect_size", "es"),
    "--std-error": ("std_error", "sei", "sete", "se", "std.error", "stderr", "standard_error"),
    "--variance": ("variance", "vi", "var"),
}
"""What other tools call such a column (metafor yi, vi and sei; R's meta TE and seTE; broom std.error), in small
letters."""
STUDY_COLUMNS = ("architecture", "study", "label")
"""The column that names a row, if the table has one of them."""
NAME, WITHOUT = "name of the effect", "without"
"""What names a row here, and in the table where each is left out."""
SHARED, WEIGHT = "what effects share", "share of the weight"
"""What a row has in common with others, and its share in the pool where that is not as its own error says."""
TAKEN = (*STATISTICS, *MORE, "p_holm", "hksj_p_holm", *BESIDE, WITHOUT, NAME, SHARED, WEIGHT)
"""Columns of the results, so that none of them can name a group."""


@dataclass(frozen=True)
class EffectColumns:
    """Which columns of a table hold its effects, as a user says it.

    std_error, variance: one of them, by default the standard error in `std_error`. label: what names an effect; by
    default the first of `STUDY_COLUMNS` that the table has.

    Raises:
        InputError: both a standard error and a variance, or one column for two numbers.
    """

    estimate: str = "estimate"
    std_error: str | None = None
    variance: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.std_error is not None and self.variance is not None:
            raise InputError("--std-error, --variance: one of them, since each says how sure an effect is")
        if tidy(self.estimate) == tidy(self.error):
            raise InputError(f"--estimate {self.estimate}: the same column as its error")

    @property
    def error(self) -> str:
        """The column that says how sure an effect is."""
        return self.variance or self.std_error or "std_error"

    def advice(self, names: Sequence[str]) -> str:
        """Which options to type for a table of these columns, where those that are wanted have well-known names."""
        known = {name.casefold(): name for name in reversed(names)}
        options = [] if self.estimate in names else ["--estimate"]
        options += [] if self.error in names else ["--std-error", "--variance"]
        found = {option: known[name] for option in options for name in reversed(WELL_KNOWN[option]) if name in known}
        if "--std-error" in found:
            found.pop("--variance", None)
        typed = " ".join(f"{option} {shlex.quote(name)}" for option, name in found.items())
        return f"; try {typed}" if typed else ""


AS_WRITTEN = EffectColumns()


class NamedEffects(NamedTuple):
    """The columns of `by`, `NAME`, estimate and std_error, and `SHARED` if asked for, indexed by line, and what a
    reader should know of them."""

    table: pd.DataFrame
    notes: list[str]


def read_effects(
    path: Path, by: Sequence[str], shares: str | None = None, columns: EffectColumns = AS_WRITTEN
) -> NamedEffects:
    """The effects of a file, each by its name; one without a name is `row N`. std_error = √variance.

    Blanks around the names of groups and effects don't count. shares: the column that says what a row has in common
    with others; where it is missing, with none.

    Raises:
        InputError: the file can't be read or has no row; a column is missing or stands twice; a number is missing, not
            one, not finite or beyond what can be pooled; a standard error or variance is not above 0; a group is empty;
            a row names the same effect as one before; `by` has a column twice, or one that the results have too;
            `shares` is one of the numbers; the names are those of the groups.
    """
    _check_by(by, columns)
    if shares in (columns.estimate, columns.error):
        raise InputError(f"--shares {shares}: a number, not what effects share")
    named = [column for column in (shares, columns.label) if column]
    wanted = dict.fromkeys([*by, *named, columns.estimate, columns.error])
    source = read_delimited(path, list(wanted), () if columns.label else STUDY_COLUMNS, columns.advice)
    if source.frame.empty and not source.faults:
        raise InputError(f"{path}: no row below the header")
    texts = source.frame.apply(lambda column: column.str.strip())
    naming = columns.label or next((name for name in STUDY_COLUMNS if name in texts and name not in by), None)
    estimates, errors = (as_numbers(texts[name], source.decimal_comma) for name in (columns.estimate, columns.error))
    smallest, largest = (SMALLEST**2, LARGEST**2) if columns.variance else (SMALLEST, LARGEST)
    bad = [
        *_bad_estimates(texts[columns.estimate], estimates),
        *_bad_errors(texts[columns.error], errors, smallest, largest),
    ]
    named_effects = texts[list(by)].assign(**{NAME: _names(texts, naming)})
    refuse(path, [*source.faults, *_empty_groups(texts, by), *bad, *_repeated(named_effects, naming)])
    std_errors = np.sqrt(errors) if columns.variance else errors
    table = named_effects.assign(estimate=estimates, std_error=std_errors)
    notes = _blanks(source.frame[list(by)], table)
    if shares:
        table[SHARED] = ["" if is_missing(text) else text for text in texts[shares]]
        alone = int((table[SHARED] == "").sum())
        notes += [f"{shares} is missing in {alone} of {len(table)} rows, which share it with none"] if alone else []
    return NamedEffects(table, notes)


def _check_by(by: Sequence[str], columns: EffectColumns) -> None:
    for number, column in enumerate(by):
        if column in by[:number]:
            raise InputError(f"--by {column}: named twice")
        if column in (columns.estimate, columns.error):
            raise InputError(f"--by {column}: a number, not a group")
        if column == columns.label:
            raise InputError(f"--label {column}: --by names it, so that all effects of a group would have one name")
        if column in TAKEN:
            raise InputError(f"--by {column}: the results have a column of this name; give the table's another one")


def _names(texts: pd.DataFrame, naming: str | None) -> list[str]:
    """What each row is called; a row without a name is `row N`."""
    own = texts[naming] if naming else pd.Series("", index=texts.index)
    return [f"row {row}" if is_missing(name) else name for row, name in own.items()]


# ---- faults and notes


def _empty_groups(texts: pd.DataFrame, by: Sequence[str]) -> Iterator[Fault]:
    for column in by:
        for row, text in texts[column].items():
            if is_missing(text):
                what = f"missing ({shown(text)})" if text else "empty"
                yield Fault(row, column, f"{what}, and it says to which group the row belongs")


Rules = Sequence[tuple[Callable[[float], bool], str]]
"""When a number can't be used, and what is said of it."""
NO_NUMBER: Rules = ((np.isnan, "not a number: {text}"), (np.isinf, "must be finite, got {number}"))


def _bad_estimates(texts: pd.Series, numbers: pd.Series) -> Iterator[Fault]:
    beyond = f"must be from -{LARGEST} to {LARGEST}, got {{number}}"
    return _broken(texts, numbers, [*NO_NUMBER, (lambda number: abs(number) > LARGEST, beyond)])


def _bad_errors(texts: pd.Series, numbers: pd.Series, smallest: float, largest: float) -> Iterator[Fault]:
    beyond = f"must be from {smallest:g} to {largest:g}, got {{number}}"
    rules = [
        *NO_NUMBER,
        (lambda number: number <= 0, "must be above 0, got {number:g}"),
        (lambda number: not smallest <= number <= largest, beyond),
    ]
    return _broken(texts, numbers, rules)


def _broken(texts: pd.Series, numbers: pd.Series, rules: Rules) -> Iterator[Fault]:
    for row, text, number in zip(texts.index, texts, numbers, strict=True):
        if is_missing(text) or text.casefold() == "none":
            yield Fault(row, str(texts.name), "missing; leave the row out if it has no effect")
            continue
        broken = next((why for rule, why in rules if rule(number)), None)
        if broken:
            yield Fault(row, str(texts.name), broken.format(text=shown(text), number=number))


def _repeated(named: pd.DataFrame, naming: str | None) -> Iterator[Fault]:
    for row, name in named.loc[named.duplicated(), NAME].items():
        yield Fault(row, naming or "", f"{shown(name)} has an effect in this group already")


def _blanks(raw: pd.DataFrame, texts: pd.DataFrame) -> list[str]:
    """A sentence on each column whose groups differ by blanks only."""
    notes = []
    for column in raw:
        if raw[column].nunique() > texts[column].nunique():
            rows = raw.index[raw[column] != texts[column]]
            notes.append(f"{column}: blanks around a group's name don't count, first in row {rows[0]}")
    return notes
