"""How the report writes numbers and names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from configs.schema import RaterFilter, Study

MINUS, DASH = "\u2212", "\u2013"
EVERYBODY = "all raters"
INDICES = {
    "person_fit": "the answers that the model expects least, by l_z",
    "outfit": "the answers that the model expects least, by outfit",
    "even_odd": "the least consistent answers",
    "long_string": "the longest runs of one label",
}
"""What a rater filter goes by."""


def finite(*values: float) -> bool:
    """Whether all are numbers."""
    return all(math.isfinite(value) for value in values)


def number(value: float, digits: int = 3) -> str:
    """`-0.2418` → `−0.242`; an en dash where there is no number."""
    if not finite(value):
        return DASH
    text = f"{value:.{digits}f}"
    return (f"{abs(value):.{digits}f}" if float(text) == 0 else text).replace("-", MINUS)


def whole(value: float) -> str:
    """`27375.0` → `27,375`."""
    return f"{value:,.0f}".replace("-", MINUS) if finite(value) else DASH


def many(value: float) -> str:
    """`1.24e9` → `1.2 billion`, `1e5` → `100 thousand`."""
    for size, name in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= size:
            return f"{value / size:.2g} {name}" if value < 10 * size else f"{value / size:,.0f} {name}"
    return whole(value)


def percent(value: float) -> str:
    """`0.8526` → `85.3%`."""
    return f"{number(100 * value, 1)}%" if finite(value) else DASH


def roughly(share: float) -> str:
    """`0.183` → `about 20%`: to five percentage points, of what few draws tell."""
    if share > 0.975:
        return "nearly all"
    return f"about {5 * round(20 * share)}%" if share >= 0.025 else "less than 5%"


def p_value(value: float) -> str:
    """`0.0104` → `.010`; `< .001` below that; `.0498`, that its side of .05 shows."""
    if not finite(value):
        return DASH
    digits = 4 if value < 0.05 and f"{value:.3f}" == "0.050" else 3
    return "< .001" if value < 0.001 else f"{min(value, 1.0):.{digits}f}".removeprefix("0")


def p_is(value: float) -> str:
    """`= .010`; `< .001` below that."""
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """`−0.301 to −0.183`; an end close to zero has the decimals that tell its side: `−0.011 to −0.0003`."""
    if not finite(low, high):
        return DASH
    needed = [
        next((n for n in range(digits, 7) if float(f"{end:.{n}f}") != 0), digits)  # a rounding residue counts as zero
        for end in (low, high)
    ]
    return " to ".join(map(number, (low, high), needed))


def with_ends(value: float, low: float, high: float, digits: int = 3) -> str:
    """`−0.242 (−0.301 to −0.183)`; the number alone where it has no interval."""
    return number(value, digits) + (f" ({interval(low, high, digits)})" if finite(low, high) else "")


def title_of(study: Study, dimension: str) -> str:
    """A dimension as people call it; its own name where the study doesn't know it."""
    return study.dimensions[dimension].title if dimension in study.dimensions else dimension


def in_sentence(title: str) -> str:
    """`Toxicity` → `toxicity`, but `EA` stays."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def spoken(study: Study, dimension: str) -> str:
    """A dimension within a sentence: `toxicity`."""
    return in_sentence(title_of(study, dimension))


def better(study: Study, dimension: str) -> str:
    """`lower is better`; nothing for an unknown dimension."""
    return f"{study.dimensions[dimension].better} is better" if dimension in study.dimensions else ""


def arrow(study: Study, dimension: str) -> str:
    """Which way is good: `← lower is better`."""
    text = better(study, dimension)
    return f"← {text}" if text.startswith("lower") else f"{text} →" if text else ""


def stratum_title(study: Study, name: str) -> str:
    """A stratum as people call it."""
    return study.stratum_title(name) if name in study.strata else name


def label_sentence(study: Study) -> str:
    """`Simulated raters, tiny models.`; nothing where ratings and models are real."""
    return f"{study.label[:1].upper()}{study.label[1:]}." if study.label else ""


def joined(items: Iterable[str], last: str = " and ") -> str:
    """`a, b and c`."""
    *front, end = list(items) or [""]
    return f"{', '.join(front)}{last}{end}" if front else end


def named(names: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: the names, `most` of them at most."""
    return joined([*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])])


def short_key(key: str) -> str:
    """So much of a training run's key that a reader can tell runs apart."""
    return key[:10]


def raters_title(study: Study, name: str) -> str:
    """A stratum as people call it; `all` is everybody."""
    return EVERYBODY if name == "all" else stratum_title(study, name)


def attribute_title(name: str) -> str:
    """`political-spectrum` → `political spectrum`."""
    return name.replace("-", " ").replace("_", " ")


def raters_label(study: Study) -> str:
    """The study's label where the ratings are simulated; nothing where they are real, whatever the models are."""
    return label_sentence(study) if study.ratings.simulate else ""


def without_whom(settings: RaterFilter) -> str:
    """`without the 10.0% with the least consistent answers`; `without 10.0% at random`."""
    share = percent(settings.drop)
    return (
        f"without the {share} with {INDICES[settings.by]}" if settings.by in INDICES else f"without {share} at random"
    )
