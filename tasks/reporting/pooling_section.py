"""Pooling: which interval to trust, and how much a pooled effect depends on a method or on one architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.schema import Study
from tasks.meta_analysis.heterogeneity import TITLES
from tasks.meta_analysis.pooling import EGGER_FROM
from tasks.reporting.budget_figure import repeated
from tasks.reporting.document import Fold, Picture, Rows, Table, Text
from tasks.reporting.drawing import Figure
from tasks.reporting.findings import direction, honest, marked_sentences
from tasks.reporting.tables import Row, Tables, contrast_text, pooled_rows, rows, titled
from tasks.reporting.words import DASH, finite, interval, joined, label_sentence, number, p_value, whole

COVERAGE = (
    "Which interval to trust: in artificial meta-analyses of seven architectures, 2,000 of each of 18 kinds, the Wald "
    "95% interval of DerSimonian and Laird, which the paper reports, held the true effect in 88% to 91% of cases where "
    "half of the spread or more was between architectures (I² of 50% on), and in 89% to 96% below that; the HKSJ "
    "interval in 92% to 96% of all. Read the HKSJ interval. Where both exclude zero, this report calls an effect clear."
)


def pooling(study: Study, tables: Tables, figures: Mapping[str, Figure]) -> list[Any]:
    """Everything about the pooled effects as a whole."""
    found = [row for name in study.experiments for row in pooled_rows(study, tables, name) if finite(row["estimate"])]
    if not found:
        return []
    sentences = [COVERAGE, _spread(found), _single(tables, found), _egger(found), *marked_sentences(study, tables)]
    parts: list[Any] = [*(Text(text) for text in sentences if text)]
    parts += _without_marked(study, found)
    parts += _folds(study, tables, found)
    parts += [Picture(figures["dose"])] if "dose" in figures else []
    return parts


def _spread(found: list[Row]) -> str:
    known = [row for row in found if row["focus"] and finite(row["i2"])]
    if not known:
        return "No effect is pooled over several architectures, so nothing is said of how they differ."
    shares = sorted(row["i2"] for row in known)
    crossing = sum(row["pi_low"] <= 0 <= row["pi_high"] for row in known)
    return (
        f"How architectures differ: I², the part of the spread between them that is more than sampling error, is "
        f"{number(shares[len(shares) // 2], 0)}% in the middle of {whole(len(known))} pooled effects (from "
        f"{number(shares[0], 0)}% to {number(shares[-1], 0)}%). {whole(crossing)} of their prediction intervals hold "
        "zero: there, another architecture may well have no effect, or the opposite one."
    )


def _single(tables: Tables, found: list[Row]) -> str:
    """For how many effects what is clear hangs on one architecture."""
    known = {(row["experiment"], row["contrast"], row["dimension"]): row for row in found if row["focus"]}
    depends: dict[tuple[str, str, str], list[str]] = {}
    left_out = rows(tables, "leave_one_out")
    for row in left_out:
        key = (row["experiment"], row["contrast"], row["dimension"])
        if key in known and direction(row) != direction(known[key]):
            depends.setdefault(key, []).append(row["without"])
    if not left_out:
        return ""
    clear = [key for key in known if direction(known[key])]
    fragile = [key for key in clear if key in depends]
    which = joined(sorted({name for key in fragile for name in depends[key]}))
    said = f"{whole(len(fragile))} would not be so without one architecture ({which})" if fragile else "all stay so"
    return f"One architecture left out: of {whole(len(clear))} clear effects {said}." if clear else ""


def _egger(found: list[Row]) -> str:
    tested = [row for row in found if finite(row["egger_p"])]
    if tested:
        low = sum(row["egger_p"] < 0.05 for row in tested)
        return f"Egger's regression finds a link of effect and standard error in {low} of {len(tested)} pooled effects."
    return (
        f"Egger's test is not made: with fewer than {EGGER_FROM} effects it tells nothing, and architectures are not "
        "published studies, of which those with a null result might be missing."
    )


def _without_marked(study: Study, found: list[Row]) -> list[Any]:
    """Pooled effects that rest on marked runs, with and without them."""
    marked = [row for row in found if row["n_marked"] > 0]
    if not marked:
        return []
    body = [
        [contrast_text(r), titled(study, r), f"{whole(r['n_marked'])} of {whole(r['k'])}", number(r["estimate"]),
         interval(*honest(r)), number(r["unmarked_estimate"]), _unmarked(r)]
        for r in marked
    ]  # fmt: skip
    header = ["Contrast", "Dimension", "Marked", "Effect", "95% CI (HKSJ)", "Without", "95% CI (HKSJ)"]
    parts = [Table(header, "lllrrrr", body), Rows(("pooled",))]
    return [Fold(f"With and without marked runs: {len(body)} effects", parts)]


def _unmarked(row: Row) -> str:
    ends = ("ci_low", "ci_high", "hksj_ci_low", "hksj_ci_high")
    return interval(*honest({key: row[f"unmarked_{key}"] for key in ends}))


def _folds(study: Study, tables: Tables, found: list[Row]) -> list[Any]:
    parts: list[Any] = [Fold("Heterogeneity and prediction", [_heterogeneity(study, found), Rows(("pooled",))])]
    if methods := _methods(study, tables, found):
        parts.append(Fold("The same effects by other methods", [methods, Rows(("pooling_methods",))]))
    if left_out := _left_out(study, tables, found):
        parts.append(Fold("Every architecture left out", [left_out, Rows(("leave_one_out",))]))
    if pairs := rows(tables, "pairwise"):
        text = (
            "Every two conditions of an experiment, from the paired differences of their scores on the same prompts; "
            "groups within one attribute only. Holm: within experiment and dimension."
        )
        parts.append(Fold("Every two conditions compared", [Text(text), _pairs(study, pairs), Rows(("pairwise",))]))
    return parts


def _heterogeneity(study: Study, found: list[Row]) -> Table:
    body = [
        [r["experiment"], contrast_text(r), titled(study, r), whole(r["k"]), number(r["q"], 1), p_value(r["q_p"]),
         number(r["tau2"], 5), interval(r["tau2_low"], r["tau2_high"], 5), f"{number(r['i2'], 0)}%",
         f"{number(r['i2_low'], 0)} to {number(r['i2_high'], 0)}%", interval(r["pi_low"], r["pi_high"])]
        for r in found
    ]  # fmt: skip
    header = [
        "Experiment", "Contrast", "Dimension", "k", "Q", "p of Q", "τ²", "95% CI of τ²", "I²", "95% CI of I²",
        "95% prediction",
    ]  # fmt: skip
    caption = "Intervals of τ² and I²: Q-profile. Prediction: for another architecture, with HKSJ's error and t."
    return Table(header, "lll" + "r" * 8, body, caption)


def _methods(study: Study, tables: Tables, found: list[Row]) -> Table | None:
    """Estimates and HKSJ intervals, a column a method."""
    known = {(r["experiment"], r["contrast"], r["dimension"], r["method"]): r for r in rows(tables, "pooling_methods")}
    if not known:
        return None
    names = [name for name in TITLES if any(key[3] == name for key in known)]
    body = []
    for r in (row for row in found if row["focus"]):
        cells = [known.get((r["experiment"], r["contrast"], r["dimension"], name)) for name in names]
        said = [f"{number(c['estimate'])} ({interval(*honest(c))})" if c else DASH for c in cells]
        body.append([contrast_text(r), titled(study, r), *said])
    header = ["Contrast", "Dimension", *(TITLES[name] for name in names)]
    return Table(header, "ll" + "r" * len(names), body, "Effect and HKSJ 95% interval.")


def _left_out(study: Study, tables: Tables, found: list[Row]) -> Table | None:
    """The range of each effect, and the architecture that moves it most."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows(tables, "leave_one_out"):
        groups.setdefault((row["experiment"], row["contrast"], row["dimension"]), []).append(row)
    body = []
    for r in (row for row in found if row["focus"]):
        own = groups.get((r["experiment"], r["contrast"], r["dimension"]), [])
        if own:
            most = max(own, key=lambda row: abs(row["estimate"] - r["estimate"]))
            values = [row["estimate"] for row in own]
            changed = joined(row["without"] for row in own if direction(row) != direction(r))
            body.append([
                contrast_text(r), titled(study, r), number(r["estimate"]), interval(min(values), max(values)),
                most["without"], number(most["estimate"]), interval(*honest(most)), changed or DASH,
            ])  # fmt: skip
    header = [
        "Contrast", "Dimension", "All", "Range", "Most moved without", "Then", "95% CI (HKSJ)", "Clear changes without",
    ]  # fmt: skip
    return Table(header, "llrrlrrl", body) if body else None


