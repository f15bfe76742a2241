"""From a number to its rows, and what is needed to get the same numbers again."""

from __future__ import annotations

from tasks.effects.tables import Cells
from tasks.methods.step import ADAPTER, RUNS
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.document import Code, Fold, Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import DASH, short_key, whole
from tasks.runtime.store import place


def _training_runs(results: Results) -> list[Part]:
    """How to go from any number to its rows, and the table of training runs."""
    cells = [row for row in results.rows(Cells) if row["training_run"]]
    if not cells:
        return []
    snapshot = results.facts.snapshot or results.facts.ratings_digest or "unknown"
    text = (
        "From a number to its rows: below each table stands the file that it is made of. A pooled effect leads to its "
        "forest plot; the experiment's list of every effect leads to the training runs here; a run has its MLflow run, "
        f"and its adapter in PLURALIGN_HOME. All rest on the ratings {snapshot}. On the command line, pluralign trace "
        f"{results.study.name} EFFECT-ID lists all of that for one effect, down to the numbers of ratings and "
        f"participants, and pluralign trace {results.study.name} PARTICIPANT what one participant's ratings touched."
    )
    users: dict[str, list[Row]] = {}
    for cell in cells:
        users.setdefault(cell["training_run"], []).append(cell)
    table = TablePart.of(
        users.values(),
        ("Run", "l", lambda own: short_key(own[0]["training_run"])),
        ("Architecture", "l", lambda own: own[0]["architecture"]),
        ("Conditions", "l", lambda own: ", ".join(dict.fromkeys(f"{c['experiment']} / {c['condition']}" for c in own))),
        ("Seed", "r", lambda own: whole(own[0]["seed"])),
        ("Pairs", "r", lambda own: whole(own[0]["n_pairs"])),
        ("MLflow run", "l", lambda own: own[0]["mlflow_run_id"] or DASH),
        ("Adapter, in PLURALIGN_HOME", "l", lambda own: f"store/{place(RUNS, own[0]['training_run'])}/{ADAPTER}"),
        ids=[f"run-{short_key(key)}" for key in users],
    )
    return [Paragraph(text), Fold(f"Every training run: {whole(len(users))}", [table, SourceTables(("cells",))])]


def _facts(results: Results) -> list[Part]:
    import yaml

    study, facts = results.study, results.facts
    body = [["Study", study.name], ["Seed", str(study.seed)]]
    known = {"Ratings, digest": facts.ratings_digest, "Created": facts.created, "Finished": facts.status}
    body += [[label, value] for label, value in known.items() if value]
    what = "Format of the ratings" if study.ratings.simulate else "Source of the ratings"
    body += [[what, source] for source in facts.sources]
    parts: list[Part] = [TablePart(["What", "Value"], "ll", body)]
    for title, values in (("Counts", facts.counts), ("Versions", facts.versions), ("Seconds by stage", facts.seconds)):
        entries = [[name, str(value)] for name, value in values.items()]
        parts += [Fold(title, [TablePart(["What", "Value"], "lr", entries)])] if entries else []
    settings = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    return [*parts, Fold("Settings", [Code(settings)])]


CHAPTER = Chapter(
    "provenance", "Provenance", [Cells], parts=lambda results: [*_training_runs(results), *_facts(results)]
)
