"""Community Alignment: people of five countries choose the best of four answers, turn by turn.

One row a conversation. Each of up to four turns has `first_turn_prompt`, `first_turn_response_a` to `…_d` and
`first_turn_preferred_response` (`response_a`), with `second_turn_…` and so on; what annotators say of themselves is in
`annotator_…`. Responses have no ids: many annotators see the same four, so a text is told by its digest. Source: the
dataset card of facebook/community-alignment-dataset and the codebook in appendix I of arXiv 2507.09650.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.starting.bridges.exported import LATER_TURNS, attributes_of, language_of, not_read, rows_of
from tasks.starting.draft import Draft, UserTable

LETTERS = "abcd"
PREFERRED, PROMPT = "first_turn_preferred_response", "first_turn_prompt"
RESPONSES = {letter: f"first_turn_response_{letter}" for letter in LETTERS}
COLUMNS = {"conversation_id", "annotator_id", PREFERRED, PROMPT, *RESPONSES.values()}
ATTRIBUTES = {
    "age": "annotator_age",
    "gender": "annotator_gender",
    "education": "annotator_education_level",
    "political-spectrum": "annotator_political",
    "ethnicity": "annotator_ethnicity",
    "country": "annotator_country",
}


class CommunityAlignment:
    title = "Community Alignment"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        table = next((table for table in tables if set(table.rows.names) >= COLUMNS), None)
        if table is None:
            return None
        file, asked = rows_of(table), f"#{PROMPT}"
        people = {name: column for name, column in ATTRIBUTES.items() if column in table.rows.names}
        codebook = {
            "source": "Community Alignment (Zhang et al. 2025)",
            "ratings": file
            | {
                "participant": "annotator_id",
                "sides": {letter: [asked, f"#{column}"] for letter, column in RESPONSES.items()},
                "dimensions": {"preference": PREFERRED},
                "labels": {f"response_{letter}": letter for letter in LETTERS},
            },
            "participants": file | {"participant": "annotator_id", "attributes": attributes_of(table, people)},
            "responses": file
            | {
                "stack": [{"text": column} for column in RESPONSES.values()],
                "response": [asked, "#text"],
                "prompt": asked,
                "prompt_text": PROMPT,
                "response_text": "text",
            },
        }
        language, several = language_of(table, "assigned_lang")
        return Draft(
            codebook,
            better={"preference": "higher"},
            titles={"preference": "Preference"},
            definitions={"preference": "the response is the one that people would rather have"},
            language=language,
            assumed=(
                "the preferred response is better than each of the other three, which are as good as each other",
                LATER_TURNS,
                *not_read(tables, [table]),
            ),
            unclear=several,
        )
