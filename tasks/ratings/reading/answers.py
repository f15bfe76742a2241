"""The ratings of one codebook's export: labels to categories, and which of a participant's answers count.

An answer is a cell: who, what, dimension, category. A wide row holds one a dimension, a long row one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from configs.codebook import Codebook, RatingsTable
from tasks.ratings.reading.columns import (
    IGNORED,
    OF_A_SIBLING,
    ROW_LEVEL,
    allowed,
    allowed_labels,
    broken_rules,
    dimension_reader,
    label_reader,
    ratings_rules,
)
from tasks.ratings.reading.comparisons import sides_of
from tasks.ratings.reading.rejected import entries
from tasks.ratings.reading.shape import Places
from tasks.ratings.reading.source import Source, by_text, empty_cells
from tasks.ratings.reading.table_result import (
    Rename,
    TableResult,
    first_like,
    lost,
    names_of_first,
    renamed,
    table_result,
    tidied,
)

NO_ANSWER_AT_ALL = "no answer on any dimension"
REPEATED = "rated twice alike"
LEFT_BEHIND = "about a dimension that the codebook ignores"
CONFLICTING = "rated twice with different values (the first counts)"
UNKNOWN_RESPONSE, REJECTED_RESPONSE = "unknown response", "rating of a rejected response"


@dataclass(frozen=True)
class References:
    """The responses that a rating may name; `rejected`: those of the export that can't be used."""

    responses: Collection[str]
    rejected: Collection[str]


def usable_ratings(
    codebook: Codebook, source: Source, siblings: Sequence[Codebook], rename: Rename, references: References
) -> TableResult:
    """participant_id, response_id, one column a dimension (Int64), in the order of the file."""
    table = codebook.ratings
    ignored = _ignored(table, source.frame)
    blank = _blank(table, source.frame) & ~ignored
    asked = source.frame[~ignored & ~blank]
    rules, details = ratings_rules(table, siblings), _details(table, siblings)
    broken = _one_reason_a_row(broken_rules(asked, rules, table.participant, details))
    frame = asked[~asked.index.isin(broken.loc[broken["reason"].isin(ROW_LEVEL), "row"])]
    who, what = renamed(frame[table.participant], rename), tidied(frame[table.rated])
    pairs = pd.factorize(who)[0].astype("int64") * what.nunique() + pd.factorize(what)[0]
    cells = _cells(table, frame, pairs)
    answered = frame.index.isin(cells["row"]) | frame.index.isin(broken["row"])
    ids = {column: tidied(frame[column])[answered] for column in sides_of(table)}
    strange = _strange(codebook, ids, references)
    broken, cells = (rows[~rows["row"].isin(strange["row"])] for rows in (broken, cells))
    first = first_like(cells["pair"].to_numpy() * len(table.dimensions) + cells["dimension"].to_numpy())
    own = first == np.arange(len(cells))
    alike = cells["category"].to_numpy() == cells["category"].to_numpy()[first]
    return table_result(
        source,
        _wide(table, cells[own], who, what),
        kept=cells.loc[own, "row"],
        rejected=[broken, strange, _conflicting(table, source.places, frame, cells, first, ~own & ~alike)],
        dropped=[
            lost(source.frame.index[ignored], LEFT_BEHIND),
            lost(source.frame.index[blank], NO_ANSWER_AT_ALL),
            lost(frame.index[~answered], NO_ANSWER_AT_ALL),
            lost(cells.loc[~own & alike, "row"], REPEATED),
        ],
    )


def _ignored(table: RatingsTable, frame: pd.DataFrame) -> np.ndarray:
    """Which rows are about a dimension that is left behind."""
    if table.dimension is None:
        return np.zeros(len(frame), dtype=bool)
    return np.array(by_text(frame[table.dimension], dimension_reader(table)), dtype=int) == IGNORED


def _blank(table: RatingsTable, frame: pd.DataFrame) -> np.ndarray:
    """Which rows name nobody or nothing that is rated, and hold no answer either: a turn that did not take place."""
    answers = [table.rating] if table.rating else list(table.dimensions.values())
    silent = empty_cells(frame[answers]).all(axis=1)
    return np.asarray(silent & empty_cells(frame[[table.participant, table.rated]]).any(axis=1))


