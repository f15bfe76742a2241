"""Qualtrics: a survey's responses as CSV or TSV, one row a respondent, with three header rows.

The second row has the questions' texts, the third import ids ({"ImportId":"QID5"}); both are nobody's answers.
`Status` tells previews and tests, `Finished` who came to the end. What is asked about several texts is one column each:
in a loop `1_Q5`, `2_Q5` (loop & merge), in a matrix `Q5_1`, `Q5_2`, whose statements stand after a dash in the second
row. A question with several answers is a cell with commas, or, split, a column a choice. Answers are texts or recoded
numbers; seen and unanswered may be -99. Source: "Understanding Your Dataset", "Data Export Options", "Loop & Merge" and
"Recode Values" of Qualtrics's support pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from configs.codebook import normal, tidy
from tasks.ratings.reading.label_rows import FIRST_ROWS, IMPORT_ID
from tasks.ratings.reading.shape import as_text
from tasks.starting.bridges.exported import (
    NOT_DECLARED,
    attribute,
    is_choice,
    not_read,
    of_one_scale,
    other_scales,
    rows_of,
    slugs,
)
from tasks.starting.draft import Draft, UserTable

ID = "ResponseId"
OF_A_RESPONSE = {"StartDate", "EndDate", "RecordedDate", "Progress", "Finished", "Status"}
"""Columns of which any export has some."""
OWN = {
    *OF_A_RESPONSE, ID, "IPAddress", "Duration (in seconds)", "RecipientLastName", "RecipientFirstName",
    "RecipientEmail", "ExternalReference", "LocationLatitude", "LocationLongitude", "DistributionChannel",
    "UserLanguage",
}  # fmt: skip
NO_ANSWERS = re.compile(r"_(TEXT|First Click|Last Click|Page Submit|Click Count|DO(_.*)?)$|^Q_|_DO_")
"""Columns of free texts, timers and the order of display, and of Qualtrics's own (`Q_RecaptchaScore`)."""
LOOP, MATRIX = re.compile(r"^(\d+)_(.+)$"), re.compile(r"^(.+)_(\d+)$")
TESTS = {
    "survey preview",
    "survey test",
    "1",
    "2",
    "8",
    "9",
    "12",
    "spam",
    "survey preview spam",
    "imported spam",
    "40",
}
UNSEEN = "-99"
ITEM, TEXT, SEEN = "item_name", "item_text", "item_seen"
"""What the columns of `stack` go by; no dimension has an underscore in its name."""
LONG_STATEMENT = 40
"""Statements of a matrix that are longer, in the mean, are texts that are rated; shorter ones say on what."""
PEOPLE = {
    "gender": r"gender|sex",
    "age": r"age|how old",
    "ethnicity": r"ethnic\w*|race|racial",
    "education": r"education\w*|degree",
    "political-spectrum": r"politic\w*",
    "religion": r"religio\w*",
    "country": r"country",
    "employment": r"employ\w*|occupation",
    "income": r"income",
}
"""Attribute → words of a question that asks for it."""


@dataclass(frozen=True)
class QualtricsTable:
    """A table without its label rows. labels: column → the question's text. answers: column → what respondents said."""

    table: UserTable
    labels: dict[str, str]
    answers: dict[str, list[str]]

    def filled(self, column: str) -> set[str]:
        """The different answers, without those that say that there is none."""
        return {normal(text) for text in self.answers[column] if tidy(text)} - {UNSEEN}


@dataclass(frozen=True)
class AskedAboutTexts:
    """What the survey asks about several texts. columns: text's name → dimension → column. texts: its name → itself,
    where the export has it."""

    columns: dict[str, dict[str, str]]
    texts: dict[str, str]
    titles: dict[str, str]


