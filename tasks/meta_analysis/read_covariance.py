"""Read the covariance of effects from a file; every fault is told with its row and column, all of a file at once.

Either a square matrix, whose header and first column name the effects, or long rows `a,b,covariance` (also
`architecture,other,covariance`, as a study writes them), each pair once or both ways round, with the columns of the
groups where several groups have an effect of the same name. The effects are those of `read_effects`, by its names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.codebook import tidy
from configs.errors import InputError
from tasks.meta_analysis.correlated import ASYMMETRY, SINGULAR, smallest_eigenvalue
from tasks.meta_analysis.heterogeneity import Array
from tasks.meta_analysis.read_effects import NAME
from tasks.ratings.reading.delimited import Delimited, Fault, as_numbers, is_missing, read_delimited, refuse, shown

VALUE = "covariance"
PAIRS = (("a", "b"), ("architecture", "other"))
"""What the columns of the two effects may be called in long rows."""
AS_PRINTED = 1e-3
"""Share by which a variance may differ from the square of the standard error: both may be rounded."""
Positions = dict[tuple[str, ...], int]
"""The names of an effect's group and its own → its position in the table of effects."""


class Covariances(NamedTuple):
    """The covariance of the effects of each group, in their order, and what a reader should know of them."""

    matrices: list[Array]
    notes: list[str]


def read_covariance(path: Path, effects: pd.DataFrame, by: Sequence[str], members: Sequence[np.ndarray]) -> Covariances:
    """The covariances of `effects` (a table of `read_effects`) from a file; `members` are the positions of each group.

    Variances are the squares of the effects' standard errors; the file's must agree but for rounding, and its
    correlations count. A pair that long rows lack is uncorrelated.

    Raises:
        InputError: the file can't be read; it has no columns of long rows and is no square matrix; an effect is
            unknown, missing or there twice; a covariance is missing, no number, not symmetric, beyond what the standard
            errors allow, or a variance not the square of one; a group's covariance is not positive definite.
    """
    source = read_delimited(path, [])
    pair = next((pair for pair in PAIRS if {*pair, VALUE} <= {*source.frame}), None)
    names = [tuple(map(tidy, row)) for row in effects[[*by, NAME]].itertuples(index=False, name=None)]
    alone = len({name[-1] for name in names}) == len(names)
    if pair:
        keys = list(by) if {*by} & {*source.frame} or not alone else []
        source = read_delimited(path, [*keys, *pair, VALUE])
        cells, faults = _long(source, keys, pair, _positions(names, len(keys)))
    elif alone:
        cells, faults = _square(source, _positions(names, 0))
    else:
        raise InputError(
            f"{path}: several groups have an effect of the same name, which a matrix can't tell apart; "
            f"give rows with the columns {', '.join([*by, *PAIRS[0], VALUE])}"
        )
    errors = effects["std_error"].to_numpy(float)
    cells["number"] = as_numbers(cells["text"], source.decimal_comma)
    faults += [*_numbers(cells), *_repeated(cells), *_sizes(cells, errors)]
    refuse(path, [*source.faults, *faults])
    matrices, missing = _matrices(cells, errors, members)
    refuse(path, _singular(matrices, members, cells, effects, by))
    notes = [f"{missing} pairs of effects are not in {path}: they are taken as uncorrelated"] if missing else []
    return Covariances(matrices, notes)


def _positions(names: Sequence[tuple[str, ...]], keys: int) -> Positions:
    """By as many names of groups as the file has, and the name of the effect."""
    return {(*name[:keys], name[-1]): position for position, name in enumerate(names)}


# ---- the two forms: cells with row, column, a and b (positions of effects) and text


def _long(
    source: Delimited, keys: list[str], pair: tuple[str, str], known: Positions
) -> tuple[pd.DataFrame, list[Fault]]:
    texts = source.frame[[*keys, *pair, VALUE]].map(tidy)
    rows, faults, named = [], [], set()
    for row, *group, a, b, text in texts.itertuples(name=None):
        places = [known.get((*group, name)) for name in (a, b)]
        faults += [
            Fault(row, column, f"no effect is called {shown(' / '.join([*group, name]))}")
            for column, name, place in zip(pair, (a, b), places, strict=True)
            if place is None
        ]
        named |= {place for place in places if place is not None}
        if None not in places:
            rows.append((row, VALUE, *places, text))
    lacking = [" / ".join(name) for name, place in known.items() if place not in named]
    faults += [Fault(source.header, "", f"no row of {shown(name)}") for name in lacking]
    return pd.DataFrame(rows, columns=["row", "column", "a", "b", "text"]), faults


