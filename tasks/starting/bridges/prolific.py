"""Prolific: the demographic export of a study, one row a submission, beside a survey's own table.

It has `Submission id`, `Participant id`, `Status`, `Started at`, …, and the answers that participants gave Prolific:
`Age`, `Sex`, `Ethnicity simplified`, … An answer that is not there is DATA_EXPIRED, CONSENT_REVOKED or `Prefer not to
say`. Source: "Export demographic data" of docs.prolific.com, and the exports that published studies share.

Its ids are those of a recruitment platform. Codebooks take them for participants' ids and for nothing else, and landing
makes pseudonyms of them; so the demographics can be used where the survey's table has the same ids, and only there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from configs.codebook import normal, tidy
from configs.errors import InputError
from tasks.ratings.reading.shape import as_text
from tasks.starting.bridges.exported import NOT_DECLARED, attributes_of, by_column, rows_of
from tasks.starting.draft import Bridge, Draft, UserTable

ID, SUBMISSION, STATUS = "Participant id", "Submission id", "Status"
TAKEN_PART = {"approved", "awaiting review"}
ATTRIBUTES = {
    "age": ("Age",),
    "sex": ("Sex",),
    "gender": ("Gender",),
    "ethnicity": ("Ethnicity simplified",),
    "country-of-birth": ("Country of birth",),
    "country": ("Country of residence", "Current country of residence"),
    "nationality": ("Nationality",),
    "first-language": ("Language", "First language"),
    "student": ("Student status",),
    "employment": ("Employment status",),
}
SURVEYS_OWN = "the survey's own questions about participants are not read, since Prolific's answers are"


@dataclass(frozen=True)
class Prolific:
    """others: the formats that the survey's own table may be of."""

    others: tuple[Bridge, ...]
    title = "Prolific (demographic export)"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        """The survey's draft with Prolific's participants; None also where the survey is of no format that is known.

        Raises:
            InputError: there is no survey, or no column of it has the participants' ids.
        """
        exported = next((table for table in tables if all(map(_columns(table).get, (ID, SUBMISSION, STATUS)))), None)
        if exported is None:
            return None
        rest = [table for table in tables if table is not exported]
        if not rest:
            raise InputError(
                f"{exported.name}: Prolific's demographic export holds no ratings; give the survey's table as well, "
                "which must have the same participants' ids in a column"
            )
        found = {table.name: column for table in rest if (column := same_ids(exported, table))}
        if not found:
            raise InputError(
                f"{exported.name}: no column of {', '.join(table.name for table in rest)} has the ids of {ID!r}, so "
                "nobody's ratings are found; write both with the same ids, such as pseudonyms of your own"
            )
        survey = next((draft for bridge in self.others if (draft := bridge.draft(rest))), None)
        if survey is None:
            return None
        ratings = survey.codebook["ratings"]
        if ratings["file"] not in found:
            raise InputError(f"{exported.name}: {ratings['file']} has no column with the ids of {ID!r}")
        codebook = survey.codebook | {
            "ratings": ratings | {"participant": found[ratings["file"]]},
            "participants": demographics(exported),
        }
        own = survey.codebook.get("participants", {}).get("attributes", {})
        gone = ("not read: ", *(f"{name} is what " for name in own))
        kept = tuple(line for line in survey.assumed if not line.startswith(gone))
        assumed = (f"participants are told by Prolific's ids in {found[ratings['file']]!r}",) + (SURVEYS_OWN,) * bool(
            own
        )
        return replace(survey, codebook=codebook, assumed=(*kept, *assumed))


def demographics(table: UserTable) -> dict[str, Any]:
    """The table of participants that a demographic export makes: of submissions that were not given back or refused."""
    there = _columns(table)
    statuses = {tidy(text) for text in by_column(table, [there[STATUS]])[there[STATUS]]}
    kept = sorted(text for text in statuses if normal(text) in TAKEN_PART)
    only = {"only": {there[STATUS]: kept}} if len(kept) < len(statuses) else {}
    found = {name: next((there[one] for one in own if one in there), "") for name, own in ATTRIBUTES.items()}
    columns = {name: column for name, column in found.items() if column}
    named = {"participant": there[ID], "not_declared": [*NOT_DECLARED], "attributes": attributes_of(table, columns)}
    return rows_of(table) | only | named


def same_ids(exported: UserTable, table: UserTable) -> str:
    """The column of a table that has the most of the export's participants; empty where none has any."""
    own = _columns(exported)[ID]
    ids = set(map(tidy, by_column(exported, [own])[own])) - {""}
    shared = {
        name: len({tidy(as_text(values[place])) for values in table.rows.values} & ids)
        for place, name in enumerate(table.rows.names)
    }
    best = max(shared, key=lambda name: shared[name], default="")
    return best if best and shared[best] else ""


def _columns(table: UserTable) -> dict[str, str]:
    """Prolific's name of a column → the table's, which may differ by case."""
    own = {normal(name): name for name in table.rows.names}
    every = [ID, SUBMISSION, STATUS, *(name for names in ATTRIBUTES.values() for name in names)]
    return {name: own[normal(name)] for name in every if normal(name) in own}
