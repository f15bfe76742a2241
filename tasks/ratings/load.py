"""Read an export through its codebooks into three tables: ratings, participants, responses.

Tables
    ratings: participant_id, response_id, prompt_id, order (position in the exports, interleaved), one column a
        dimension with the category 1 … K.
    participants: participant_id, language, one column an attribute, each cell a tuple of declared terms (empty where
        not declared).
    responses: response_id, prompt_id, prompt, response.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from configs.codebook import Attribute, Codebook
from configs.errors import InputError, one_of
from configs.schema import Study


@dataclass(frozen=True)
class Data:
    """The study's ratings, with what was dropped on the way in: (reason, rows)."""

    ratings: pd.DataFrame
    participants: pd.DataFrame
    responses: pd.DataFrame
    categories: int
    dropped: dict[str, int] = field(default_factory=dict)


def load_ratings(dimensions: Sequence[str], codebooks: Iterable[Codebook], folder: Path) -> Data:
    """All tables of an export; the first codebook's texts stand for a response that several hold.

    Raises:
        InputError: a missing file or column, a label outside the codebook, an id without its row.
    """
    parts = [_load(dimensions, codebook, folder) for codebook in codebooks]
    scales = {part.categories for part in parts}
    if len(scales) > 1:
        raise InputError(f"codebooks with different scales: {', '.join(map(str, sorted(scales)))} categories")
    data = Data(
        ratings=_stack([part.ratings for part in parts]),
        participants=_stack([part.participants for part in parts]),
        responses=_stack([part.responses for part in parts]).drop_duplicates("response_id", ignore_index=True),
        categories=scales.pop(),
        dropped=_sum_counts(part.dropped for part in parts),
    )
    data.ratings["order"] = _interleaved([len(part.ratings) for part in parts])
    return data


def _interleaved(sizes: Sequence[int]) -> np.ndarray:
    """The order of stacked exports' rows, each export spread evenly over all, so that none has all the first raters."""
    places = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    return np.argsort(np.argsort(places, kind="stable"), kind="stable")


def check_codebook(study: Study, codebook: Codebook) -> None:
    """See that the study's dimensions, scales and attributes are those of the questionnaire.

    Raises:
        InputError: a dimension or an attribute that the codebook doesn't have, a scale of another length.
    """
    for dimension in study.dimensions:
        if dimension not in codebook.ratings.dimensions:
            raise one_of(f"{study.name}: dimensions ({codebook.name})", dimension, codebook.ratings.dimensions)
    categories = codebook.ratings.categories
    for name, scale in study.scales.items():
        if len(scale) != categories:
            place = f"{study.name}: scales.{name} ({codebook.name})"
            raise InputError(f"{place}: {len(scale)} entries for {categories} categories")
    for name, stratum in study.strata.items():
        if stratum.attribute not in codebook.participants.attributes:
            place = f"{study.name}: strata.{name}.attribute ({codebook.name})"
            raise one_of(place, stratum.attribute, codebook.participants.attributes)
    for attribute in study.survey.reference:
        if attribute not in codebook.participants.attributes:
            raise one_of(
                f"{study.name}: survey.reference ({codebook.name})", attribute, codebook.participants.attributes
            )


def check_strata(study: Study, participants: pd.DataFrame) -> None:
    """See that somebody declares each value that a stratum or the survey's reference names.

    Raises:
        InputError: nobody does; the message has the values that there are.
    """
    named = [(f"strata.{name}.values", stratum.attribute, stratum.values) for name, stratum in study.strata.items()]
    named += [(f"survey.reference.{name}", name, (value,)) for name, value in study.survey.reference.items()]
    for place, attribute, values in named:
        found = sorted({term for terms in participants[attribute] for term in terms})
        for value in values:
            if value not in found:
                raise one_of(f"{study.name}: {place} (no participant declares it)", value, found)


def files_of(codebooks: Iterable[Codebook], folder: Path) -> list[Path]:
    """Every file that the codebooks read.

    Raises:
        InputError: one is missing.
    """
    paths = [folder / table.file for book in codebooks for table in (book.ratings, book.participants, book.responses)]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; ratings.folder says where the export lies")
    return list(dict.fromkeys(paths))


def parse_labels(texts: pd.Series, labels: dict[str, int], place: Callable[[int], str]) -> pd.Series:
    """Label texts → categories; an empty cell stays empty (<NA>).

    Raises:
        InputError: a text that is not in `labels`; `place(row)` names file and row.
    """
    normal = {_normal(label): category for label, category in labels.items()}
    clean = texts.fillna("").map(_normal)
    category = clean.map(normal).astype("Int64")
    wrong = category.isna() & (clean != "")
    if wrong.any():
        row = wrong[wrong].index[0]
        raise one_of(place(int(row)), texts[row], labels)
    return category


# ---- one codebook


def _load(dimensions: Sequence[str], codebook: Codebook, folder: Path) -> Data:
    responses = _responses(codebook, folder)
    participants = _participants(codebook, folder)
    ratings, dropped = _ratings(dimensions, codebook, folder)
    ratings = ratings.merge(responses[["response_id", "prompt_id"]], on="response_id", how="left")
    _refer(ratings["prompt_id"].isna(), ratings["response_id"], codebook.ratings.file, codebook.responses.file)
    known = ratings["participant_id"].isin(participants["participant_id"])
    _refer(~known, None, codebook.ratings.file, codebook.participants.file)
    for table in (ratings, participants):  # two questionnaires may number their participants alike
        table["participant_id"] = codebook.name + ":" + table["participant_id"]
    return Data(ratings, participants, responses, codebook.ratings.categories, dropped)


