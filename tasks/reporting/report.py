"""The report: one document of sections and parts, written as self-contained HTML and as Markdown.

The templates only lay parts out, so both files say the same. All text may come from data: HTML is escaped by Jinja,
Markdown by `markdown`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.schema import CONTROL, Experiment, Study
from tasks.methods import METHODS
from tasks.reporting.audit_section import audit
from tasks.reporting.document import Caution, Code, Fold, Items, Link, Picture, Rows, Section, Table, Text
from tasks.reporting.drawing import Figure
from tasks.reporting.facts import Facts
from tasks.reporting.figures import draw_all
from tasks.reporting.findings import (
    banner,
    findings,
    in_part,
    in_words,
    method,
    published_note,
    trained,
)
from tasks.reporting.forest import forest_name
from tasks.reporting.health_section import health
from tasks.reporting.judge_section import judge
from tasks.reporting.latex import latex
from tasks.reporting.lineage_section import every_effect, lineage
from tasks.reporting.moved_section import what_moved
from tasks.reporting.paper import known_ratios, pairs
from tasks.reporting.paper_section import against_the_paper, effects_table, ratios_table
from tasks.reporting.pooling_section import budgets, pooling
from tasks.reporting.regression_section import regression, significant_terms
from tasks.reporting.survey_section import survey, who_rated
from tasks.reporting.tables import Row, Tables, contrast_text, pooled_rows, rows, titled
from tasks.reporting.words import (
    DASH,
    better,
    finite,
    interval,
    label_sentence,
    number,
    p_value,
    stratum_title,
    title_of,
    whole,
)
from tasks.runtime.files import write_atomically

AGGREGATIONS = {
    "all": "all ratings", "majority": "majority vote", "consensus": "full consensus only",
    "first": "first rating", "average": "average, rounded",
}  # fmt: skip
LONGEST_ERROR = 300


def write_report(study: Study, tables: Tables, facts: Facts, folder: Path) -> Path:
    """Draw the figures, write `report.html` and `report.md` into `folder`, each replaced whole; the HTML's path.

    A table that is missing or empty leaves its section out; `tables.DECLARED` has their columns.
    """
    figures = {figure.name: figure for figure in draw_all(study, tables, folder / "figures")}
    document = {
        "study": study, "banner": banner(study), "status": in_part(tables, facts), "created": facts.created,
        "sections": sections(study, tables, facts, figures),
    }  # fmt: skip
    environment = _environment()
    write_latex(study, tables, folder / "tables")
    for name in ("report.md", "report.html"):
        text = environment.get_template(f"{name}.j2").render(document)
        write_atomically(folder / name, text.encode("utf-8", "replace"))
    return folder / "report.html"


def write_latex(study: Study, tables: Tables, folder: Path) -> None:
    """`pooled.tex`, `published.tex`, `ratios.tex` and `ordinal_regression.tex`, where there is something in them."""
    found = [row for name in study.experiments for row in pooled_rows(study, tables, name)]
    beside, ratios, terms = pairs(study, tables), known_ratios(study, tables), significant_terms(study, tables)
    made = {
        "pooled": ("Pooled effects.", pooled_table(study, found, {}) if found else None),
        "published": ("Pooled effects beside the published.", effects_table(study, beside) if beside else None),
        "ratios": ("Ratios of pooled effects.", ratios_table(study, tables) if ratios else None),
        "ordinal_regression": ("Who rates differently.", terms),
    }
    for name, (caption, table) in made.items():
        if table:
            text = f"{caption} {table.caption} {label_sentence(study)}"
            write_atomically(folder / f"{name}.tex", latex(table.header, table.align, table.body, text, name))


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["md"] = markdown
    return environment


def markdown(text: object) -> str:
    """Any text as one line of plain Markdown: no markup, no HTML, no table cell of its own."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", line)
    return re.sub(r"^([-+]|\d+[.)])(?= )", r"\\\1", line)


