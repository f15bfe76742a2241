"""Which conditions are one training run, by the cells that name the same run."""

from __future__ import annotations

from configs.schema import CONTROL
from tasks.effects.tables import Cells
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.document import Paragraph, Part, TablePart
from tasks.reporting.house.words import whole


def _parts(results: Results) -> list[Part]:
    cells = [row for row in results.rows(Cells) if row["condition"] != CONTROL and row["training_run"]]
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
        return [Paragraph(text)]
    text += " Conditions whose training data and settings are the same share a run: their effects come from one model."
    table = TablePart.of(
        shared.items(),
        ("One training run for", "l", lambda item: ", ".join(item[0])),
        ("Architectures", "r", lambda item: whole(len(item[1]))),
    )
    return [Paragraph(text), table]


CHAPTER = Chapter("training-runs", "Training runs", [Cells], parts=_parts)
