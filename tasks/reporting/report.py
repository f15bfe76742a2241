"""The report: one document of all chapters, written as self-contained HTML and as Markdown."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from configs.schema import Study
from tasks.effects.tables import Cells
from tasks.reporting.chapters import CHAPTERS, in_order_of_findings
from tasks.reporting.chapters.failures import in_part
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.document import Items, Section, rendered
from tasks.reporting.house.drawing import Figure, house_style, save
from tasks.reporting.house.drawn import recall, remember
from tasks.reporting.house.latex import latex
from tasks.reporting.house.tables import Tables
from tasks.reporting.house.words import joined, label_sentence
from tasks.reporting.run_facts import Facts
from tasks.runtime.files import write_atomically
from tasks.runtime.fingerprint import fingerprint, frame_digest, source_digest
from tasks.runtime.progress import tell, told_of
from tasks.runtime.tables import name_of


def write_report(study: Study, tables: Tables, facts: Facts, folder: Path) -> Path:
    """Draw the figures, write `report.html` and `report.md` into `folder`, each replaced whole; the HTML's path.

    A table that is missing or empty leaves out what is made of it.

    Raises:
        KeyError: a table lacks a declared column.
    """
    results = Results(study, tables, facts)
    results = replace(results, figures={figure.name: figure for figure in draw_all(results, folder / "figures")})
    page = {
        "study": study,
        "banner": banner(study),
        "status": in_part(results),
        "created": facts.created,
        "has_published": results.has_published,
        "sections": sections(results),
    }
    for table in (table for chapter in CHAPTERS for table in chapter.latex(results)):
        write_atomically(folder / "tables" / f"{table.name}.tex", latex(table, label_sentence(study)))
    for name in ("report.md", "report.html"):
        write_atomically(folder / name, rendered(name, page).encode("utf-8", "replace"))
    return folder / "report.html"


def draw_all(results: Results, folder: Path) -> list[Figure]:
    """Draw every figure that the tables allow, to `folder/NAME.svg` and `folder/NAME.png`; safe in threads.

    Those that lie there, drawn by the same code from the same settings and tables, stay. So no figure may show when or
    how a run went: `Cells` and the run's facts are kept from them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: table for name, table in results.tables.items() if name != name_of(Cells)}
    timeless = replace(results, tables=tables, facts=Facts())
    digests = {name: frame_digest(table) for name, table in tables.items()}
    key = fingerprint([results.study, digests, source_digest(), version("matplotlib")])
    if (figures := recall(folder, key)) is None:
        with house_style():
            drawings = [drawing for chapter in CHAPTERS for drawing in chapter.figures(timeless)]
            told = told_of(drawings, 0, len(drawings), "draw", "figures", tell)
            figures = [save(drawing, results.study, folder) for drawing in told]
        remember(folder, key, figures)
    return figures


def findings(results: Results) -> list[str]:
    """The study's results as plain sentences; they claim no more than their intervals allow."""
    return [sentence for chapter in in_order_of_findings() for sentence in chapter.findings(results)]


def sections(results: Results) -> list[Section]:
    """The findings, and all chapters that have something to say, in the order of reading."""
    sentences = findings(results)
    first = [Section("findings", "Findings", [Items(sentences)])] if sentences else []
    return [*first, *(section for chapter in CHAPTERS for section in chapter.sections(results))]


# ---- what a reader must know first


def banner(study: Study) -> list[str]:
    """What the label means for a reader; empty where ratings and models are real."""
    if not study.label:
        return []
    tiny = sum(architecture.tiny is not None for architecture in study.architectures)
    which = "The models are" if tiny == len(study.architectures) else f"{tiny} of {len(study.architectures)} models are"
    about = (["people"] if study.ratings.simulate else []) + (["language models in use"] if tiny else [])
    sentences = [f"{label_sentence(study)[:-1]}: this is not evidence about {joined(about, ' or ')}."]
    if study.ratings.simulate:
        sentences.append("The ratings were drawn by a simulation; no person gave them.")
    if tiny:
        sentences.append(
            f"{which} tiny ones, built and pre-trained within this study, far smaller than any model in use."
        )
    if tiny and not study.ratings.simulate:
        sentences.append(
            "The ratings are real, and so is what the survey section says of them. The effects of such tiny models on "
            "real text mean little: only the path through every stage is demonstrated."
        )
    else:
        stages = "every stage runs, from ratings to pooled effects" if study.architectures else "the analysis runs"
        sentences.append(f"The numbers show that {stages}.")
    return sentences
