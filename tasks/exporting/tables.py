"""The tables that leave the house: single ratings under pseudonyms, and the dictionary of all columns."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.runtime.tables import Table, column
from tasks.survey.tables import RaterIndices

PARTICIPANT = "pseudonym of the participant, made for this export of these ratings alone"


class ReleasedRatings(Table):
    """One row a rating of a response by a participant on a dimension, in the order of pseudonyms."""

    class Config(Table.Config):
        name = "ratings"

    participant: str = column(PARTICIPANT)
    prompt_id: str = column("the prompt that the response answers")
    response_id: str = column("the response that is rated")
    dimension: str = column("what is rated")
    category: int = column(
        "the label as a category of the scale, 1 the lowest, turned where the item is worded the other way round; "
        "labels has the texts",
        "categories",
    )
    categories: int = column("how many categories the scale has")
    score: float = column("the category on 0–1, turned where lower is better: 1 is best", "score, 0–1")


class ReleasedResponses(Table):
    """One row a rated response."""

    class Config(Table.Config):
        name = "responses"

    response_id: str = column("the response")
    prompt_id: str = column("the prompt that it answers")
    prompt: str = column("the prompt's text")
    response: str = column("the response's text")
    held_out: bool = column("whether its prompt trains nothing and is answered by the models instead")


class ReleasedLabels(Table):
    """One row a label text of a questionnaire."""

    class Config(Table.Config):
        name = "labels"

    codebook: str = column("the questionnaire")
    language: str = column("its language")
    category: int = column("the category that the text stands for, 1 the lowest", "categories")
    label: str = column("the text")


class ReleasedRaters(RaterIndices):
    """One row a rater and a dimension: how they answer, under the pseudonyms of the export."""

    class Config(Table.Config):
        name = "Raters"

    rater: str = column(PARTICIPANT)


def released_participants(attributes: Mapping[str, str]) -> type[Table]:
    """The table of participants with a column for each attribute: name → what else is to be said of its cells."""
    # an attribute's name may be one that a class can't give to its own, such as political-spectrum
    fields = {
        f"attribute_{place}": column(
            f"declared value; several stand in order, with '; ' between them; {more}", name=name
        )
        for place, (name, more) in enumerate(attributes.items())
    }
    body = {
        "__doc__": "One row a participant, in the order of pseudonyms.",
        "__module__": __name__,
        "__annotations__": dict.fromkeys(("participant", *fields), str),
        "participant": column(PARTICIPANT),
        "Config": type("Config", (Table.Config,), {"name": "participants"}),
        **fields,
    }
    return type("ReleasedParticipants", (Table,), body)


class Dictionary(Table):
    """One row a column of a Parquet file of the export."""

    file: str = column("the file, from the export's folder")
    name: str = column("the column", name="column")
    type: str = column("text, number, whole number, or true or false")
    unit: str = column("in which unit the values are; empty for text and plain numbers")
    meaning: str = column("what the column says")
    missing: str = column("yes where a value may be missing; text that is missing is empty")


class LogVerdicts(Table):
    """One row a score in a log of Inspect."""

    class Config(Table.Config):
        name = "verdicts"

    log: str = column("the log's file")
    task: str = column("the task that was evaluated")
    model: str = column("the model that answered")
    sample: str = column("the sample's id")
    epoch: int = column("which of the sample's repetitions, from 1")
    scorer: str = column("the scorer; SCORER/KEY where it gives several values")
    value: float = column("the score: C is 1, P 0.5, I and N are 0; missing where there is none", missing=True)
    unscored: str = column("why there is no value; empty where there is one")
    metadata: str = column("what the sample carries along, as JSON; empty where it carries nothing")


class LogEffects(Table):
    """One row a task, a scorer and a model: the paired difference from the first model on the same samples."""

    class Config(Table.Config):
        name = "effects"

    task: str = column("the task that was evaluated")
    scorer: str = column("the scorer; SCORER/KEY where it gives several values")
    label: str = column("the model, with its log's file where several logs are of one model")
    reference: str = column("the model of the task's first log, whose scores are taken from the other's")
    estimate: float = column("mean over samples of the model's score less the reference's", "score")
    std_error: float = column("its standard error, over samples", "score")
    k: int = column("samples that are scored in both")
    n_unscored: int = column("samples of both that are left out, since one of them is not scored")
    n_others: int = column("samples of one of them alone, or whose input differs")
