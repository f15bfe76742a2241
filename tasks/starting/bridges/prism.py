"""PRISM: people rate the answers of several models in conversations of their own, and tell who they are.

`survey.jsonl` has a row a participant, `utterances.jsonl` one a rated response; `conversations.jsonl` holds the same
responses in the list `conversation_history`. A score is a place on a slider from Terrible (1) to Perfect (100). In the
first turn four models answer, in later ones the model that was rated highest answers twice. Source: the dataset card of
HannahRoseKirk/prism-alignment and the codebook of HannahKirk/prism-alignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.starting.bridges.exported import LATER_TURNS, NOT_DECLARED, attributes_of, not_read, rows_of
from tasks.starting.draft import Draft, UserTable

UTTERANCES = {"utterance_id", "interaction_id", "user_id", "user_prompt", "model_response", "score"}
CONVERSATIONS = {"conversation_id", "user_id", "opening_prompt", "conversation_history"}
SURVEY = {"user_id", "lm_familiarity", "stated_prefs"}
ATTRIBUTES = {
    "age": "age",
    "gender": "gender",
    "education": "education",
    "employment": "employment_status",
    "marital-status": "marital_status",
    "english": "english_proficiency",
    "religion": "religion.simplified",
    "ethnicity": "ethnicity.simplified",
    "birth-region": "location.birth_region",
    "region": "location.reside_region",
    "study-locale": "study_locale",
}
FIFTHS = {"low": 1, "high": 100, "cuts": [21, 41, 61, 81]}


class Prism:
    title = "PRISM"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        utterances = _with(UTTERANCES, tables)
        rated = utterances or _with(CONVERSATIONS, tables)
        if rated is None:
            return None
        survey = _with(SURVEY, tables)
        codebook: dict[str, Any] = {"source": "PRISM (Kirk et al. 2024)"}
        codebook |= _utterances(rated) if utterances else _conversations(rated)
        if survey:
            people = {"participant": "user_id", "not_declared": [*NOT_DECLARED]}
            codebook["participants"] = rows_of(survey) | people | {"attributes": attributes_of(survey, ATTRIBUTES)}
        without = () if survey else ("who the participants are is in survey.jsonl: give it as well",)
        return Draft(
            codebook,
            better={"score": "higher"},
            titles={"score": "Score"},
            definitions={"score": "how good the response is to the person who asked, from terrible to perfect"},
            language="en",
            assumed=(
                "scores from 1 to 100 become five categories of equal width (numbers.cuts)",
                LATER_TURNS,
                "scores by a participant are comparable within a prompt of theirs (within: participant)",
                *not_read(tables, [table for table in (rated, survey) if table]),
            ),
            unclear=without,
        )


def _with(columns: set[str], tables: Sequence[UserTable]) -> UserTable | None:
    return next((table for table in tables if set(table.rows.names) >= columns), None)


def _utterances(table: UserTable) -> dict[str, Any]:
    file = rows_of(table)
    ratings = {"participant": "user_id", "response": "utterance_id", "dimensions": {"score": "score"}}
    texts = {"prompt": "interaction_id", "prompt_text": "user_prompt", "response_text": "model_response"}
    first = {"only": {"turn": ["0"]}} if "turn" in table.rows.names else {}
    return {
        "ratings": file | first | ratings | {"numbers": FIFTHS},
        "responses": file | first | {"response": "utterance_id"} | texts,
    }


def _conversations(table: UserTable) -> dict[str, Any]:
    said = "conversation_history"
    rows = rows_of(table) | {"each": [said], "only": {f"{said}.role": ["model"], f"{said}.turn": ["0"]}}
    response = ["conversation_id", f"{said}.within_turn_id"]
    texts = {"prompt": "conversation_id", "prompt_text": "opening_prompt", "response_text": f"{said}.content"}
    ratings = {"participant": "user_id", "response": response, "dimensions": {"score": f"{said}.score"}}
    return {"ratings": rows | ratings | {"numbers": FIFTHS}, "responses": rows | {"response": response} | texts}
