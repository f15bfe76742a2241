"""Whatever is done to an export: no row is lost unsaid, nothing crashes, nobody's id is written."""

from __future__ import annotations

import csv
import io
import logging
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.codebook import normal
from configs.errors import InputError
from tasks.ratings.landing.landing import Landing, land
from tasks.ratings.landing.snapshot import Collection
from tasks.ratings.reading.answers import CONFLICTING
from tasks.ratings.reading.faults import faults_of, ids_of, rejected_of
from tasks.ratings.reading.load import load_ratings, narrowed
from tasks.ratings.reading.source import read_source
from tasks.ratings.reading.validate import read_export, validate
from tests.tasks.ratings.by_hand import DE, Row, person, rating, response
from tests.tasks.ratings.by_hand import EN as ALL

DIMENSIONS = ["toxicity", "emotional-awareness"]
EN = narrowed(ALL, DIMENSIONS)
FILES = EN.files
NAMES = ["5f3c2a1b9d8e7f6a5b4c3d2e", "Zoë-Müller-1987", "A1B2C3D4E5F6G7", "participant 4"]
"""Participants' ids, to be looked for in all that is written."""
JUNK = ["", "agree ", "AGREE", "agre", "stimme zu", "=1+1", "<script>", "zwei\nZeilen", '"', "5", "\x00", "x" * 300]
some = settings(deadline=None, max_examples=20, database=None)
few = settings(deadline=None, max_examples=20, database=None)
labels = st.sampled_from([*EN.ratings.labels, *JUNK, *NAMES])
names, texts = st.sampled_from([*NAMES, "", "nobody"]), st.sampled_from(["r1", "r2", "r3", "r4", " r1 ", "r\x001", ""])
Rows = dict[str, list[Row]]


@st.composite
def exports(draw: st.DrawFn) -> Rows:
    """File → rows, sound ones and others."""
    ratings = st.builds(rating, names, texts, labels, labels)
    ages = st.sampled_from(["18-30", "31-40", "", "17", "I wish not to declare"])
    ethnicities = st.sampled_from(['["White"]', '["White", "Asian"]', "[]", "White", "[", "", "[" * 99_999])
    people = st.builds(lambda name, age, answer: person(name, age=age, ethnicity=answer), names, ages, ethnicities)
    responses = st.builds(response, texts, st.sampled_from(["a text", "another", "", " "]))
    rows = [draw(st.lists(one, min_size=1, max_size=15)) for one in (ratings, people, responses)]
    sound = [rating(name, "r1", "agree") for name in NAMES], [person(name) for name in NAMES], [response("r1")]
    return {file: [*first, *more] for file, first, more in zip(FILES, sound, rows, strict=True)}


def content(draw: st.DrawFn, rows: list[Row]) -> bytes:
    """Rows as a CSV file: columns in any order, any separator, any line ends, with or without a byte order mark."""
    columns = draw(st.permutations(list(rows[0])))
    text = io.StringIO()
    ends, separator = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from([",", ";", "\t"]))
    writer = csv.DictWriter(text, columns, delimiter=separator, lineterminator=ends)
    writer.writeheader()
    writer.writerows(rows)
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.getvalue().encode()


def write_all(data: st.DataObject, rows: Rows, folder: Path) -> None:
    for file, own in rows.items():
        (folder / file).write_bytes(content(data.draw, own))


def expected_ratings(rows: Rows) -> Counter:
    """The rules again, row by row: (participant, response, dimension) → category, of the first that can be used."""
    texts = [row["prompt_id"].strip() for row in rows[FILES[2]] if row["response"].strip()]
    good = {name for name in texts if name and "\x00" not in name}
    categories = {normal(label): category for label, category in EN.ratings.labels.items()}
    found: Counter = Counter()
    for row in rows[FILES[0]]:
        who, what = row["participant_id"], row["prompt_id"].strip()
        if not who or what not in good:
            continue
        for dimension, column in EN.ratings.dimensions.items():
            if normal(row[column]) in categories:
                found.setdefault((who, what, dimension), categories[normal(row[column])])
    return found