def _ratings(dimensions: Sequence[str], codebook: Codebook, folder: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    table = codebook.ratings
    columns = {name: table.dimensions[name] for name in dimensions}
    raw = read_table(folder / table.file, [table.participant, table.response, *columns.values(), *table.attention])
    passed = pd.Series(True, index=raw.index)
    for column, answer in table.attention.items():
        passed &= raw[column].map(_normal) == _normal(answer)
    ratings = pd.DataFrame({"participant_id": raw[table.participant], "response_id": raw[table.response]})
    for name, column in columns.items():
        place = _place(table.file, column)
        ratings[name] = parse_labels(raw[column], table.labels, place)
    empty = ratings[list(dimensions)].isna().all(axis=1)
    valid = ratings[passed & ~empty]
    kept = valid.drop_duplicates(["participant_id", "response_id"], ignore_index=True)
    dropped = {
        "attention check failed": int((~passed).sum()),
        "no answer on any dimension": int((passed & empty).sum()),
        "rated twice by the same participant (the first rating counts)": len(valid) - len(kept),
    }
    return kept, dropped


def _participants(codebook: Codebook, folder: Path) -> pd.DataFrame:
    table = codebook.participants
    raw = read_table(folder / table.file, [table.participant, *(a.column for a in table.attributes.values())])
    silent = {_normal(text) for text in table.not_declared} | {""}
    people = pd.DataFrame({"participant_id": raw[table.participant], "language": codebook.language})
    for name, attribute in table.attributes.items():
        place = _place(table.file, attribute.column)
        people[name] = [_terms(text, attribute, silent, place, row) for row, text in raw[attribute.column].items()]
    people = people.drop_duplicates(ignore_index=True)
    twice = people["participant_id"].duplicated()
    if twice.any():
        raise InputError(f"{table.file}: a participant stands twice with different answers ({int(twice.sum())} such)")
    return people


def _terms(text: str, attribute: Attribute, silent: set[str], place: Callable[[int], str], row: int) -> tuple[str, ...]:
    """The study's terms in one cell of the participants' table; () where nothing is declared."""
    texts = _json_list(text, place(row)) if attribute.many and text.strip() else [text.strip()]
    texts = [item for item in texts if _normal(item) not in silent]
    if attribute.values is None:
        return tuple(texts)
    normal = {_normal(key): term for key, term in attribute.values.items()}
    for item in texts:
        if _normal(item) not in normal:
            raise one_of(place(row), item, attribute.values)
    return tuple(normal[_normal(item)] for item in texts)


def _json_list(text: str, place: str) -> list[str]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InputError(f"{place}: expected a JSON list of texts")
    return [item.strip() for item in items]


def _responses(codebook: Codebook, folder: Path) -> pd.DataFrame:
    table = codebook.responses
    optional = [column for column in (table.prompt, table.prompt_text) if column]
    raw = read_table(folder / table.file, [table.response, table.response_text, *optional])
    responses = pd.DataFrame({
        "response_id": raw[table.response],
        "prompt_id": raw[table.prompt] if table.prompt else raw[table.response],
        "prompt": raw[table.prompt_text] if table.prompt_text else "",
        "response": raw[table.response_text],
    })  # fmt: skip
    return responses.drop_duplicates("response_id", ignore_index=True)


# ---- small helpers


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns of a CSV file, as text, indexed by line number; other columns are left behind at once.

    Raises:
        InputError: the file is missing, not UTF-8, not CSV or empty, lacks a column, or a row has another number of
            fields than the header.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start})") from None
    rows = _rows(text, path)
    _, header = next(rows, (0, []))
    wanted = list(dict.fromkeys(columns))
    for column in wanted:
        if header.count(column) != 1:
            what = "two columns" if column in header else "no column"
            raise InputError(f"{path}: {what} {column!r}; it has {', '.join(map(repr, header)) or 'nothing'}")
    places = [header.index(column) for column in wanted]
    lines, values = [], []
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}: row {line}: {len(row)} fields where the header has {len(header)}")
        lines.append(line)
        values.append([row[place] for place in places])
    if not values:
        raise InputError(f"{path}: no rows")
    return pd.DataFrame(values, columns=wanted, index=lines, dtype=str)


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV text that are not empty lines, each with the number of the line where it begins."""
    csv.field_size_limit(2**31 - 1)  # a very long answer is no fault
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: row {line}: not CSV: {error}") from None


def _place(file: str, column: str) -> Callable[[int], str]:
    return lambda row: f"{file}: row {row}, column {column}"


def _normal(text: str) -> str:
    """Case and outer blanks don't matter; a number reads the same with and without `.0`."""
    text = text.strip().casefold()
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


def _refer(missing: pd.Series, ids: pd.Series | None, file: str, target: str) -> None:
    """Raise if a row of `file` names something that `target` lacks; participants' ids stay out of the message."""
    if missing.any():
        what = "a participant" if ids is None else f"response {ids[missing].iloc[0]!r}"
        raise InputError(f"{file}: row of {what} that {target} does not hold ({int(missing.sum())} such rows)")


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def _sum_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for reason, rows in part.items():
            total[reason] = total.get(reason, 0) + rows
    return total