class Qualtrics:
    title = "Qualtrics"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        surveys = ((table, survey) for table in tables if (survey := _survey(table)))
        table, survey = next(surveys, (None, None))
        if table is None or survey is None:
            return None
        rated, scales = _rated(survey)
        if rated is None:
            return None
        only, left_behind = _only(survey)
        file = rows_of(table) | only
        dimensions = list(dict.fromkeys(name for own in rated.columns.values() for name in own))
        sets = [{ITEM: f"={item}", **_whole(own, dimensions)} for item, own in rated.columns.items()]
        named = {"participant": ID, "response": ITEM, "dimensions": {name: name for name in dimensions}}
        missing = {"missing": [UNSEEN]} if any(UNSEEN in own for own in survey.answers.values()) else {}
        codebook: dict[str, Any] = {"source": "Qualtrics", "ratings": file | {"stack": sets} | named | missing}
        unclear: tuple[str, ...] = other_scales(scales)
        if len(rated.texts) == len(rated.columns):
            said = [
                {ITEM: f"={item}", TEXT: f"={text}", SEEN: next(iter(rated.columns[item].values()))}
                for item, text in rated.texts.items()
            ]
            codebook["responses"] = file | {"stack": said, "response": ITEM, "response_text": TEXT}
        else:
            ids = ", ".join(list(rated.columns)[:3])
            unclear += (f"the export has not the texts that were rated: give a table of them, with the ids {ids} …",)
        people = _people(survey, rated)
        if people:
            codebook["participants"] = (
                file | {"participant": ID} | {"not_declared": [*NOT_DECLARED], "attributes": people}
            )
        return Draft(
            codebook,
            titles=rated.titles,
            language=_language(survey),
            assumed=(
                *left_behind,
                *(
                    f"{name} is what {one['column']} asks: {_cut(survey.labels[one['column']])}"
                    for name, one in people.items()
                ),
                *not_read(tables, [table]),
            ),
            unclear=unclear,
        )


def _survey(table: UserTable) -> QualtricsTable | None:
    """The table as a survey's, where it is one: with a row of import ids near its top."""
    names, values = table.rows.names, table.rows.values
    if ID not in names or not OF_A_RESPONSE & set(names):
        return None
    rows = [list(map(as_text, own)) for own in values]
    at = next((n for n, row in enumerate(rows[:FIRST_ROWS]) if any(re.match(IMPORT_ID, cell) for cell in row)), None)
    if at is None:
        return None
    labels = dict(zip(names, map(tidy, rows[at - 1] if at else names), strict=True))
    answers = dict(zip(names, map(list, zip(*rows[at + 1 :], strict=True)), strict=False)) or {
        name: [] for name in names
    }
    return QualtricsTable(table, labels, answers)


def _rated(survey: QualtricsTable) -> tuple[AskedAboutTexts | None, list[str]]:
    """What is asked in several columns, on one scale, and the questions of other scales."""
    questions = [name for name in survey.answers if name not in OWN and not NO_ANSWERS.search(name)]
    loops = _grouped(survey, questions, LOOP, item=1, question=2)
    if not loops:
        return _of_matrices(survey, _grouped(survey, questions, MATRIX, item=2, question=1))
    kept = of_one_scale({question: _of_all(survey, own.values()) for question, own in loops.items()})
    named = slugs(kept)
    columns: dict[str, dict[str, str]] = {}
    for question in kept:
        for item, column in loops[question].items():
            columns.setdefault(item, {})[named[question]] = column
    titles = {named[question]: _title(survey.labels[next(iter(loops[question].values()))]) for question in kept}
    in_order = dict(sorted(columns.items(), key=lambda one: int(one[0])))
    return AskedAboutTexts(in_order, {}, titles), [question for question in loops if question not in kept]


