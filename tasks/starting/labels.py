"""Which texts of a column are a scale, and in which order: numbers, wordings in several languages, stars, yes, no."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from configs.codebook import Numbers, normal
from tasks.ratings.reading.columns import as_number, nested_kind
from tasks.ratings.reading.quantiles import quantile_cuts
from tasks.ratings.reading.rejected import visible

MOST_AS_THEY_ARE = 11
"""Whole numbers are categories as they are up to so many, as 0 to 10; more are put together."""
GROUPS = 5
"""Categories that a finer scale is put into."""
MOST_LEVELS = 12
"""Wordings of a scale whose order can't be seen."""

WORDS_FOR_NO_ANSWER = """
-; --; .; ?; can't say; cannot say; dk; do not know; don't know; dont know; don’t know; k. a.; k.a.;
keine angabe; keine antwort; missing; n.a.; n/a; na; nan; ne sait pas; nicht zutreffend; no answer; no contesta;
no sabe; none; not answered; not applicable; null; ohne angabe; prefer not to answer; prefer not to say;
sans réponse; skip; skipped; unanswered; weiss nicht; weiß nicht
"""
NO_ANSWER = frozenset(map(str.strip, WORDS_FOR_NO_ANSWER.split(";")))
NUMBERS_FOR_MISSING = (-9.0, -99.0, -999.0, -1.0, -77.0, -88.0, -66.0, -97.0, -98.0, 99.0, 999.0, 88.0, 77.0, 9999.0)

WORDINGS = """
completely disagree | totally disagree | fully disagree
strongly disagree | disagree strongly
disagree
somewhat disagree | slightly disagree | rather disagree | disagree somewhat | disagree slightly |
  mildly disagree | moderately disagree
neutral | neither agree nor disagree | neither | undecided | neither disagree nor agree |
  neither agree or disagree | unsure | not sure
somewhat agree | slightly agree | rather agree | agree somewhat | agree slightly | mildly agree |
  moderately agree
agree
strongly agree | agree strongly
completely agree | totally agree | fully agree

stimme überhaupt nicht zu | stimme gar nicht zu | stimme ganz und gar nicht zu
stimme nicht zu | lehne ab | trifft nicht zu
stimme eher nicht zu | trifft eher nicht zu
neutral | teils teils | teils/teils | teils, teils | weder noch | weder/noch | unentschieden
stimme eher zu | trifft eher zu
stimme zu | trifft zu
stimme voll zu | stimme voll und ganz zu | stimme völlig zu | trifft voll zu | trifft voll und ganz zu |
  trifft völlig zu

trifft überhaupt nicht zu | trifft gar nicht zu
trifft nicht zu
trifft eher nicht zu
teils teils | teils/teils | teils, teils
trifft eher zu
trifft zu
trifft voll zu | trifft voll und ganz zu | trifft völlig zu

pas du tout d'accord | tout à fait en désaccord
pas d'accord | en désaccord | plutôt pas d'accord
neutre | ni d'accord ni pas d'accord
d'accord | plutôt d'accord
tout à fait d'accord

totalmente en desacuerdo | muy en desacuerdo
en desacuerdo
neutral | ni de acuerdo ni en desacuerdo
de acuerdo
totalmente de acuerdo | muy de acuerdo

terrible | awful | horrible
very poor | very bad
poor | bad
below average
fair | average | ok | okay | acceptable | mediocre | neutral | neither good nor bad | so-so
above average
good
very good
excellent | great | outstanding | perfect

sehr schlecht
schlecht
eher schlecht
mittel | mittelmäßig | neutral | weder noch | ausreichend
eher gut | befriedigend
gut
sehr gut
ausgezeichnet | hervorragend

very dissatisfied | extremely dissatisfied
dissatisfied | unsatisfied
somewhat dissatisfied
neutral | neither satisfied nor dissatisfied | neither
somewhat satisfied
satisfied
very satisfied | extremely satisfied

very unlikely | extremely unlikely
unlikely
somewhat unlikely
neutral | neither likely nor unlikely | neither | unsure
somewhat likely
likely
very likely | extremely likely

very negative
negative
somewhat negative | slightly negative
neutral | mixed
somewhat positive | slightly positive
positive
very positive

sehr negativ
negativ
eher negativ
neutral
eher positiv
positiv
sehr positiv

much worse
worse
slightly worse | somewhat worse
about the same | the same | same | equal
slightly better | somewhat better
better
much better

very low
low
medium | moderate | average | mid | middle
high
very high

sehr niedrig | sehr gering
niedrig | gering
mittel
hoch
sehr hoch

never
almost never | very rarely
rarely | seldom
occasionally | sometimes
often | frequently
very often | usually | mostly | almost always
always

nie | niemals
sehr selten | fast nie
selten
manchmal | gelegentlich
oft | häufig
sehr oft | meistens | fast immer
immer

not at all | none | none at all | not | no
barely | hardly | very little | very slightly
a little | slightly | a bit | a little bit | little | mildly | somewhat not
somewhat | moderately | to some extent | a moderate amount | medium
quite | rather | quite a bit | fairly | considerably | mostly | a lot
very | highly | very much | a great deal | strongly
extremely | completely | totally | entirely | severely

überhaupt nicht | gar nicht | nicht
kaum | ein wenig | wenig | etwas | ein bisschen
mäßig | mittel | mittelmäßig | teilweise
ziemlich | eher | überwiegend
sehr | stark
äußerst | völlig | extrem | außerordentlich

pas du tout
un peu
moyennement | modérément
assez | plutôt
très | beaucoup
extrêmement

para nada | nada | en absoluto
un poco | poco
moderadamente | algo
bastante
mucho | muy
extremadamente

none | safe | no risk | benign
low | mild | minor | slight
medium | moderate | mid
high | severe | major
very high | critical | extreme

harmless | not harmful | safe | acceptable | inoffensive | not offensive | not toxic
borderline | questionable | ambiguous | somewhat harmful | unclear | unsure
harmful | unsafe | unacceptable | offensive | toxic | dangerous

no | definitely not | n | nein | non | false | falsch | nope
probably not | rather not | eher nein
maybe | unsure | not sure | uncertain | unclear | partly | partially | somewhat | vielleicht | unsicher |
  teilweise | peut-être | quizás | borderline | neutral | mixed
probably | probably yes | eher ja
yes | definitely | definitely yes | y | ja | oui | sí | si | true | wahr

dislike | thumbs down | thumbs_down | down | downvote | 👎
neutral | meh
like | thumbs up | thumbs_up | up | upvote | 👍

incorrect | wrong | false
partially correct | partly correct | partially incorrect | mixed
correct | right | true

fail
partial | partial pass
pass

bad | poor
neutral | ok | okay | average | fair
good
"""
"""Scales in words, with a blank line between them: in each line those that mean the same, from low to high. The first
five are of agreement; then quality, satisfaction, likelihood, valence, frequency, intensity, risk, yes and no."""
SCALES = tuple(
    tuple(tuple(map(str.strip, place.split("|"))) for place in scale.replace("|\n", "|").strip().splitlines())
    for scale in WORDINGS.split("\n\n")
)
SYMMETRIC = 5
"""So many of the first scales, those of agreement, go as far down as up."""
NEGATION = re.compile(r"^(not?|non|un|in|im|no|without|kein|nicht)[\s_-]*(.+)$")


