"""`pluralign export`: what a study has, for other tools. Nothing is trained, and no server is asked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import InputError
from configs.load import load_codebook
from configs.schema import Study
from tasks.exporting.dictionary import dictionary
from tasks.exporting.preferences import write_preferences
from tasks.exporting.ratings import attributes_for, export_names, release
from tasks.exporting.run_tables import run_tables
from tasks.planning.finished import finished_run
from tasks.ratings.landing.pseudonym import find_key
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.home import home
from tasks.runtime.spreadsheet import as_csv
from tasks.runtime.store import Artifact, Store
from tasks.runtime.stores import chosen_store
from tasks.runtime.tables import Table
from tasks.simulation.step import simulated_export
from tasks.survey.raters import rater_names

PREFERENCES, RATINGS, TABLES = PARTS = ("preferences", "ratings", "tables")
FACTS, DICTIONARY = "export.json", "dictionary.csv"
LINKED = (
    "preferences of conditions on some participants stand beside single ratings: laid together, they can tell who "
    "belongs to a stratum, also where that is not given away. For others than your own team, export one of them: --only"
)


@dataclass
class Contents:
    """What is written: lines that tell it, facts for `export.json`, every Parquet file's declaration by its path."""

    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, type[Table]] = field(default_factory=dict)

    def add(self, folder: Path, part: str, tables: dict[str, tuple[type[Table], pd.DataFrame]]) -> None:
        """Write tables as `PART/NAME.parquet`."""
        (folder / part).mkdir()
        for name, (declared, table) in tables.items():
            file = f"{part}/{name}.parquet"
            table.to_parquet(folder / file, index=False)
            self.declared[file] = declared


def export_study(
    study: Study,
    output: Path,
    parts: Sequence[str] = (),
    attributes: Sequence[str] = (),
    source: Path | None = None,
    kept_key: Callable[[str], str | None] = lambda name: None,
) -> list[str]:
    """Write `parts` (default: all) into `output`, in place of an earlier export, whole or not at all.

    Args:
        attributes: to give away of participants; by default those of the study's strata.
        source: the outputs of the run whose tables are exported; by default outputs/NAME, where there is one.
        kept_key: where a key for pseudonyms may be kept, see `find_key`.

    Returns:
        Lines that tell what was written and what was left out.

    Raises:
        InputError: what is in `output` is no export; there is no run in `source`; an attribute is unknown.
    """
    parts, store = parts or PARTS, chosen_store()
    ratings = read_ratings(study, store, simulated_export(study, store))
    data = load_data(study, ratings)
    key = find_key(home(), kept_key)
    names = export_names(study, ratings.key, key)
    contents = Contents(facts={"study": study.name, "label": study.label, "ratings_digest": ratings.key})
    if snapshot := ratings.record.get("snapshot"):
        contents.facts["snapshot"] = snapshot
    with in_place_of_earlier(output) as folder:
        if PREFERENCES in parts:
            _preferences(contents, study, data, ratings, store, folder)
        if RATINGS in parts:
            _ratings(contents, study, data, attributes, names, folder)
        if TABLES in parts:
            in_table = rater_names(study, key)
            raters = {in_table(own): names(own) for own in data.participants["participant_id"]}
            _tables(contents, study, ratings, source, raters, required=tuple(parts) == (TABLES,), folder=folder)
        if contents.facts.get("conditions_of_strata") and RATINGS in parts:
            contents.lines.append(LINKED)
        (folder / DICTIONARY).write_text(as_csv(dictionary(contents.declared)))
        (folder / FACTS).write_text(json.dumps(contents.facts, indent=1, ensure_ascii=False))
        (folder / "README.md").write_text(_readme(study, contents.lines))
    return [*contents.lines, f"export: {output}"]


