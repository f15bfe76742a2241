"""The chapters of the report: one file each, written from the tables that it names, and no paper where none is."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from configs.schema import Study
from tasks.reporting import chapters
from tasks.reporting.chapters import CHAPTERS, DECLARED, DOUBTS, READING_ORDER
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.report import sections, write_report
from tasks.runtime.tables import name_of
from tests.tasks.reporting.made_up import FACTS, full, made_up, study
from tests.tasks.reporting.made_up_groups import group_tables, serving
from tests.tasks.reporting.test_judge import difference, line_row, proof_row

SERVED = {
    name: own.replace({"experiment": {"serving": "scale"}})
    for name, own in group_tables(serving(), "serving", replicates=0).items()
}
"""Tables of ways to serve, as if an experiment of the made-up study had them."""


def every_table() -> dict[str, pd.DataFrame]:
    """The made-up study's tables, and those that it leaves out."""
    rows = {
        "judge_agreement": [proof_row("toxicity"), proof_row("toxicity", "female")],
        "judge_strata": [difference(-0.3, -0.1)],
        "judge_calibration": [line_row()],
        "unscored": [{"experiment": "scale", "condition": "binary", "reason": "refused", "n": 12}],
    }
    return made_up(study()) | {name: full(name, pd.DataFrame(lines)) for name, lines in rows.items()} | SERVED


def unpublished() -> tuple[Study, dict[str, pd.DataFrame]]:
    """A study of other ratings, of which nothing is published, and its tables."""
    settings = study().model_dump()
    for experiment in settings["experiments"].values():
        experiment["contrasts"] = {name: {"focus": ["toxicity"]} for name in experiment["contrasts"]}
        for ratio in experiment["ratios"]:
            del ratio["published"]
    nothing = {"published": math.nan, "published_p": ""}
    tables = every_table()
    tables["pooled"] = tables["pooled"].assign(**nothing, published_low=math.nan, published_high=math.nan)
    tables["ordinal_regression"] = tables["ordinal_regression"].assign(**nothing)
    tables["ratios"] = tables["ratios"].assign(published=math.nan)
    return Study(**settings), tables


def test_every_chapter_stands_in_the_reading_order() -> None:
    files = {path.stem for path in Path(chapters.__file__).parent.glob("*.py") if "\nCHAPTER = " in path.read_text()}
    assert set(READING_ORDER) == files
    assert len(READING_ORDER) == len(files)
    keys = [chapter.key for chapter in CHAPTERS]
    assert len(set(keys)) == len(keys)
    assert set(DOUBTS) <= set(keys)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.key)
def test_a_chapter_names_every_table_that_it_reads(chapter: Chapter) -> None:
    tables = every_table()
    named = {name_of(table) for table in chapter.tables}
    whole, own = (
        Results(study(), {name: table for name, table in tables.items() if name in kept}, FACTS)
        for kept in (tables, named)
    )
    for ask in (chapter.sections, chapter.findings, chapter.latex):
        assert ask(own) == ask(whole)


def test_a_column_that_a_table_lacks_raises() -> None:
    tables = every_table()
    for name, column in (("pooled", "hksj_ci_low"), ("judge_agreement", "human_alpha"), ("audit", "retained")):
        with pytest.raises(KeyError, match=column):
            sections(Results(study(), {name: tables[name].drop(columns=column)}))


def test_every_declared_table_is_made_up_but_what_moved() -> None:
    assert set(DECLARED) - set(every_table()) == {"moved", "scores"}


def test_a_study_of_other_ratings_never_speaks_of_the_paper(tmp_path: Path) -> None:
    other, tables = unpublished()
    write_report(other, tables, FACTS, tmp_path)
    written = [*tmp_path.glob("report.*"), *tmp_path.glob("figures/*.svg"), *tmp_path.glob("tables/*.tex")]
    assert len(written) > 10
    for path in written:
        text = re.sub(r"base64,[^\"]*", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"paper|arxiv|Ali, Zhao", text, re.IGNORECASE), path.name


@pytest.mark.usefixtures("unrendered")
def test_a_study_with_published_values_says_whose_they_are(tmp_path: Path) -> None:
    write_report(study(), every_table(), FACTS, tmp_path)
    assert "arXiv 2511.14476" in (tmp_path / "report.md").read_text(encoding="utf-8")
