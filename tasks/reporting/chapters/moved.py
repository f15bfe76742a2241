"""What a run of the study moved, against the last one that rested on other ratings or settings."""

from __future__ import annotations

from configs.schema import Study
from tasks.meta_analysis.tables import Moved
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, effect_of, numbers
from tasks.reporting.house.document import Fold, Paragraph, Part, TablePart
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, label_sentence, whole
from tasks.reporting.run_facts import Earlier


def _parts(results: Results) -> list[Part]:
    """How many pooled effects moved, which by how much, and all of them behind a fold."""
    study, facts, every = results.study, results.facts, results.rows(Moved)
    if not every:
        return []
    known = [row for row in every if finite(row["change"])]
    changed = sorted((row for row in known if row["moved"] == 1), key=lambda row: -abs(row["change"]))
    earlier = facts.earlier or Earlier("before", "")
    same = earlier.ratings_digest == facts.ratings_digest
    what = "The ratings are the same, settings changed." if same else "The ratings changed since."
    beyond = sum(row["beyond"] == 1 for row in known)
    text = (
        f"Against the run of {earlier.created}. {what} Of {whole(len(known))} pooled effects that "
        f"both have, {whole(len(changed))} moved in the third digit or before it, {whole(beyond)} beyond the 95% "
        f"interval that it had. The runs share ratings, so a change is not a test. {label_sentence(study)}"
    )
    rest = [row for row in every if row not in changed]
    folded = [Fold(f"{whole(len(rest))} that did not, or are new or gone", [_table(study, rest)])] if rest else []
    return [Paragraph(text.strip()), *([_table(study, changed)] if changed else []), *folded]


def _table(study: Study, moved: list[Row]) -> TablePart:
    return TablePart.of(
        moved,
        *(*effect_of(study), *numbers({"Before": "before", "Now": "after", "Change": "change"})),
        *counts({"k before": "k_before", "k now": "k_after"}),
        ("Beyond its interval", "l", lambda r: "yes" if r["beyond"] == 1 else "no"),
    )


CHAPTER = Chapter("moved", "What moved", [Moved], parts=_parts)