def _square(source: Delimited, known: Positions) -> tuple[pd.DataFrame, list[Fault]]:
    frame = source.frame
    across = [tidy(name) for name in frame.columns[1:]]
    down = [tidy(name) for name in frame.iloc[:, 0]] if frame.shape[1] else []
    if not {(name,) for name in across} & known.keys():
        allowed = f"{', '.join(PAIRS[0])}, {VALUE}, nor effects as a matrix"
        raise InputError(f"{source.path}: its header names neither the columns {allowed}")
    faults = [
        *_names(known, source.header, [(source.header, name, name) for name in across], "column"),
        *_names(known, source.header, [(row, "", name) for row, name in zip(frame.index, down, strict=True)], "row"),
    ]
    rows = [
        (row, across[j], known[a,], known[b,], frame.iat[i, j + 1])
        for i, (row, a) in enumerate(zip(frame.index, down, strict=True))
        for j, b in enumerate(across)
        if (a,) in known and (b,) in known
    ]
    return pd.DataFrame(rows, columns=["row", "column", "a", "b", "text"]), faults


def _names(known: Positions, header: int, given: Sequence[tuple[int, str, str]], what: str) -> Iterator[Fault]:
    """Faults of the names of a matrix's rows or columns, given with their places; those missing are the header's."""
    seen: set[str] = set()
    for row, column, name in given:
        if (name,) not in known:
            yield Fault(row, column, f"no effect is called {shown(name)}")
        elif name in seen:
            yield Fault(row, column, f"a second {what} of {shown(name)}")
        seen.add(name)
    for (name,) in known:
        if name not in seen:
            yield Fault(header, "", f"no {what} of {shown(name)}")


# ---- faults


def _numbers(cells: pd.DataFrame) -> Iterator[Fault]:
    for cell in cells[~np.isfinite(cells["number"])].itertuples():
        if is_missing(cell.text):
            yield Fault(cell.row, cell.column, "missing")
        else:
            yield Fault(cell.row, cell.column, f"not a finite number: {shown(cell.text)}")


def _repeated(cells: pd.DataFrame) -> Iterator[Fault]:
    """Pairs in long rows that are there twice the same way round; a matrix tells it by its names."""
    again = cells[cells.duplicated(["a", "b"]) & (cells["column"] == VALUE)]
    for cell in again.itertuples():
        yield Fault(cell.row, cell.column, "a second value of these two effects")


def _sizes(cells: pd.DataFrame, errors: Array) -> Iterator[Fault]:
    """Variances and covariances that do not go with the standard errors, or not with each other."""
    numbers = cells[np.isfinite(cells["number"])]
    both = errors[numbers["a"].to_numpy(int)] * errors[numbers["b"].to_numpy(int)]
    r = numbers["number"].to_numpy(float) / both
    same = (numbers["a"] == numbers["b"]).to_numpy()
    first = dict(zip(zip(numbers["a"], numbers["b"], strict=True), r, strict=True))
    for cell, product, share, own in zip(numbers.itertuples(), both, r, same, strict=True):
        if own and abs(share - 1) > AS_PRINTED:
            yield Fault(cell.row, cell.column, f"{cell.number:g} is not the effect's std_error², {product:g}")
        elif abs(share) > 1 + AS_PRINTED:
            yield Fault(cell.row, cell.column, f"{cell.number:g} is beyond the standard errors' product, {product:g}")
        elif abs(share - first.get((cell.b, cell.a), share)) > ASYMMETRY and cell.a > cell.b:
            other = first[cell.b, cell.a] * product
            yield Fault(cell.row, cell.column, f"{cell.number:g}, and {other:g} the other way round: not symmetric")


def _matrices(cells: pd.DataFrame, errors: Array, members: Sequence[np.ndarray]) -> tuple[list[Array], int]:
    """The covariance of each group, and how many pairs within groups have no value."""
    values = {frozenset((cell.a, cell.b)): cell.number for cell in cells.itertuples()}
    matrices, missing = [], 0
    for group in members:
        matrix = np.diag(errors[group] ** 2)
        for i, j in zip(*np.triu_indices(len(group), 1), strict=True):
            value = values.get(frozenset((group[i], group[j])))
            missing += value is None
            matrix[i, j] = matrix[j, i] = value or 0.0
        matrices.append(matrix)
    return matrices, missing


def _singular(
    matrices: Sequence[Array],
    members: Sequence[np.ndarray],
    cells: pd.DataFrame,
    effects: pd.DataFrame,
    by: Sequence[str],
) -> list[Fault]:
    """Groups whose covariance is not positive definite, by the row where one of their effects is first named."""
    faults = []
    for matrix, group in zip(matrices, members, strict=True):
        errors = np.sqrt(np.diagonal(matrix))
        smallest = smallest_eigenvalue(matrix / errors[:, None] / errors)
        if smallest <= SINGULAR:
            name = " / ".join(effects.iloc[group[0]][list(by)])
            of = f" of {name}" if name else ""
            row = int(cells.loc[cells["a"].isin(group), "row"].min())
            what = f"the covariance{of} is not positive definite: its correlations have an eigenvalue of {smallest:.2g}"
            faults.append(Fault(row, "", what))
    return faults