@contextmanager
def in_place_of_earlier(output: Path) -> Iterator[Path]:
    """A folder beside `output` to write into, which takes its place at the end; nothing happens to it after a fault."""
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / FACTS).is_file())):
        raise InputError(f"{output}: there already, and no export; name another folder with --output")
    made, old = (output.with_name(f".{output.name}.{what}-{os.getpid()}") for what in ("new", "old"))
    try:
        made.mkdir(parents=True)
        yield made
        if output.exists():
            output.rename(old)
        made.rename(output)
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}") from None
    finally:
        for folder in (made, old):
            shutil.rmtree(folder, ignore_errors=True)


# ---- the parts


def _preferences(
    contents: Contents, study: Study, data: StudyData, ratings: Artifact, store: Store, folder: Path
) -> None:
    if not study.experiments:
        contents.lines.append("preferences: none, the study has no experiments")
        return
    written = write_preferences(study, data, ratings, store, folder / PREFERENCES)
    kept = [own for own in written if not own.why_not]
    held_out = len(data.held_out_prompts)
    contents.facts |= {
        "conditions": len(kept),
        "conditions_of_strata": sum(own.of_strata for own in kept),
        "held_out_prompts": held_out,
    }
    rows = f"{sum(own.expanded for own in kept):,} expanded and {sum(own.collapsed for own in kept):,} collapsed rows"
    contents.lines.append(f"preferences: {len(kept)} conditions, {rows}; {held_out} held-out prompts are left out")
    contents.lines += [
        f"preferences: {own.experiment} / {own.condition} left out: {own.why_not}" for own in written if own.why_not
    ]


def _ratings(
    contents: Contents, study: Study, data: StudyData, wanted: Sequence[str], names: Callable[[str], str], folder: Path
) -> None:
    attributes, few = attributes_for(study, data, wanted), study.survey.min_participants
    codebooks = [load_codebook(name) for name in study.ratings.codebooks]
    released = release(study, data, codebooks, names, attributes)
    contents.add(folder, RATINGS, dict(released.tables))
    contents.facts |= {"min_participants": few, "suppressed": dict(released.suppressed)}
    sizes = {name: len(table) for name, (_, table) in released.tables.items()}
    contents.lines.append(
        f"ratings: {sizes['ratings']:,} ratings of {sizes['responses']:,} responses by {sizes['participants']:,} "
        "participants, under pseudonyms of this export"
    )
    lost = ", ".join(f"{name} of {n}" for name, n in released.suppressed.items())
    shared = f"values emptied, so that {few} participants share whatever stands there: {lost}"
    contents.lines.append(f"ratings: {shared if lost else 'nobody declares anything'}")


def _tables(
    contents: Contents,
    study: Study,
    ratings: Artifact,
    source: Path | None,
    raters: dict[str, str],
    required: bool,
    folder: Path,
) -> None:
    outputs = source or Path("outputs") / study.name
    if not (source or required or (outputs / "study.json").exists()):
        contents.lines.append(f"tables: none, there is no run in {outputs}")
        return
    run = finished_run(outputs)
    tables = run_tables(run.tables, raters)
    contents.add(folder, TABLES, tables)
    contents.facts["run"] = run.facts.get("created", "")
    contents.lines.append(f"tables: {len(tables)} of the run of {run.facts.get('created', 'an unknown time')}")
    if run.facts["ratings_digest"] != ratings.key:
        contents.lines.append("tables: that run read other ratings than those that are exported here")


def _readme(study: Study, lines: list[str]) -> str:
    sources = [load_codebook(name).source for name in study.ratings.codebooks]
    about = [
        f"# Export of the study `{study.name}`",
        *([f"**{study.label}**"] if study.label else []),
        "\n".join(f"- {line}" for line in lines),
        f"`{DICTIONARY}` says what each column of `{RATINGS}/` and `{TABLES}/` means; `{PREFERENCES}/README.md` tells "
        "of preference data. Prompts, responses and their ids stand as they are in the ratings.",
        "Ratings from: " + "; ".join(source for source in sources if source),
    ]
    return "\n\n".join(about) + "\n"
