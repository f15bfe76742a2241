"""Read an export through its codebooks into three tables: ratings, participants, responses.

Tables
    ratings: participant_id, response_id, prompt_id, order (position in the exports, interleaved), one column a
        dimension with the category 1 … K.
    participants: participant_id, language, one column an attribute, each cell a tuple of declared terms (empty where
        not declared).
    responses: response_id, prompt_id, prompt, response.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from configs.codebook import Codebook
from configs.errors import InputError, lines_of, together, unknown
from configs.load import load_codebooks
from configs.paths import also_looked
from configs.schema import Study
from tasks.ratings.reading.answers import CONFLICTING, NO_ANSWER_AT_ALL, REPEATED
from tasks.ratings.reading.columns import ATTENTION
from tasks.ratings.reading.faults import describe_faults, faults_of, ids_of, rejected_of
from tasks.ratings.reading.label_rows import LABEL_ROW
from tasks.ratings.reading.quantiles import with_cuts
from tasks.ratings.reading.shape import NOT_WANTED
from tasks.ratings.reading.source import Source, matching, read_strictly
from tasks.ratings.reading.validate import Valid, read_export, validate

TWICE = "rated twice by the same participant (the first rating counts)"
RATED_NOTHING = "participants who rated nothing, and count nowhere"


@dataclass(frozen=True)
class Data:
    """The study's ratings, and who gave them.

    dropped: what was left out on the way in, reason → rows. noted: what is no loss, but worth knowing → how many.
    compared: whether responses were compared, so that a prompt's ratings by a participant belong together.
    """

    ratings: pd.DataFrame
    participants: pd.DataFrame
    responses: pd.DataFrame
    categories: int
    dropped: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)
    compared: bool = False


def load_ratings(
    dimensions: Sequence[str], codebooks: Iterable[Codebook], folder: Path, read: Callable[..., Source] = read_strictly
) -> Data:
    """All tables of an export; the first codebook's texts stand for a response that several hold. `read`: see
    `read_export`.

    Raises:
        InputError: a missing file or column, or faults of rows; of each kind of fault the first is told. What a
            questionnaire drops by itself is counted: failed attention checks, empty rows, label rows, and of two
            ratings of the same the second.
    """
    codebooks = list(codebooks)
    check_scales(codebooks)
    valid, faults = dict[str, Valid](), list[str]()
    for codebook in codebooks:
        valid[codebook.name], own = _load(narrowed(codebook, dimensions), codebooks, folder, read)
        faults += own
    if faults:
        raise together(str(folder), faults, "kinds of faults, the first of each:")
    data = stack(
        ratings=[with_prompts(one.ratings.table, one.responses.table) for one in valid.values()],
        participants=[one.participants.table for one in valid.values()],
        responses=[one.responses.table for one in valid.values()],
        categories=codebooks[0].ratings.categories,
        dropped=total(_dropped(codebook, valid[codebook.name]) for codebook in codebooks),
    )
    return of_raters(replace(data, noted=total(one.noted for one in valid.values())))


def total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sum, key by key."""
    summed: Counter[str] = Counter()
    for one in counts:
        summed.update(one)
    return dict(summed)


def of_raters(data: Data) -> Data:
    """The same without participants who gave none of the ratings, who are counted."""
    rated = data.participants["participant_id"].isin(data.ratings["participant_id"])
    if rated.all():
        return data
    people = data.participants[rated].reset_index(drop=True)
    return replace(data, participants=people, noted=data.noted | {RATED_NOTHING: int((~rated).sum())})


def stack(
    ratings: list[pd.DataFrame],
    participants: list[pd.DataFrame],
    responses: list[pd.DataFrame],
    categories: int,
    dropped: dict[str, int],
) -> Data:
    """One codebook's tables above another's; ratings without an `order` are interleaved."""
    people = pd.concat(participants, ignore_index=True)
    for name in people.columns.drop(["participant_id", "language"]):  # nobody declares what was not asked
        people[name] = [() if terms is None or isinstance(terms, float) else tuple(terms) for terms in people[name]]
    stacked = pd.concat(ratings, ignore_index=True)
    if "order" not in stacked:
        stacked["order"] = interleaved([len(one) for one in ratings])
    texts = pd.concat(responses, ignore_index=True).drop_duplicates("response_id", ignore_index=True)
    return Data(stacked, people, texts, categories, dropped)


