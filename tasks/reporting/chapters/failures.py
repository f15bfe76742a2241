"""Failed cells with their reasons, and the contrasts that lost an architecture to them."""

from __future__ import annotations

from tasks.effects.tables import Cells
from tasks.meta_analysis.tables import Pooled
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import effect_of, texts
from tasks.reporting.house.document import Caution, Paragraph, Part, TablePart
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import whole

LONGEST_ERROR = 300


def _findings(results: Results) -> list[str]:
    cells, failed = _cells(results)
    text = "cells failed; effects are pooled over the architectures that remain, k of them."
    return [f"{len(failed)} of {len(cells)} {text}"] if failed else []


def in_part(results: Results) -> str:
    """Whether cells failed, in one sentence; nothing where the study is whole."""
    cells, failed = _cells(results)
    if not failed and results.facts.status != "in part":
        return ""
    return f"Finished in part: {f'{len(failed)} of {len(cells)}' if failed else 'some'} cells failed."


def _cells(results: Results) -> tuple[list[Row], list[Row]]:
    """All cells, and those that failed."""
    cells = results.rows(Cells)
    return cells, [row for row in cells if row["status"] == "failed"]


def _parts(results: Results) -> list[Part]:
    cells, failed = _cells(results)
    if not cells:
        return []
    if not failed:
        return [Paragraph(f"All {whole(len(cells))} cells finished."), *_fewer(results)]
    table = TablePart.of(
        failed,
        *texts({"Experiment": "experiment", "Architecture": "architecture", "Condition": "condition"}),
        ("Why", "l", lambda r: _shortened(r["error"])),
    )
    text = f"{len(failed)} of {len(cells)} cells failed. Effects that need them are missing from the pool."
    return [Caution(text), table, *_fewer(results)]


def _fewer(results: Results) -> list[Part]:
    total = len(results.study.architectures)
    fewer = [row for row in results.pooled() if row["k"] < total]
    table = TablePart.of(
        fewer,
        *(*texts({"Experiment": "experiment"}), *effect_of(results.study)),
        ("k", "r", lambda r: f"{whole(r['k'])} of {total}"),
    )
    return [Paragraph("Pooled over fewer architectures:"), table] if fewer else []


def _shortened(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …"


CHAPTER = Chapter("failures", "Failures", [Cells, Pooled], findings=_findings, parts=_parts)