def sections(study: Study, tables: Tables, facts: Facts, figures: Mapping[str, Figure]) -> list[Section]:
    """All sections that have something to say, in the order of reading."""
    found = [
        Section("findings", "Findings", [Items(sentences)] if (sentences := findings(study, tables)) else []),
        Section("method", "What was done", _method(study, tables, facts)),
        Section("participants", "Who rated", who_rated(study, tables, facts.not_shown)),
        Section("survey", "What the ratings say", survey(study, tables, figures)),
        Section("regression", "Who rates differently", regression(study, tables, figures)),
        Section("audit", "Whose voice is in the data", audit(study, tables, figures)),
        *(_experiment(study, tables, figures, name) for name in study.experiments),
        Section("paper", "Beside the paper", against_the_paper(study, tables, figures)),
        Section("pooling", "Pooling", pooling(study, tables, figures)),
        Section("budgets", "Equal epochs, equal steps", budgets(study, tables, figures)),
        Section("moved", "What moved", what_moved(study, tables, facts)),
        Section("training-runs", "Training runs", _training_runs(tables)),
        Section("failures", "Failures", _failures(study, tables)),
        Section("health", "Health of the runs", health(study, tables)),
        Section("judge", "The judge and the raters", judge(study, tables, facts)),
        Section("dropped", "What was dropped", _drops(tables)),
        Section("provenance", "Provenance", [*lineage(study, tables, facts), *_provenance(study, facts)]),
    ]
    return [section for section in found if section.parts]


# ---- what was done


def _method(study: Study, tables: Tables, facts: Facts) -> list[Any]:
    """The steps, and what the published values are; a survey says that it is no more than that."""
    notes = published_note(study) if trained(tables) else ["No models were trained: this is what the ratings say."]
    return [Items(method(study, tables, facts), "steps"), *(Text(note) for note in notes)]


# ---- experiments


def _experiment(study: Study, tables: Tables, figures: Mapping[str, Figure], name: str) -> Section:
    experiment, parts = study.experiments[name], []
    found = pooled_rows(study, tables, name)
    if found:
        parts = [Text(experiment.question), Fold("The conditions", [_conditions(study, experiment)])]
        parts += [Picture(figures[key]) for key in (f"effects-{name}",) if key in figures]
        parts += [Text(text) for text in in_words(study, tables, name)]
        parts += [pooled_table(study, found, figures), Rows(("pooled",))]
        forests = [Picture(figures[key]) for row in found if (key := forest_name(row)) in figures]
        parts += [Fold(f"Forest plots: {whole(len(forests))}", forests)] if forests else []
        parts += every_effect(study, tables, name)
    return Section(f"experiment-{name}", experiment.title, parts)


def _conditions(study: Study, experiment: Experiment) -> Table:
    body = [
        [name, stratum_title(study, c.stratum) if c.stratum else "everybody",
         ", ".join(title_of(study, dimension) for dimension in c.dimensions), c.scale, AGGREGATIONS[c.aggregation],
         METHODS[c.method].title]
        for name, c in experiment.conditions.items()
    ]  # fmt: skip
    return Table(["Condition", "Whose ratings", "Of what", "Scale", "Disagreement", "Method"], "llllll", body)


def pooled_table(study: Study, found: list[Row], figures: Mapping[str, Figure]) -> Table:
    """Ours and, where there is one, the published value beside it; a column without any value is left out.

    A contrast leads to its forest plot.
    """
    columns: dict[str, list[Any]] = {
        "Contrast": [_to_forest(r, figures) for r in found], "Dimension": [titled(study, r) for r in found],
        "k": [whole(r["k"]) for r in found], "Effect": [number(r["estimate"]) for r in found],
        "95% CI": [interval(r["ci_low"], r["ci_high"]) for r in found], "p": [p_value(r["p"]) for r in found],
        "Published": [number(r["published"]) for r in found], "Published p": [r["published_p"] or DASH for r in found],
        "95% CI (HKSJ)": [interval(r["hksj_ci_low"], r["hksj_ci_high"]) for r in found],
        "p (HKSJ)": [p_value(r["hksj_p"]) for r in found], "Holm": [p_value(r["hksj_p_holm"]) for r in found],
        "I²": [_share(r["i2"]) for r in found],
        "Marked": [whole(r["n_marked"]) if r["n_marked"] > 0 else DASH for r in found],
    }  # fmt: skip
    told = {name: column for name, column in columns.items() if set(map(str, column)) != {DASH}}
    ways = {titled(study, r): better(study, r["dimension"]) for r in found}
    caption = (
        f"Differences in score (0–1). {'; '.join(f'{title}: {way}' for title, way in ways.items())}. Holm: p (HKSJ) "
        "adjusted for all lines of this table."
    )
    caption += " Marked: architectures whose runs fail a limit of health." if "Marked" in told else ""
    return Table(list(told), "ll" + "r" * (len(told) - 2), list(zip(*told.values(), strict=True)), caption)


