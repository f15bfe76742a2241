"""What a run shows of itself in Prefect: a table, its figures and where the report is.

A server that refuses them costs the run nothing but a line in its log.
"""

from __future__ import annotations

import base64
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import artifacts

from configs.errors import without_credentials
from configs.schema import Study

log = logging.getLogger(__name__)
SHOWN = {"study": ("pooled", "effects-*.png"), "survey": ("reliability", "*.png"), "audit": ("audit", "audit*.png")}
"""Kind of run → the table and the figures that it shows."""
COLUMNS = {
    "pooled": ["experiment", "contrast", "dimension", "k", "estimate", "ci_low", "ci_high", "p", "published"],
    "audit": ["condition", "stratum", "share_of_participants", "share_of_ratings", "retained", "share_of_preferences"],
}
"""Table → its columns that a page has room for; the report has all."""
DIGITS = 4


def show_results(kind: str, study: Study, tables: dict[str, pd.DataFrame], report: Path, page: str = "") -> None:
    """The table of `SHOWN[kind]`, and a page with its figures, the report's place and a link to its `page`, if any."""
    name, pattern = SHOWN[kind]
    if name in tables:
        about = ", ".join(filter(None, [study.title, study.label]))
        show_table(f"{study.name}-{name}", tables[name], about, COLUMNS.get(name))
    text = page_of(study, sorted((report.parent / "figures").glob(pattern)), report, page)
    about = escape(f"{study.title}: figures and report")
    careful(lambda: artifacts.create_markdown_artifact(text, key=key(study.name, kind), description=about))


def show_table(name: str, table: pd.DataFrame, about: str, columns: list[str] | None = None) -> None:
    """A table, or some of its columns."""
    shown = table if columns is None else table[columns]
    careful(lambda: artifacts.create_table_artifact(rows(shown), key=key(name), description=escape(about)))


def key(*parts: str) -> str:
    """An artifact's key of lower-case letters, digits and dashes: `("My.Study", "pooled")` → `my-study-pooled`."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)


def escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|~])", r"\\\1", " ".join(text.split()))


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as JSON takes them: numbers to four digits, None where there is none."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(name): _short(value) for name, value in row.items()} for row in plain.to_dict("records")]


def _short(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def page_of(study: Study, figures: list[Path], report: Path, page: str = "") -> str:
    """Markdown with every figure inside; a browser opens no file from here, so the report's place is text."""
    lines = [f"# {escape(study.title)}"]
    if study.label:
        lines.append(f"**{escape(study.label.capitalize())}**")
    lines.append(f"Report: `{report.resolve()}`" + (f" · [open it in MLflow]({page})" if page else ""))
    for figure in figures:
        experiment = study.experiments.get(figure.stem.removeprefix("effects-"))
        name = escape(experiment.title if experiment else figure.stem.capitalize())
        data = base64.b64encode(figure.read_bytes()).decode()
        lines += [f"## {name}", f"![{name}](data:image/png;base64,{data})"]
    return "\n\n".join(lines) + "\n"


def careful(action: Callable[[], Any]) -> Any:
    """What the action returns; None, with a line in the log, where it fails."""
    try:
        return action()
    except Exception as error:  # whatever the server or its client raises
        log.warning("Prefect shows nothing of this (%s)", without_credentials(" ".join(str(error).split()))[:300])
        return None