@dataclass(frozen=True)
class Scale:
    """How a column's texts become categories.

    labels: text → category, or numbers in their place. missing: texts that are no answer. said: one sentence of what
    was assumed; unclear: what could not be seen, "" if nothing. kind: scales of the same kind can share a codebook.
    sure: whether its order was seen.
    """

    labels: Mapping[str, int]
    missing: tuple[str, ...] = ()
    numbers: Mapping[str, Any] | None = None
    kind: str = ""
    said: str = ""
    unclear: str = ""
    sure: bool = True

    @property
    def categories(self) -> int:
        if self.numbers is None:
            return max(self.labels.values())
        return Numbers.model_validate(self.numbers).categories


def scale_of(counts: Mapping[str, int]) -> Scale | None:
    """The scale that a column's texts (with how often each stands) are on; None where they can be none.

    At least two categories are needed. Where the order of wordings can't be seen they are in the order of their
    frequency, `sure` is False, and `unclear` asks for it.
    """
    if any(nested_kind(text) for text in counts):
        return None
    missing = tuple(text for text in counts if normal(text) in NO_ANSWER)
    own = {text: n for text, n in counts.items() if text not in missing}
    number_alone = len(own) == 1 and math.isfinite(as_number(next(iter(own))))
    none_and_some = len(own) == 1 and any(normal(text) == "none" for text in missing)
    if len(own) < 2 and not number_alone and not none_and_some:
        return None
    values = {text: as_number(text) for text in own}
    if own and all(math.isfinite(value) for value in values.values()):
        return _of_numbers(own, values, missing)
    if len({normal(text) for text in own}) > MOST_LEVELS * 2:
        return None
    for read in (_of_stars, _with_leading_numbers, _of_wordings, _of_a_word_and_its_negation):
        scale = read(list(counts) if read is _of_wordings else list(own))
        if scale is not None:
            left = tuple(text for text in missing if text not in scale.labels)
            return replace(scale, missing=left)
    if len(own) > MOST_LEVELS or max(map(len, own)) > 80:
        return None
    ordered = list(_once(sorted(own)))
    return (
        Scale(
            {text: place for place, text in enumerate(ordered, 1)},
            missing,
            kind=f"words {sorted(map(normal, ordered))}",
            unclear=f"the order of {_quoted(ordered)} can't be seen; they stand in alphabetical order",
            sure=False,
        )
        if len(ordered) > 1
        else None
    )


