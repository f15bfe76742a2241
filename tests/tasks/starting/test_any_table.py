"""Whatever the table: `init` says in one line why it can't, or writes what can be read and run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from configs.load import load_codebook, load_study
from tasks.ratings.reading.load import check_codebook, check_strata, load_ratings
from tasks.starting.init import start

NAMES = st.one_of(
    st.sampled_from(
        [
            "participant_id",
            "rater",
            "user_id",
            "id",
            "item_id",
            "response",
            "prompt",
            "prompt_text",
            "response_a",
            "response_b",
            "winner",
            "preference",
            "rating",
            "score",
            "toxicity",
            "rating_1",
            "rating_2",
            "response_1",
            "response_2",
            "gender",
            "age",
            "ethnicity",
            "birth_year",
            "question",
            "answer",
            "chosen",
            "rejected",
            "timestamp",
            "email",
            "comment",
            "attention_check",
            "PROLIFIC_PID",
            "conversation_id",
            "text",
            "label",
            "annotations",
            "user.name",
            "country",
        ]
    ),
    st.text(min_size=1, max_size=12),
)
RATINGS = ("quality", "offensiveness", "rating_helpful")
COLUMNS = st.one_of(
    st.sampled_from(
        [
            ["1", "2", "3", "4", "5"],
            ["0", "1"],
            ["-3", "-1", "0", "2"],
            ["a", "b", "tie"],
            ["agree", "disagree", "neutral"],
            ["0.5", "99", "17.25"],
            ["not at all", "very"],
            ["red", "green", "blue"],
            ["woman", "man", "prefer not to say"],
            ["White; Asian", "White", "Asian"],
            ['["White"]', '["Asian", "Black"]'],
            ["18", "34", "61"],
            ["1", "", "3"],
            ["NA", "5", "4"],
            ['{"a": 1}', '{"b": [1, 2]}'],
            ["[1, 2]", "[3]"],
            ["yes", "no"],
            ["a is much better than b", "b is slightly better", "tie"],
            ["same"],
            ["", ""],
            ["1 - low", "2", "3 - high"],
            ["2024-01-01", "2024-01-02"],
            ["a@b.org", "c@d.org"],
            ["one long sentence of words", "another long sentence of words"],
        ]
    ),
    st.lists(st.text(max_size=10), min_size=1, max_size=5),
    st.lists(st.floats().map(str), min_size=1, max_size=6),
    st.lists(st.integers(-20, 120).map(str), min_size=1, max_size=8),
    st.just(None),
)
"""The texts that a column goes through again and again; None: each row has its own."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    names += draw(st.lists(st.sampled_from(RATINGS), max_size=1)) if not set(RATINGS) & {*names} else []
    rows = draw(st.integers(1, 24))
    steps = draw(st.lists(st.integers(1, 5), min_size=len(names), max_size=len(names)))
    columns = [draw(COLUMNS) for _ in names]
    cells = [
        [
            f"{name[:3]}{row // step}" if texts is None else texts[(row // step) % len(texts)]
            for name, texts, step in zip(names, columns, steps, strict=True)
        ]
        for row in range(rows)
    ]
    return names, cells


def write(folder: Path, suffix: str, table: tuple[list[str], list[list[str]]]) -> Path:
    names, cells = table
    path = folder / f"table{suffix}"
    if suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
            csv.writer(file).writerows([names, *cells])
    else:
        path.write_text(json.dumps([dict(zip(names, map(opened, row), strict=True)) for row in cells]))
    return path


def opened(text: str) -> object:
    """What the text is in JSON; itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(table=tables(), suffix=st.sampled_from([".csv", ".json"]))
def test_what_is_written_runs_or_one_line_says_why_nothing_is(table, suffix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    path = write(folder, suffix, table)
    try:
        started = start([path], folder / "out")
    except InputError:
        return
    study, codebook = (
        load_study(str(folder / "out" / "study.yaml")),
        load_codebook(str(folder / "out" / "codebook.yaml")),
    )
    check_codebook(study, codebook)
    if started.faults:
        with pytest.raises(InputError):
            load_ratings(list(study.dimensions), [codebook], folder)
        return
    data = load_ratings(list(study.dimensions), [codebook], folder)
    check_strata(study, data.participants)
    assert len(data.ratings)


def test_a_column_may_be_called_as_a_digest_is_written(tmp_path):
    rows = [
        {"participant": f"p{n % 8}", "prompt": f"what is {n // 16}?", "#REF!": f"an answer {n // 8}", "toxicity": n % 5}
        for n in range(64)
    ]
    (tmp_path / "table.json").write_text(json.dumps(rows))
    started = start([tmp_path / "table.json"], tmp_path / "out")
    assert "'#REF!'" in " ".join(started.lines)
    codebook = load_codebook(str(tmp_path / "out" / "codebook.yaml"))
    assert codebook.responses.response_text == "#REF!"