def with_prompts(ratings: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """The ratings with the prompt_id of their responses."""
    prompts = ratings["response_id"].map(responses.set_index("response_id")["prompt_id"])
    columns = ["participant_id", "response_id", "prompt_id", *ratings.columns.drop(["participant_id", "response_id"])]
    return ratings.assign(prompt_id=prompts)[columns]


def interleaved(sizes: Sequence[int]) -> np.ndarray:
    """The order of stacked exports' rows, each export spread evenly over all, so that none has all the first raters."""
    places = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    return np.argsort(np.argsort(places, kind="stable"), kind="stable")


def check_scales(codebooks: Sequence[Codebook]) -> None:
    """Raise `InputError` unless all have as many categories."""
    scales = {codebook.ratings.categories for codebook in codebooks}
    if len(scales) > 1:
        raise InputError(f"codebooks with different scales: {', '.join(map(str, sorted(scales)))} categories")


def narrowed(codebook: Codebook, dimensions: Sequence[str]) -> Codebook:
    """The codebook without its other dimensions, whose columns or rows are then left behind."""
    table = codebook.ratings
    others = [text for name, text in table.dimensions.items() if name not in dimensions]
    changes = {
        "dimensions": {name: table.dimensions[name] for name in dimensions},
        "reversed": tuple(name for name in table.reversed if name in dimensions),
        "ignored": (*table.ignored, *others) if table.long else (),
    }
    return codebook.model_copy(update={"ratings": table.model_copy(update=changes)})


def _load(
    codebook: Codebook, siblings: Sequence[Codebook], folder: Path, read: Callable[..., Source]
) -> tuple[Valid, list[str]]:
    """One codebook's tables, and a line for the first of each kind of their faults."""
    sources = read_export(codebook, {file: folder / file for file in codebook.files}, read)
    codebook = with_cuts(codebook, sources["ratings"])
    others = [sibling for sibling in siblings if sibling.name != codebook.name]
    valid = validate(codebook, sources, lambda text: f"{codebook.name}:{text}", others)
    rejected = rejected_of(codebook, valid, ids_of(codebook, sources))
    return valid, describe_faults(faults_of(rejected[rejected["reason"] != CONFLICTING]))


def _dropped(codebook: Codebook, valid: Valid) -> dict[str, int]:
    """Reason → rows; label rows, and rows that the codebook leaves behind, only where there are any."""
    lost, rejected = valid.ratings.dropped, valid.ratings.rejected
    twice = {*lost.loc[lost["reason"] == REPEATED, "row"], *rejected.loc[rejected["reason"] == CONFLICTING, "row"]}
    labels = [part.dropped[part.dropped["reason"] == LABEL_ROW] for part in valid.parts.values()]
    files = [getattr(codebook, name).file for name in valid.parts]
    rows = {(file, row) for file, own in zip(files, labels, strict=True) for row in own["row"]}
    of_labels = {LABEL_ROW: len(rows)} if rows else {}
    behind = int((lost["reason"] == NOT_WANTED).sum())
    of_labels |= {NOT_WANTED: behind} if behind else {}
    return of_labels | {
        ATTENTION: int((rejected["reason"] == ATTENTION).sum()),
        NO_ANSWER_AT_ALL: int((lost["reason"] == NO_ANSWER_AT_ALL).sum()),
        TWICE: len(twice),
    }


# ---- the study against the ratings


def check_codebook(study: Study, codebook: Codebook) -> None:
    """See that the study's dimensions, scales and attributes are those of the questionnaire.

    Raises:
        InputError: each dimension and attribute that the codebook doesn't have, each scale of another length.
    """
    faults: list[str] = []

    def tell(place: str, text: str) -> None:
        faults.append(f"{study.name}: {place} ({codebook.name}): {text}")

    for dimension in study.dimensions:
        if dimension not in codebook.ratings.dimensions:
            tell("dimensions", unknown(dimension, codebook.ratings.dimensions))
    categories = codebook.ratings.categories
    if codebook.ratings.sides:
        for name, experiment in study.experiments.items():
            for key, condition in experiment.conditions.items():
                if condition.aggregation == "all" and condition.within != "participant":
                    tell(f"experiments.{name}.conditions.{key}.within", "comparisons, so only participant is allowed")
    for name, scale in study.scales.items():
        if len(scale) != categories:
            tell(f"scales.{name}", f"{len(scale)} entries for {categories} categories")
    named = [(f"strata.{name}.attribute", stratum.attribute) for name, stratum in study.strata.items()]
    for key, attribute in [*named, *(("survey.reference", attribute) for attribute in study.survey.reference)]:
        if attribute not in codebook.participants.attributes:
            tell(key, unknown(attribute, codebook.participants.attributes))
    if faults:
        raise together(study.name, faults)


def fitting_codebooks(study: Study) -> list[Codebook]:
    """The study's codebooks.

    Raises:
        InputError: the faults of all of them, or everything in which the study does not fit them.
    """
    codebooks, faults = load_codebooks(study.ratings.codebooks), list[str]()
    for codebook in codebooks:
        try:
            check_codebook(study, codebook)
        except InputError as error:
            faults += lines_of(error)
    if faults:
        raise together(study.name, faults)
    return codebooks


def check_strata(study: Study, participants: pd.DataFrame) -> None:
    """See that somebody declares each value that a stratum or the survey's reference names.

    Raises:
        InputError: each value that nobody does, with those that so many declare that a report shows them.
    """
    faults: list[str] = []
    named = [(f"strata.{name}.values", stratum.attribute, stratum.values) for name, stratum in study.strata.items()]
    named += [(f"survey.reference.{name}", name, (value,)) for name, value in study.survey.reference.items()]
    for place, attribute, values in named:
        declared = Counter(term for terms in participants[attribute] for term in set(terms))
        shown = sorted(term for term, n in declared.items() if n >= study.survey.min_participants)
        for value in values:
            if value not in declared:
                faults.append(f"{study.name}: {place} (no participant declares it): {unknown(value, shown)}")
    if faults:
        raise together(study.name, faults)


def files_of(codebooks: Iterable[Codebook], folder: Path) -> list[Path]:
    """Every file that the codebooks read.

    Raises:
        InputError: those that are missing.
    """
    files = dict.fromkeys(folder / file for codebook in codebooks for file in codebook.files)
    paths = list(dict.fromkeys(path for file in files for path in matching(file)))
    said = f"no such file; ratings.folder says where the export lies{also_looked(folder)}"
    if missing := [f"{path}: {said}" for path in paths if not path.is_file()]:
        raise together(str(folder), missing if folder.is_dir() else missing[:1])
    return paths
