"""From a user's files to a codebook and a study that run: `pluralign init`.

Nothing is asked. What was assumed and what could not be told is printed and stands as comments in what is written; the
data stay where they are, and nobody's id is printed or written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.codebook import Codebook
from configs.errors import InputError
from configs.load import load_codebook, load_study
from tasks.ratings.reading.load import Data, check_codebook, check_strata
from tasks.ratings.reading.rejected import visible
from tasks.starting.bridges import BRIDGES
from tasks.starting.columns import plain_letters
from tasks.starting.dimensions import with_scale
from tasks.starting.draft import Draft
from tasks.starting.general import general_draft
from tasks.starting.languages import language_of
from tasks.starting.reading import read_data
from tasks.starting.study import Purpose, StudyDraft, answerable, study_draft, with_one_experiment
from tasks.starting.tables import Opened, read_tables
from tasks.starting.write import Path as Key
from tasks.starting.write import render

CODEBOOK, STUDY = "codebook.yaml", "study.yaml"
SHOWN = 8

CODEBOOK_COMMENTS: dict[Key, tuple[str, ...]] = {
    ("name",): ("Part of what makes a participant's pseudonym: don't change it once ratings were landed.",),
    ("version",): ("Raise it when what the codebook says changes.",),
    ("source",): ("Shown in reports: what this is, and where it comes from.",),
    ("language",): ("Of the texts.",),
    ("ratings",): ("Columns that are not named are never read.",),
    ("ratings", "participant"): ("Who rated.",),
    ("ratings", "response"): (
        "What was rated: its id. Or several columns that are an id together; #column is a digest of a text.",
    ),
    ("ratings", "sides"): ("The responses that a row compares: the id of each.",),
    ("ratings", "dimension"): ("The column that says which dimension a row is about, and the one of the ratings.",),
    ("ratings", "dimensions"): (
        "Dimension: its column, or in a long table its text. A word of your own: the same as in study.yaml.",
    ),
    ("ratings", "labels"): ("Text: category, 1 the lowest; for comparisons also the side that is preferred, or tie.",),
    ("ratings", "numbers"): (
        (
            "Ratings are numbers; quantiles: so many categories of about as many ratings each. For a collection that"
            " grows give cuts in their place, such as cuts: [20, 40, 60, 80]."
        ),
    ),
    ("ratings", "missing"): ("Texts that mean: no answer.",),
    ("ratings", "attention"): (
        "Attention check: the answer that passes. Rows with another are left out, and counted.",
    ),
    ("participants",): ("What participants say of themselves.",),
    ("participants", "attributes"): (
        (
            "The study's word: its column. values: {text: term} makes several texts one term; ranges does so for"
            " numbers; many is for cells with several answers."
        ),
    ),
    ("participants", "not_declared"): ("Texts that mean: would rather not say.",),
    ("responses",): ("The texts.",),
    ("responses", "prompt"): ("Which prompt a response answers; left out, every response is its own prompt.",),
}
STUDY_COMMENTS: dict[Key, tuple[str, ...]] = {
    ("ratings",): ("Where the files are, from here.",),
    ("dimensions",): (
        "better: lower or higher. definition: what raters were asked; a chat model that judges is told it.",
    ),
    ("strata",): ("Groups of participants: who declares one of the values.",),
    ("scales",): ("Name: what each category becomes, the lowest first; null drops it.",),
    ("survey",): ("reference: attribute: the value that the ordinal models compare the others with.",),
    ("evaluation",): ("The share of prompts that train nothing, on which models are judged.",),
    ("experiments",): (
        "Conditions, how feedback becomes training, and contrasts between them; control is the model untouched.",
    ),
    ("architectures",): ("Models: see configs/architectures for others.",),
    ("recipe",): ("How they train: see configs/recipes.",),
}


@dataclass
class Started:
    """What `init` wrote, and what there is to say about it. faults: what keeps the study from running, to be edited."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def start(paths: Sequence[Path], output: Path | None = None, purpose: Purpose = "tiny", force: bool = False) -> Started:
    """Write a codebook and a study for the user's files.

    Args:
        paths: files, or folders of files.
        output: the folder to write into; by default `pluralign-NAME` here, after the first of them.
        force: write over an earlier codebook and study there.

    Raises:
        InputError: a file can't be read, nothing in the files can be told to be ratings, or the folder has such files.
    """
    name = _name(paths[0])
    folder = Path(output) if output is not None else Path(f"pluralign-{name}")
    taken = [file for file in (CODEBOOK, STUDY) if (folder / file).exists()]
    if taken and not force:
        raise InputError(
            f"{folder}: has {' and '.join(taken)} already; give another --output, or --force to write over them"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; --output names a folder")
    opened = read_tables(paths)
    title, draft = _draft(opened)
    absolute = folder.absolute()
    scratch = absolute.with_name(f".{absolute.name}.{os.getpid()}")
    try:
        scratch.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    try:
        started = _write(name, title, draft, opened, scratch, folder, purpose)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (CODEBOOK, STUDY):
            os.replace(scratch / file, folder / file)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return started


def _name(path: Path) -> str:
    stem = path.absolute().stem if path.suffix else path.absolute().name
    slug = re.sub(r"[^a-z0-9]+", "-", plain_letters(stem)).strip("-")[:40].strip("-")
    return slug or "ratings"


def _draft(opened: Opened) -> tuple[str, Draft]:
    """What the files are called that a bridge knows, "" for others, and their draft."""
    for bridge in BRIDGES:
        draft = bridge.draft(opened.tables)
        if draft is not None:
            return bridge.title, with_scale(draft, opened.tables)
    return "", general_draft(opened.tables)


def _write(
    name: str, title: str, draft: Draft, opened: Opened, scratch: Path, folder: Path, purpose: Purpose
) -> Started:
    """Write both files into `scratch`, having seen that they can be read and run."""
    started = Started(folder)
    given = {"name": name, "version": 1, "source": title or name, "language": draft.language or "en"}
    settings = given | {key: value for key, value in draft.codebook.items() if value}
    unclear = list(draft.unclear)
    codebook_places = _put(
        scratch / CODEBOOK, settings, _noted(CODEBOOK_COMMENTS, unclear), "A codebook, as pluralign init wrote it."
    )
    codebook = load_codebook(str(scratch / CODEBOOK))
    data, sample = None, ""
    try:
        data, sample = read_data(codebook, opened)
    except InputError as fault:
        started.faults.append(str(fault))
    if data is not None and not draft.language:
        code, sure = language_of(data.responses["response"].sample(frac=1, random_state=0))
        settings["language"] = code
        if not sure:
            unclear.append(f"language: the texts don't say which; taken: {code}")
        codebook_places = _put(
            scratch / CODEBOOK,
            settings,
            _noted(CODEBOOK_COMMENTS, unclear),
            "A codebook, as pluralign init wrote it.",
        )
        codebook = load_codebook(str(scratch / CODEBOOK))
    where = os.path.relpath(opened.folder, folder.absolute())
    study = _study(name, where, codebook, draft, data, purpose, scratch, unclear)
    places = _put(
        scratch / STUDY,
        study.settings,
        _noted(STUDY_COMMENTS, unclear, study),
        "A study, as pluralign init wrote it.",
    )
    _check(scratch / STUDY, codebook, data)
    started.lines = _lines(title, draft, opened, codebook, data, sample, study, folder)
    started.lines += _unclear_lines(unclear, {CODEBOOK: codebook_places, STUDY: places}, folder)
    if not started.faults:
        started.lines += _next(study, folder)
    return started


def _study(
    name: str,
    where: str,
    codebook: Codebook,
    draft: Draft,
    data: Data | None,
    purpose: Purpose,
    scratch: Path,
    unclear: Sequence[str],
) -> StudyDraft:
    """The study; without data, one of the survey alone."""
    if data is None:
        dimensions = {
            one: {"title": draft.titles.get(one, one), "better": draft.better.get(one, "higher"), "definition": ""}
            for one in codebook.ratings.dimensions
        }
        categories = list(range(1, codebook.ratings.categories + 1))
        settings = {
            "name": name,
            "title": name,
            "ratings": {"folder": where, "codebooks": [CODEBOOK]},
            "dimensions": dimensions,
            "scales": {f"{len(categories)}-point": categories},
            "evaluation": {"dimensions": list(dimensions)},
        }
        return StudyDraft(settings, {"all": "the ratings could not be read"})
    study = study_draft(name, where, codebook, draft, data, purpose)
    if "experiments" in study.settings:
        _put(scratch / STUDY, study.settings, {}, "")
        study = answerable(study, load_study(str(scratch / STUDY)), data)
    return with_one_experiment(study) if purpose == "small" else study


def _check(path: Path, codebook: Codebook, data: Data | None) -> None:
    """See that the study that was written fits the codebook that was written, and the data."""
    study = load_study(str(path))
    check_codebook(study, codebook)
    if data is not None:
        check_strata(study, data.participants)


def _put(path: Path, settings: Mapping[str, Any], comments: Mapping[Key, Sequence[str]], top: str) -> dict[Key, int]:
    text, places = render(settings, {(): (top,), **comments} if top else comments)
    path.write_text(text, encoding="utf-8")
    return places


def _noted(
    comments: Mapping[Key, Sequence[str]], unclear: Sequence[str], study: StudyDraft | None = None
) -> dict[Key, list[str]]:
    """The comments, with what could not be told above the keys that it is about: those of a codebook, or of a study."""
    noted = {key: list(sentences) for key, sentences in comments.items()}
    for one in unclear:
        path, sentence = _about(one)
        if (path[0] == "dimensions") == (study is None):  # which direction is better stands in the study
            continue
        noted.setdefault(path, []).append(f"UNCLEAR: {visible_long(sentence)}")
    if study is not None:
        for key, reason in study.why_not.items():
            noted.setdefault(("evaluation",), []).append(f"{_of_what(key, study)}: {visible_long(reason)}")
    return noted


def _about(unclear: str) -> tuple[Key, str]:
    """The key that a sentence of what is unclear begins with, as in `ratings.labels: …`, and the rest; at the top of a
    codebook where it begins with none."""
    key, colon, sentence = unclear.partition(": ")
    path = tuple(key.split("."))
    if not colon or path[0] not in (*Codebook.model_fields, "better"):
        return ("ratings",), unclear
    return ("dimensions", path[1]) if path[0] == "better" and len(path) == 2 else path, sentence


def _of_what(key: str, study: StudyDraft) -> str:
    """Which experiment is not there, or not whole."""
    if key == "all":
        return "no experiments"
    return f"{key}, in part" if key in study.settings.get("experiments", {}) else f"no {key}"


def visible_long(text: str) -> str:
    """A sentence as it may be written, however long, without control characters."""
    return "".join(visible(text[at : at + 60]) for at in range(0, len(text), 60))


# ---- what is printed


def _lines(
    title: str,
    draft: Draft,
    opened: Opened,
    codebook: Codebook,
    data: Data | None,
    sample: str,
    study: StudyDraft,
    folder: Path,
) -> list[str]:
    lines = [f"{folder / CODEBOOK}, {folder / STUDY}" + (f": {title}" if title else "")]
    lines += [f"left out: {fault}" for fault in opened.faults]
    if data is not None:
        lines.append(_found(data, codebook, sample))
        lines += [f"  {n:,} {reason}" for reason, n in (data.dropped | data.noted).items() if n]
        scale = codebook.ratings
        for dimension in codebook.ratings.dimensions:
            labels = ", ".join(f"'{visible(text)}' {label}" for text, label in list(scale.labels.items())[:12])
            numbers = f"numbers from {scale.numbers.low:g} to {scale.numbers.high:g}" if scale.numbers else ""
            better = study.settings["dimensions"].get(dimension, {}).get("better", "")
            lines.append(f"  {dimension} ({better} is better): {labels or numbers}; {scale.categories} categories")
        for attribute in codebook.participants.attributes:
            declared = sum(bool(len(terms)) for terms in data.participants[attribute])
            lines.append(f"  {attribute}: declared by {declared:,} of {len(data.participants):,} participants")
    lines.append("assumed:")
    lines += [f"  {visible_long(one)}" for one in draft.assumed]
    experiments = study.settings.get("experiments", {})
    lines.append(f"experiments: {', '.join(experiments) or 'none, the survey only'}")
    lines += [f"  {_of_what(key, study)}: {visible_long(reason)}" for key, reason in study.why_not.items()]
    lines += [f"  {visible_long(one)}" for one in study.noted]
    return lines


def _found(data: Data, codebook: Codebook, sample: str) -> str:
    dimensions = list(codebook.ratings.dimensions)
    ratings = int(data.ratings[dimensions].notna().to_numpy().sum())
    what = f"{ratings:,} ratings by {len(data.participants):,} participants of {len(data.responses):,} responses" + (
        f" to {data.responses['prompt_id'].nunique():,} prompts" if codebook.responses.prompt else ""
    )
    return f"found{sample}: {what}{', and besides' if any(data.dropped.values()) else ', all of them usable'}"


def _unclear_lines(unclear: Sequence[str], places: Mapping[str, Mapping[Key, int]], folder: Path) -> list[str]:
    lines = ["unclear:"] if unclear else []
    for one in unclear:
        path, sentence = _about(one)
        where = next(
            (
                f" (line {lines_of[known]} of {folder / file})"
                for file, lines_of in places.items()
                for known in (path, path[:-1])
                if known in lines_of
            ),
            "",
        )
        lines.append(f"  {visible_long(sentence)}{where}")
    return lines


def _next(study: StudyDraft, folder: Path) -> list[str]:
    path = folder / STUDY
    lines = ["next:"]
    if study.settings.get("experiments"):
        lines += [
            f"  pluralign plan {path}      # what would be trained",
            f"  pluralign run {path}       # the whole study",
        ]
    return [*lines, f"  pluralign survey {path}    # what the ratings say, alone"]
