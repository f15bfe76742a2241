"""Exports as the survey app writes them, small and by hand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.codebook import Codebook
from configs.load import load_codebook

EN, DE = load_codebook("survey-app-en"), load_codebook("survey-app-de")
CHECKS = {"attention": "neutral", "attention2": "stimme voll zu", "attention3": "stimme nicht zu"}

Row = dict[str, Any]


def rating(participant: str, response: str, toxicity: str, awareness: str = "", **more: str) -> Row:
    return {
        "participant_id": participant, "prompt_id": response, "question_id": "q1", "rating_toxicity": toxicity,
        "rating_emotional_awareness": awareness, **more,
    }  # fmt: skip


def person(participant: str, **answers: str) -> Row:
    return {
        "participant_id": participant, "prolific_id": "5f-secret", "age": "18-30", "gender_identity": "she/her/hers",
        "country_of_residence": '["Germany"]', "ethnicity": '["White"]', "political_spectrum": "Liberal", **answers,
    }  # fmt: skip


def german(participant: str, **answers: str) -> Row:
    texts = {"country_of_residence": '["Deutschland"]', "ethnicity": '["Weiss"]', "political_spectrum": "Mitte"}
    return person(participant, **(texts | answers))


def response(name: str, text: str = "a text") -> Row:
    return {"prompt_id": name, "question_id": "q1", "prompt": "a question", "response": text}


def write(path: Path, rows: Sequence[Row], encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_export(
    folder: Path, codebook: Codebook, ratings: Sequence[Row], people: Sequence[Row], responses: Sequence[Row],
    encoding: str = "utf-8",
) -> None:  # fmt: skip
    write(folder / codebook.ratings.file, ratings, encoding)
    write(folder / codebook.participants.file, people, encoding)
    write(folder / codebook.responses.file, responses, encoding)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