@some
@given(exports(), st.data())
def test_every_row_is_kept_or_told_and_what_is_kept_is_what_the_rules_say(rows: Rows, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_all(data, rows, folder)
        sources = read_export(EN, {file: folder / file for file in FILES}, read_source)
        valid = validate(EN, sources, lambda text: text, [DE])
        for file, part in zip(FILES, (valid.ratings, valid.participants, valid.responses), strict=True):
            counts = part.rows
            assert counts["read"] == len(rows[file])
            assert counts["read"] == sum(counts[what] for what in ("kept", "repeated", "rejected", "dropped"))
        cells = valid.ratings.table.melt(["participant_id", "response_id"], DIMENSIONS).dropna()
        keys = cells[["participant_id", "response_id", "variable"]].itertuples(index=False, name=None)
        assert dict(zip(keys, map(int, cells["value"]), strict=True)) == expected_ratings(rows)
        told = rejected_of(EN, valid, ids_of(EN, sources)).to_csv()
        assert not [id for id in NAMES if id.casefold() in told.casefold()]
        faults = faults_of(rejected_of(EN, valid, []))
        if len(faults[faults["reason"] != CONFLICTING]):
            with pytest.raises(InputError) as caught:  # a strict reader refuses what has a fault, and nothing else
                load_ratings(DIMENSIONS, [EN], folder)
            assert not [id for id in NAMES if id.casefold() in str(caught.value).casefold()]
        else:
            pd.testing.assert_frame_equal(
                load_ratings(DIMENSIONS, [EN], folder).ratings[DIMENSIONS], valid.ratings.table[DIMENSIONS]
            )


damage = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([b'"', b",", b";", b"\n", b"\r", b"\xff", b"\x00", b"\xc3", b"cut", b"drop", b"again", b'""']),
)
"""Where in a file, and what is put there; or the file is cut off, or loses or repeats what stands there."""


def damaged(content: bytes, hits: list[tuple[float, bytes]]) -> bytes:
    """The file with everything but its header damaged."""
    header, end, rest = content.partition(b"\n")
    for place, what in hits:
        at = int(place * len(rest))
        near = rest[at : at + 17]
        after = {b"cut": b"", b"drop": rest[at + 17 :], b"again": near + rest[at:]}.get(what, what + rest[at:])
        rest = rest[:at] + after
    return header + end + rest


@few
@given(exports(), st.sampled_from(FILES), st.lists(damage, min_size=1, max_size=6), st.data())
def test_a_damaged_export_lands_in_part_or_is_refused_in_one_line_and_tells_nobodys_id(
    rows: Rows, file: str, hits: list[tuple[float, bytes]], data: st.DataObject
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    with tempfile.TemporaryDirectory() as name:
        folder, collection = Path(name), Collection(Path(name) / "collection")
        write_all(data, rows, folder)
        (folder / file).write_bytes(damaged((folder / file).read_bytes(), hits))
        landing, refusal = land_or_refuse(collection, folder)
        print(refusal, file=stream)
        assert "\n" not in refusal
        for counts in landing.rows if landing else ():
            assert counts["read"] == sum(counts[what] for what in ("kept", "repeated", "rejected", "dropped"))
        written = "".join(map(read_back, collection.path.rglob("*"))) + stream.getvalue()
    logging.getLogger().removeHandler(handler)
    assert not [id for id in NAMES if id.casefold() in written.casefold()]


def land_or_refuse(collection: Collection, folder: Path) -> tuple[Landing | None, str]:
    try:
        return land(collection, [folder], [EN, DE], b"a key that is long enough"), ""
    except InputError as error:
        return None, str(error)


def read_back(path: Path) -> str:
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv()
    return path.read_text(encoding="utf-8") if path.is_file() else ""
