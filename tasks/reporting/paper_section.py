"""Against the paper: pooled effects and ratios, ours and the published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.schema import Study
from tasks.reporting.document import Picture, Rows, Table, Text
from tasks.reporting.drawing import Figure
from tasks.reporting.findings import direction, honest
from tasks.reporting.paper import Pair, known_ratios, pairs
from tasks.reporting.paper_figure import ratio_name
from tasks.reporting.tables import Tables, contrast_text, titled
from tasks.reporting.words import DASH, finite, interval, label_sentence, number, p_value, whole


def against_the_paper(study: Study, tables: Tables, figures: Mapping[str, Figure]) -> list[Any]:
    """Both figures with their tables; nothing where the paper prints nothing."""
    found, ratios = pairs(study, tables), known_ratios(study, tables)
    parts: list[Any] = []
    if found:
        parts = [Text(f"{_agreement(found)} {label_sentence(study)}".strip())]
        parts += [Picture(figures["published"])] if "published" in figures else []
        parts += [effects_table(study, found), Rows(("pooled",))]
    if ratios:
        parts += [Text(
            "A claim like “53% more” is a ratio of 1.53 of two pooled effects. Both effects have errors, and they "
            "share prompts, control and architectures; Fieller's interval, with HKSJ variances and covariance, knows "
            "both. It has no bounds where the effect that is divided by may be zero."
        )]  # fmt: skip
        parts += [Picture(figures["ratios"])] if "ratios" in figures else []
        parts += [ratios_table(study, tables), Rows(("ratios", "effects"))]
    return parts


def _agreement(found: list[Pair]) -> str:
    """How many are in the same direction, and how many published values our intervals hold."""
    same = sum(pair.row["estimate"] * pair.row["published"] > 0 for pair in found)
    clear = sum(direction(pair.row) * pair.row["published"] > 0 for pair in found)
    inside = sum(_inside(pair) for pair in found)
    return (
        f"The paper prints {whole(len(found))} of these pooled effects. {whole(same)} of ours have the same sign, "
        f"{whole(clear)} clearly so; {whole(inside)} of our HKSJ intervals hold the published value. That is no test "
        "of the paper: models, raters and judge are others."
    )


def _inside(pair: Pair) -> bool:
    low, high = honest(pair.row)
    return low <= pair.row["published"] <= high


def effects_table(study: Study, found: list[Pair]) -> Table:
    """A line a pooled effect."""
    body = [
        [pair.experiment, contrast_text(pair.row), titled(study, pair.row), number(pair.row["estimate"]),
         interval(*honest(pair.row)), p_value(pair.row["hksj_p"]), number(pair.row["published"]), _theirs(pair),
         pair.row["published_p"] or DASH, "yes" if _inside(pair) else "no"]
        for pair in found
    ]  # fmt: skip
    header = [
        "Experiment", "Contrast", "Dimension", "Ours", "95% CI (HKSJ)", "p (HKSJ)", "Published", "95% CI from p",
        "Published p", "In our CI",
    ]  # fmt: skip
    return Table(header, "lllrrrrrrl", body)


def _theirs(pair: Pair) -> str:
    return f"{'within ' if pair.at_most else ''}{interval(pair.low, pair.high)}"


def ratios_table(study: Study, tables: Tables) -> Table:
    """A line a ratio; an interval without bounds says so."""
    body = [
        [" ".join(ratio_name(study, row).split()), whole(row["k"]), number(row["estimate_of"]),
         number(row["estimate_to"]), number(row["ratio"], 2),
         interval(row["ci_low"], row["ci_high"], 2) if finite(row["ci_low"]) else "no bounds",
         number(row["published"], 2)]
        for row in known_ratios(study, tables)
    ]  # fmt: skip
    return Table(["Ratio", "k", "Effect", "Divided by", "Ratio", "95% CI (Fieller)", "Published"], "lrrrrrr", body)