def _pairs(study: Study, found: list[Row]) -> Table:
    body = [
        [r["experiment"], r["contrast"].replace(" - ", " − "), titled(study, r), whole(r["k"]), number(r["estimate"]),
         interval(r["ci_low"], r["ci_high"]), p_value(r["p_holm"]), interval(r["hksj_ci_low"], r["hksj_ci_high"]),
         p_value(r["hksj_p_holm"])]
        for r in found
    ]  # fmt: skip
    header = [
        "Experiment", "Pair", "Dimension", "k", "Difference", "95% CI", "p (Holm)", "95% CI (HKSJ)", "p (HKSJ, Holm)",
    ]  # fmt: skip
    return Table(header, "lll" + "r" * 6, body)


# ---- equal epochs, equal steps


def budgets(study: Study, tables: Tables, figures: Mapping[str, Figure]) -> list[Any]:
    """Experiments beside those that they extend; nothing where none does."""
    parts: list[Any] = []
    for name, experiment in study.experiments.items():
        found = repeated(study, tables, name)
        if not found:
            continue
        base = study.experiments[str(experiment.extends)]
        parts.append(Text(f"{_stays(found, base.title, experiment.title)} {label_sentence(study)}".strip()))
        parts += [Picture(figures[key])] if (key := f"budget-{name}") in figures else []
        body = [
            [contrast_text(a), titled(study, a), number(a["estimate"]), interval(*honest(a)), number(b["estimate"]),
             interval(*honest(b))]
            for a, b in found
        ]  # fmt: skip
        columns = [name for budget in (base.budget, experiment.budget) for name in (f"Equal {budget}", "95% CI (HKSJ)")]
        parts += [Table(["Contrast", "Dimension", *columns], "llrrrr", body), Rows(("pooled",))]
    return parts


def _stays(found: list[tuple[Row, Row]], first: str, second: str) -> str:
    clear = [(a, b) for a, b in found if direction(a)]
    stays = sum(direction(a) == direction(b) for a, b in clear)
    return (
        f"{first} and {second}: of {whole(len(clear))} effects that are clear in the first, {whole(stays)} are clear "
        "in the same direction in the second."
    )