def _of_matrices(
    survey: QualtricsTable, matrices: dict[str, dict[str, str]]
) -> tuple[AskedAboutTexts | None, list[str]]:
    """Of matrices: texts that are rated are the statements of one, or, where these are short, each of several."""
    if not matrices:
        return None, []
    kept = of_one_scale({name: _of_all(survey, own.values()) for name, own in matrices.items()})
    left = [name for name in matrices if name not in kept]
    statements = {
        column: survey.labels[column].rpartition(" - ")[2] for name in kept for column in matrices[name].values()
    }
    if sum(map(len, statements.values())) / len(statements) > LONG_STATEMENT:
        texts = {column: statements[column] for column in statements}
        asked = {
            slugs(kept)[name]: _cut(survey.labels[next(iter(matrices[name].values()))].rpartition(" - ")[0])
            for name in kept
        }
        columns = {column: {slugs(kept)[name]: column} for name in kept for column in matrices[name].values()}
        return AskedAboutTexts(columns, texts, asked), left
    dimensions = slugs(statements.values())
    columns = {name: {dimensions[statements[column]]: column for column in matrices[name].values()} for name in kept}
    return AskedAboutTexts(columns, {}, {slug: statement for statement, slug in dimensions.items()}), left


def _grouped(
    survey: QualtricsTable, names: Iterable[str], form: re.Pattern[str], item: int, question: int
) -> dict[str, dict[str, str]]:
    """Question → item → column, of questions about several items, by how their columns are called.

    Where each column holds one answer only, it is a choice of a question with several answers.
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        if match := form.match(name):
            found.setdefault(match[question], {})[match[item]] = name
    return {
        name: own
        for name, own in found.items()
        if len(own) > 1
        and any(len(survey.filled(column)) > 1 for column in own.values())
        and is_choice(_of_all(survey, own.values()))
    }


def _of_all(survey: QualtricsTable, columns: Iterable[str]) -> set[str]:
    return set().union(*(survey.filled(column) for column in columns))


def _whole(columns: dict[str, str], dimensions: Iterable[str]) -> dict[str, str]:
    """The columns of a text, and no answer for dimensions on which it was not asked about."""
    return {name: columns.get(name, "=") for name in dimensions}


def _only(survey: QualtricsTable) -> tuple[dict[str, Any], list[str]]:
    """Which rows are read, as `only` of a table, and what to tell of it."""
    only: dict[str, list[str]] = {}
    told = []
    statuses = {tidy(text) for text in survey.answers.get("Status", [])}
    if {normal(text) for text in statuses} & TESTS:
        only["Status"] = sorted(text for text in statuses if normal(text) not in TESTS)
        told.append("previews, tests and spam (Status) are left behind")
    finished = {tidy(text) for text in survey.answers.get("Finished", [])}
    if {normal(text) for text in finished} & {"false", "0"}:
        only["Finished"] = sorted(text for text in finished if normal(text) in ("true", "1"))
        told.append("who did not come to the end (Finished) is left behind; delete ratings.only to keep them")
    return ({"only": only} if only else {}), told


def _people(survey: QualtricsTable, rated: AskedAboutTexts) -> dict[str, dict[str, Any]]:
    """The attributes of respondents, by words in the questions' texts."""
    used = {column for own in rated.columns.values() for column in own.values()}
    found: dict[str, dict[str, Any]] = {}
    for column, label in survey.labels.items():
        answers = survey.filled(column)
        if column in used or column in OWN or NO_ANSWERS.search(column) or not answers or MATRIX.match(column):
            continue
        name = next((name for name, words in PEOPLE.items() if re.search(rf"\b({words})\b", label.lower())), None)
        if name and name not in found and is_choice(answers):
            several = {"many": True, "separator": ","} if _several(answers) else {}
            found[name] = attribute(name, column, answers) | several
    return found


def _several(answers: set[str]) -> bool:
    """Whether cells hold several choices, each of which stands alone elsewhere."""
    joined = [answer.split(",") for answer in answers if "," in answer]
    return bool(joined) and all(tidy(part) in answers for parts in joined for part in parts)


def _language(survey: QualtricsTable) -> str:
    spoken = {tidy(text).lower() for text in survey.answers.get("UserLanguage", [])} - {""}
    return next(iter(spoken)).split("-")[0] if len(spoken) == 1 else ""


def _title(label: str) -> str:
    """A question's text without the number of the loop, and without what is filled in."""
    return _cut(tidy(re.sub(r"^\d+ - |\[Field-\d+\]|\$\{[^}]*\}", "", label)))


def _cut(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"
