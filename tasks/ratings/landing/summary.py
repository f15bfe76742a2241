"""What a landing came to, in words: for the command line, the log and a page in Prefect. No value of any row."""

from __future__ import annotations

from tasks.ratings.landing.landing import Landing, forgotten_line

WORDS = {"ratings": ("added", "corrected"), "participants": ("added", "changed"), "responses": ("added", "changed")}
"""Table → what its changes are called."""


def lines(landing: Landing) -> list[str]:
    """One line a table of an export, then what was rejected, dropped and changed, and where that is."""
    texts = []
    for row in landing.rows:
        others = "".join(f", {row[what]:,} {what}" for what in ("repeated", "rejected", "dropped") if row[what])
        texts.append(f"{row['file']}, {row['table']}: {row['read']:,} rows, {row['kept']:,} kept{others}")
    texts += [f"no file of {name}" for name in landing.absent]
    for what, reasons in (("rejected", landing.reasons), ("dropped", landing.dropped)):
        if reasons:
            texts.append(f"{what}: {', '.join(f'{n:,} {reason}' for reason, n in reasons.items())}")
    texts += _noted(landing)
    return [*texts, *filter(None, [changed(landing), together(landing)]), f"landing: {landing.folder}"]


def changed(landing: Landing) -> str:
    """What the landing changed, and which snapshot is now the latest."""
    name = landing.snapshot.id
    if not landing.fresh:
        return f"nothing new: snapshot {name} stays the latest"
    parts = [
        f"{change.added:,} {table} {WORDS[table][0]}, {change.superseded:,} {WORDS[table][1]}"
        for table, change in ((table, landing.changes[table]) for table in WORDS)
        if change.added or change.superseded
    ]
    return f"snapshot {name}: {'; '.join(parts)}"


def together(landing: Landing) -> str:
    """Who rated and what was rated in the latest snapshot; "" for one that was made before this was counted."""
    counts = landing.snapshot.manifest.get("counts", {})
    if "prompts" not in counts:
        return ""
    participants, ratings, responses, prompts = (
        f"{counts[name]:,} {name if counts[name] != 1 else name[:-1]}"
        for name in ("participants", "ratings", "responses", "prompts")
    )
    return f"it holds {ratings} by {participants}, of {responses} to {prompts}"


def _noted(landing: Landing) -> list[str]:
    gone = [forgotten_line(landing.forgotten)] if any(landing.forgotten) else []
    return [*(f"{what}: {n:,}" for what, n in landing.noted.items()), *gone]


def paragraph(landing: Landing) -> str:
    """All of it in one paragraph."""
    return "; ".join(lines(landing))


def page(landing: Landing) -> str:
    """Markdown: a table of what became of the rows, a table of reasons, what changed."""
    columns = ["file", "table", "read", "kept", "repeated", "rejected", "dropped"]
    rows = [[f"{row[name]:,}" if isinstance(row[name], int) else row[name] for name in columns] for row in landing.rows]
    reasons = [["rejected", reason, f"{n:,}"] for reason, n in landing.reasons.items()]
    reasons += [["dropped", reason, f"{n:,}"] for reason, n in landing.dropped.items()]
    parts = [f"# {landing.snapshot.manifest['collection']}", changed(landing), _table(columns, rows)]
    if reasons:
        parts.append(_table(["", "reason", "rows or answers"], reasons))
    parts += [*filter(None, [together(landing)]), *_noted(landing)]
    return "\n\n".join([*parts, f"`{landing.folder.resolve()}`"]) + "\n"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [columns, ["---"] * len(columns), *rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