def _once(texts: Sequence[str]) -> dict[str, str]:
    """The texts, of those that are the same but for case the first."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(normal(text), text)
    return {text: key for key, text in first.items()}


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(f"'{visible(text)}'" for text in texts[:MOST_LEVELS])


def _of_numbers(counts: Mapping[str, int], values: Mapping[str, float], missing: tuple[str, ...]) -> Scale | None:
    apart = [text for text, value in values.items() if _stands_for_missing(value, values.values())]
    missing, values = (*missing, *apart), {text: value for text, value in values.items() if text not in apart}
    numbers = sorted(set(values.values()))
    if not numbers:
        return None
    low, high, whole = numbers[0], numbers[-1], all(value.is_integer() for value in numbers)
    said = f"{len(numbers)} different numbers from {low:g} to {high:g}"
    if whole and high - low < MOST_AS_THEY_ARE:
        low, high, more = _whole_scale(int(low), int(high))
        if high <= low:
            return None
        labels = {str(number): place for place, number in enumerate(range(low, high + 1), 1)}
        return Scale(labels, missing, kind=f"{low} to {high}", said=f"whole numbers from {low} to {high}{more}")
    if len(numbers) < 2:
        return None
    edges = _edges(low, high)
    amounts = np.repeat(list(values.values()), [min(counts[text], 10**6) for text in values])
    for groups in range(GROUPS, 1, -1):
        settings = {"low": edges[0], "high": edges[1], "quantiles": groups}
        if len(quantile_cuts(amounts, Numbers.model_validate(settings))) == groups - 1:
            said += f", taken as a scale from {edges[0]:g} to {edges[1]:g}, in {groups} groups of about as many ratings"
            return Scale({}, missing, settings, kind=f"{edges[0]:g} to {edges[1]:g} in {groups}", said=said)
    return None


def _stands_for_missing(value: float, values: Any) -> bool:
    """Whether a number such as -99 lies apart from all others."""
    others = [one for one in values if one not in NUMBERS_FOR_MISSING]
    if value not in NUMBERS_FOR_MISSING or len(others) < 2:
        return False
    low, high = min(others), max(others)
    if value == -1:
        return low >= 1 and high > low  # 1 to 5, and -1
    return value < low - 2 * (high - low) - 2 or (value > high + 2 * (high - low) + 2 and high <= 11)


def _whole_scale(low: int, high: int) -> tuple[int, int, str]:
    """The scale that whole numbers seem to be of, and what to say where not all of it is seen."""
    if low < 0:
        reach = max(-low, high)
        if reach > MOST_AS_THEY_ARE:
            return low, high, ""
        return (-reach, reach, "" if (-reach, reach) == (low, high) else f" (seen: {low} to {high})")
    if low <= 1:
        least = max(low + 1, high)
        return low, least, ""
    if high > MOST_AS_THEY_ARE:
        return low, high, ""
    return 1, max(high, 5), f" (seen: {low} to {high})"


def _edges(low: float, high: float) -> tuple[float, float]:
    for least, most in ((0.0, 1.0), (-1.0, 1.0), (0.0, 10.0), (-10.0, 10.0), (0.0, 100.0), (-100.0, 100.0)):
        if least <= low and high <= most and (high - low) > (most - least) / 4:
            return least, most
    return low, high


def _with_leading_numbers(texts: list[str]) -> Scale | None:
    """`1 - not at all`, `(5) very`, `very (5)`."""
    found = {}
    for text in texts:
        match = re.match(r"^[\s\[(]*([+-]?\d{1,3})\b[\s\]).:=-]*", normal(text)) or re.search(
            r"[\[(]\s*([+-]?\d{1,3})\s*[\])]\s*$", text
        )
        if match is None:
            return None
        found[text] = int(match.group(1))
    numbers = sorted(set(found.values()))
    if len(numbers) < 2 or len(numbers) < len(_once(texts)) or numbers[-1] - numbers[0] >= MOST_AS_THEY_ARE:
        return None
    low, high, more = _whole_scale(numbers[0], numbers[-1])
    labels = {text: number - low + 1 for text, number in sorted(found.items(), key=lambda item: item[1])}
    labels |= {str(number): number - low + 1 for number in range(low, high + 1) if number not in numbers}
    return Scale(labels, kind=f"{low} to {high}", said=f"the numbers in {_quoted(list(found))}{more}")


def _of_stars(texts: list[str]) -> Scale | None:
    found = {}
    for text in texts:
        stars = sum(letter in "★⭐*🌟" for letter in text)
        match = re.match(r"^(\d{1,2})\s*(stars?|sterne?|points?|punkte?|/\s*\d+)$", normal(text))
        if not stars and match is None:
            return None
        found[text] = stars if match is None else int(match.group(1))
    if len(set(found.values())) < 2 or max(found.values()) > MOST_AS_THEY_ARE or min(found.values()) < 0:
        return None
    low, high = min(1, *found.values()), max(5, *found.values())
    labels = {text: number - low + 1 for text, number in sorted(found.items(), key=lambda item: item[1])}
    labels |= {f"{number} stars": number - low + 1 for number in range(low, high + 1) if number not in found.values()}
    return Scale(labels, kind=f"{low} to {high}", said=f"stars, {low} to {high}")


def _of_wordings(texts: list[str]) -> Scale | None:
    """A scale in words; of one of agreement, the counterpart of a wording stands in where nobody chose it."""
    best: Scale | None = None
    for number, places in enumerate(SCALES):
        known = {word: place for place, one in enumerate(places) for word in one}
        own = [text for text in texts if normal(text) not in NO_ANSWER or normal(text) in known]
        subject = _subject(own, known) if number >= SYMMETRIC else ""
        found = {text: _place(text, known, subject) for text in own}
        if len(own) < 2 or None in found.values() or len(set(found.values())) < 2:
            continue
        scale = _ranked(
            {text: int(str(place)) for text, place in found.items()}, places if number < SYMMETRIC else None
        )
        if best is None or scale.categories > best.categories:
            best = scale
    return best


def _place(text: str, known: Mapping[str, int], subject: str) -> int | None:
    plain = re.sub(r"[_]+", " ", normal(text)).strip(" .!")
    if subject and plain != subject and plain.endswith(subject):
        plain = plain[: -len(subject)].strip(" -_")
    elif subject and plain == subject:
        return known.get("quite", known.get("ziemlich"))
    return known.get(plain)


def _subject(texts: list[str], known: Mapping[str, int]) -> str:
    """The word that wordings end with, such as toxic in "not at all toxic", "very toxic"; "" if none."""
    ends = {normal(text).replace("_", " ").rsplit(" ", 1)[-1] for text in texts}
    word = ends.pop() if len(ends) == 1 else ""
    return word if word and word not in known else ""


def _ranked(found: dict[str, int], symmetric: Sequence[Sequence[str]] | None) -> Scale:
    used, added = set(found.values()), dict[str, int]()
    if symmetric is not None:
        for place in sorted(used):
            other = len(symmetric) - 1 - place
            if other not in used and other not in added.values():
                added[symmetric[other][0]] = other
    ranks = {place: rank for rank, place in enumerate(sorted(used | set(added.values())), 1)}
    labels = {text: ranks[place] for text, place in sorted((found | added).items(), key=lambda item: item[1])}
    labels = {text: labels[text] for text in _once(list(labels))}
    more = f"; nobody chose {_quoted(list(added))}, which would be the counterpart" if added else ""
    return Scale(
        labels,
        kind=f"words {sorted(map(normal, labels))}",
        said=f"the order {' < '.join(map(visible, labels))}{more}",
    )


def _of_a_word_and_its_negation(texts: list[str]) -> Scale | None:
    """`toxic` and `not toxic`, `safe` and `unsafe`."""
    two = list(_once(texts))
    if len(two) != 2:
        return None
    for no, yes in (two, two[::-1]):
        match = NEGATION.match(normal(no))
        if match and match.group(2) == re.sub(r"^[\s_-]+", "", normal(yes)):
            return Scale({no: 1, yes: 2}, kind=f"{normal(no)} or not", said=f"'{visible(no)}' < '{visible(yes)}'")
    return None
