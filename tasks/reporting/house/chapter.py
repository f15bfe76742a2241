"""What a chapter of the report is, and what all chapters are written from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.schema import Study
from tasks.meta_analysis.tables import Pooled
from tasks.reporting.house.document import Part, Picture, Section
from tasks.reporting.house.drawing import Drawing, Figure
from tasks.reporting.house.latex import LatexTable
from tasks.reporting.house.tables import Row, Tables, rows
from tasks.reporting.run_facts import Facts
from tasks.runtime.tables import Table


@dataclass(frozen=True)
class Results:
    """What the report is written from: a study, its tables by name, facts of the run, and the figures once drawn."""

    study: Study
    tables: Tables
    facts: Facts = field(default_factory=Facts)
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def has_published(self) -> bool:
        """Whether the study has published values or figures to stand beside its own."""
        experiments = self.study.experiments.values()
        return bool(self.study.survey.published) or any(
            experiment.figure
            or any(contrast.published for contrast in experiment.contrasts.values())
            or any(ratio.published is not None for ratio in experiment.ratios)
            for experiment in experiments
        )

    def rows(self, table: type[Table], **match: object) -> list[Row]:
        """The rows of a table whose columns have the values of `match`; none where the study has no such table.

        Raises:
            KeyError: the table lacks a declared column.
        """
        return rows(self.tables, table, **match)

    def pooled(self, *experiments: str) -> list[Row]:
        """The pooled effects of these experiments, or of all, in the order of the settings.

        Adds `first` and `second` (the sides of the contrast), `focus` (whether the dimension is what it is about: named
        in its focus, or no focus given) and `of_raters` (whether it compares groups of raters).
        """
        by_key = {(row["experiment"], row["contrast"], row["dimension"]): row for row in self.rows(Pooled)}
        pooled = []
        for experiment in experiments or self.study.experiments:
            conditions = self.study.experiments[experiment].conditions
            some = {name for name, own in conditions.items() if own.some_raters}
            for contrast, settings in self.study.experiments[experiment].contrasts.items():
                for dimension in self.study.evaluation.dimensions:
                    if row := by_key.get((experiment, contrast, dimension)):
                        focus = not settings.focus or dimension in settings.focus
                        sides = {"first": contrast.first, "second": contrast.second}
                        pooled.append(row | sides | {"focus": focus, "of_raters": some.issuperset(contrast.sides)})
        return pooled

    def picture(self, *names: str) -> list[Part]:
        """The figures of these names, of those that were drawn."""
        return [Picture(self.figures[name]) for name in names if name in self.figures]


def nothing(_: Results) -> list[Any]:
    """What a chapter gives of a kind that it does not have."""
    return []


@dataclass(frozen=True)
class Chapter:
    """A chapter of the report: what is shown together, in one file of `chapters/`.

    `key` is its anchor, `title` its heading, `tables` what it reads. `findings` are sentences for the first section,
    `parts` what stands below the heading, `figures` what is drawn, `latex` the tables that are written beside the CSV
    files. A chapter of which `parts` gives nothing is left out.
    """

    key: str
    title: str
    tables: Sequence[type[Table]] = ()
    findings: Callable[[Results], list[str]] = nothing
    parts: Callable[[Results], list[Part]] = nothing
    figures: Callable[[Results], list[Drawing]] = nothing
    latex: Callable[[Results], list[LatexTable]] = nothing

    def sections(self, results: Results) -> list[Section]:
        """The chapter as the page shows it: one section, or none."""
        parts = self.parts(results)
        return [Section(self.key, self.title, parts)] if parts else []