def _details(table: RatingsTable, siblings: Sequence[Codebook]) -> dict[str, Callable[[str], str]]:
    """What to add about a text: what is allowed, and whose label it is where it is another questionnaire's."""
    label, others = label_reader(table, siblings), [(book, label_reader(book.ratings)) for book in siblings]

    def of_label(text: str) -> str:
        owners = [f"{book.name} ({book.language})" for book, theirs in others if theirs(text) > 0]
        known = f"known to {', '.join(owners)}; " if label(text) == OF_A_SIBLING else ""
        return f"{known}{allowed_labels(table)}"

    details: dict[str, Callable[[str], str]] = {
        column: lambda _, answer=answer: f"passes: {answer}"  # type: ignore[misc]
        for column, answer in table.attention.items()
    }
    if table.dimension and table.rating:
        return details | {table.dimension: lambda _: allowed(table.dimensions.values()), table.rating: of_label}
    return details | dict.fromkeys(table.dimensions.values(), of_label)


def _one_reason_a_row(broken: pd.DataFrame) -> pd.DataFrame:
    """Where a row fails as a whole, the first reason why and no other; elsewhere every cell that is at fault."""
    of_rows = broken[broken["reason"].isin(ROW_LEVEL)]
    of_rows = of_rows.iloc[np.argsort(of_rows["reason"].map(ROW_LEVEL.index), kind="stable")].drop_duplicates("row")
    return pd.concat([of_rows, broken[~broken["row"].isin(of_rows["row"])]])


def _cells(table: RatingsTable, frame: pd.DataFrame, pairs: np.ndarray) -> pd.DataFrame:
    """at (the row's place), row, pair, dimension (its place), category: every answer with a label of the codebook."""
    label = label_reader(table)
    if table.dimension and table.rating:
        dimensions = np.array(by_text(frame[table.dimension], dimension_reader(table)), dtype=int)
        labels = np.array(by_text(frame[table.rating], label), dtype=int)
        (at,) = np.nonzero(labels > 0)
        dimension, category = dimensions[at], labels[at]
    else:
        matrix = np.array([by_text(frame[column], label) for column in table.dimensions.values()], dtype=int).T
        at, dimension = np.nonzero(matrix > 0)
        category = matrix[at, dimension]
    turned = np.array([name in table.reversed for name in table.dimensions])[dimension]
    category = np.where(turned, table.categories + 1 - category, category)
    columns = {"at": at, "row": frame.index[at], "pair": pairs[at], "dimension": dimension, "category": category}
    return pd.DataFrame(columns)


def _strange(codebook: Codebook, ids: Mapping[str, pd.Series], references: References) -> pd.DataFrame:
    """Rows of which a response is unknown or can't be used; `ids`: column → the responses that it names."""
    no_text = f"{codebook.responses.file} does not hold it"
    parts = [entries([], "")]
    for column, what in ids.items():
        no_response = ~what.isin(references.responses)
        refused = no_response & what.isin(references.rejected)
        unknown = no_response & ~refused
        parts += [
            entries(what.index[refused], REJECTED_RESPONSE, column, what[refused]),
            entries(what.index[unknown], UNKNOWN_RESPONSE, column, what[unknown], no_text),
        ]
    return pd.concat(parts)


def _conflicting(
    table: RatingsTable, places: Places, frame: pd.DataFrame, cells: pd.DataFrame, first: np.ndarray, chosen: np.ndarray
) -> pd.DataFrame:
    """Answers that differ from the participant's first about the same."""
    columns = [table.rating] * len(table.dimensions) if table.rating else list(table.dimensions.values())
    details = names_of_first(places, pd.Index(cells["row"]), first, chosen)
    parts, conflicts = [], cells[chosen].assign(detail=details)
    for place, own in conflicts.groupby("dimension"):
        column = str(columns[int(place)])
        parts.append(entries(own["row"], CONFLICTING, column, frame[column].iloc[own["at"]], own["detail"]))
    return pd.concat([entries([], ""), *parts])


def _wide(table: RatingsTable, cells: pd.DataFrame, who: pd.Series, what: pd.Series) -> pd.DataFrame:
    """One row a participant and response, in the order of the first answer."""
    pair, _ = pd.factorize(cells["pair"])
    _, first = np.unique(pair, return_index=True)
    matrix = np.zeros((len(first), len(table.dimensions)), dtype="int64")
    matrix[pair, cells["dimension"]] = cells["category"]
    at = cells["at"].to_numpy()[first]
    ratings = pd.DataFrame({"participant_id": who.iloc[at].to_numpy(), "response_id": what.iloc[at].to_numpy()})
    for place, name in enumerate(table.dimensions):
        ratings[name] = pd.arrays.IntegerArray(matrix[:, place], matrix[:, place] == 0)
    return ratings.astype({"participant_id": "str", "response_id": "str"})