def _to_forest(row: Row, figures: Mapping[str, Figure]) -> Any:
    name = forest_name(row)
    return Link(contrast_text(row), f"#figure-{name}") if name in figures else contrast_text(row)


def _share(percentage: float) -> str:
    return f"{number(percentage, 0)}%" if finite(percentage) else DASH


# ---- what else a reader must know


def _training_runs(tables: Tables) -> list[Any]:
    """Which conditions are one training run, by the cells that name the same run."""
    cells = [row for row in rows(tables, "cells") if row["condition"] != CONTROL and row["training_run"]]
    if not cells:
        return []
    users: dict[tuple[str, str], list[str]] = {}
    for row in cells:
        name = f"{row['experiment']} / {row['condition']}"
        users.setdefault((row["architecture"], row["training_run"]), []).append(name)
    shared: dict[tuple[str, ...], list[str]] = {}
    for (architecture, _), names in users.items():
        if len(names) > 1:
            shared.setdefault(tuple(names), []).append(architecture)
    text = f"{whole(len(cells))} trained cells come from {whole(len(users))} training runs."
    if not shared:
        return [Text(text)]
    text += " Conditions whose training data and settings are the same share a run: their effects come from one model."
    body = [[", ".join(names), whole(len(models))] for names, models in shared.items()]
    return [Text(text), Table(["One training run for", "Architectures"], "lr", body)]


def _failures(study: Study, tables: Tables) -> list[Any]:
    """Failed cells with their reasons, and the contrasts that lost an architecture to them."""
    cells = rows(tables, "cells")
    failed = [row for row in cells if row["status"] == "failed"]
    if not cells:
        return []
    if not failed:
        return [Text(f"All {whole(len(cells))} cells finished."), *_fewer(study, tables)]
    body = [[r["experiment"], r["architecture"], r["condition"], _shortened(r["error"])] for r in failed]
    return [
        Caution(f"{len(failed)} of {len(cells)} cells failed. Effects that need them are missing from the pool."),
        Table(["Experiment", "Architecture", "Condition", "Why"], "llll", body),
        *_fewer(study, tables),
    ]


def _fewer(study: Study, tables: Tables) -> list[Any]:
    total = len(study.architectures)
    found = [row for name in study.experiments for row in pooled_rows(study, tables, name) if row["k"] < total]
    if not found:
        return []
    body = [[r["experiment"], contrast_text(r), titled(study, r), f"{whole(r['k'])} of {total}"] for r in found]
    return [Text("Pooled over fewer architectures:"), Table(["Experiment", "Contrast", "Dimension", "k"], "lllr", body)]


def _shortened(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …"


def _drops(tables: Tables) -> list[Any]:
    found = rows(tables, "drops")
    body = [[r["condition"], r["step"], r["reason"], whole(r["dropped"]), whole(r["kept"])] for r in found]
    header = ["Condition", "Step", "Reason", "Dropped", "Kept"]
    text = "Everything that was left out between the ratings and the training data, and why."
    return [Text(text), Fold(f"{len(body)} entries", [Table(header, "lllrr", body)])] if body else []


def _provenance(study: Study, facts: Facts) -> list[Any]:
    """What is needed to get the same numbers again."""
    import yaml

    body = [["Study", study.name], ["Seed", str(study.seed)]]
    known = {"Ratings, digest": facts.ratings_digest, "Created": facts.created, "Finished": facts.status}
    body += [[label, value] for label, value in known.items() if value]
    what = "Format of the ratings" if study.ratings.simulate else "Source of the ratings"
    body += [[what, source] for source in facts.sources]
    parts: list[Any] = [Table(["What", "Value"], "ll", body)]
    groups = {"Counts": facts.counts, "Versions": facts.versions, "Seconds by stage": facts.seconds}
    for title, values in groups.items():
        entries = [[name, str(value)] for name, value in values.items()]
        parts += [Fold(title, [Table(["What", "Value"], "lr", entries)])] if entries else []
    settings = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    return [*parts, Fold("Settings", [Code(settings)])]
