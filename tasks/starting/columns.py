"""What a column looks like: numbers or words, how many different ones, what its name says it may be."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from configs.codebook import PLATFORM_COLUMN, normal
from tasks.ratings.reading.columns import as_number, nested_kind
from tasks.ratings.reading.rejected import PLATFORM_ID
from tasks.starting.tables import TextColumn

EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}$")
ADDRESS = re.compile(r"^(\d{1,3}\.){3}\d{1,3}$")
TIME = re.compile(
    r"^\d{4}[-/.]\d\d?[-/.]\d\d?([T ]\d\d?:\d\d.*)?$|"
    r"^\d{1,2}[./]\d{1,2}[./]\d{2,4}( \d\d?:\d\d.*)?$|^\d\d?:\d\d(:\d\d)?$"
)
LOOKED_AT = 500
"""So many different texts show what a column holds."""


def _named(patterns: str) -> re.Pattern[str]:
    """Names with any of these patterns as a word; a tilde is a blank that may be there."""
    return re.compile(rf"\b({'|'.join(patterns.split())})\b".replace("~", " ?"))


PERSONAL = _named(
    r"""
    e~mail ip ip~address phone address latitude longitude location~lat\w* location~l\w*ng\w* first~name
    last~name surname full~name recipient\w* external~(data~)?ref\w* zip zip~code postal~code user~agent browser
    device birth~date date~of~birth iban payment bonus telefon adresse vorname nachname plz
    """
)
TIMES = _named(
    r"""
    time times timestamp date datetime start\w*date end\w*date duration seconds secs millis\w* ms elapsed
    lead~time created updated submitted recorded started finished completed progress status version session
    order position index row rank turn page batch round trial block number num count length words tokens seed
    temperature unnamed approved approvals reward zeit datum dauer
    """
)
FREE = _named(
    r"""
    comments? explanation explain reason reasons reasoning rationale justification feedback why notes? remarks?
    describe described open~ended free~text suggestions? kommentar begr[uü]ndung anmerkung\w*
    """
)
PARTICIPANT = _named(
    r"""
    participants? raters? annotators? workers? users? respondents? judges? label(l)?ers? coders? evaluators?
    reviewers? persons? subjects? contributors? crowd~workers? assessors? voters? member completed~by response~id
    case~id person(en)?~id teilnehmer\w* befragte\w* proband\w* pid vp vpn
    """
)
NOT_THE_PARTICIPANT = _named(
    r"""
    prompt message text input query turn agent rating score model type group count language lang age gender sex
    """
)
ITEM = _named(
    r"""
    responses? answers? items? instances? outputs? completions? utterances? comments? texts? posts? tweets?
    messages? examples? samples? repl(y|ies) generations? docs? documents? sentences? tasks? stimul(us|i)
    images? records? units? antwort\w* beispiel\w* candidates?
    """
)
PROMPT = _named(
    r"""
    prompts? questions? quer(y|ies) instructions? conversations? interactions? dialog(ue)?s? contexts? inputs?
    user~(prompt|message|input|turn) topics? scenarios? requests? aufgabe\w* frage\w* anfrage\w* chats?
    """
)
RESPONSE_TEXT = _named(
    r"""
    responses? answers? outputs? completions? repl(y|ies) texts? comments? generations? generated content
    sentences? utterances? tweets? posts? body message assistant bot model chosen rejected antwort\w* summary
    translation candidates?
    """
)
DEMOGRAPHIC = _named(
    r"""
    gender sex age ages birth~year year~(of~)?birth born race races ethnic\w* education\w* degree school\w*
    country countries nation\w* residence region state religi\w* faith politic\w* party ideolog\w* partisan\w*
    income employ\w* occupation\w* job student\w* language~spoken native~language mother~tongue languages?
    sexual\w* orientation lgbt\w* trans\w* marital married children parent\w* disab\w* urban\w* class locale
    generation immigra\w* veteran demograph\w* locations? geschlecht alter herkunft bildung\w* land beruf\w*
    partei religion\w* familienstand einkommen staatsangeh\w* muttersprache
    """
)
AGE = _named(
    r"""
    age ages alter age~years
    """
)
BIRTH_YEAR = _named(
    r"""
    birth~year year~(of~)?birth born geburtsjahr
    """
)
RATED = _named(
    r"""
    ratings? rated scores? labels? toxic\w* offens\w* hate\w* harm\w* safe\w* unsafe quality helpful\w*
    honest\w* truthful\w* correct\w* accura\w* factual\w* fluen\w* coheren\w* relevan\w* appropriate\w*
    polite\w* empath\w* emotion\w* bias\w* fair\w* stereotyp\w* agree\w* satisf\w* prefer\w* likert stars?
    useful\w* clar\w* sarcas\w* iron\w* sentiment humou?r funny sexis\w* racis\w* creativ\w* informative\w*
    complex\w* verbos\w* overall severity intens\w* insult\w* threat\w* profan\w* abus\w* aggress\w* respect\w*
    accept accepted trust\w* like likes sensib\w* specific\w* interest\w* engag\w* valence arousal dominance
    bewert\w* toxiz\w*
    hilfreich\w* qualit\w* angemessen\w* evaluation judgement judgment vote
    """
)
LOWER = _named(
    r"""
    toxic\w* offens\w* hate\w* hatefulness harm(?!less)\w* unsafe bias\w* stereotyp\w* insult\w* threat\w*
    profan\w* abus\w* aggress\w* sexis\w* racis\w* unfair\w* rude\w* unhelpful\w* inappropriate\w* severity
    danger\w* risk\w* hallucinat\w* error\w* violen\w* obscen\w* disrespect\w* misinformation toxiz\w*
    beleidig\w* sch[aä]dlich\w* sarcas\w* spam incorrect\w* irrelevan\w*
    """
)
HIGHER = _named(
    r"""
    helpful\w* quality honest\w* truthful\w* correct\w* accura\w* factual\w* fluen\w* coheren\w* relevan\w*
    appropriate\w* polite\w* empath\w* emotional~awareness fair\w* safe\w* harmless\w* satisf\w* useful\w*
    clar\w* creativ\w* informative\w* overall respect\w* trust\w* prefer\w* likes? stars? sensib\w* specific\w*
    interest\w* engag\w* hilfreich\w* qualit\w* angemessen\w* score rating
    """
)
ATTENTION = re.compile(
    r"\b(attention|attention ?checks?|catch ?(trial|item|question)|instructed ?(item|response)|imc|bogus|trap"
    r" ?question)\w*\b"
)


def words(name: str) -> str:
    """`"PROLIFIC_PID"` → `"prolific pid"`, `"responseId"` → `"response id"`, `"q1.Age"` → `"q1 age"`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", apart)).casefold().strip()


def plain_letters(text: str) -> str:
    """Lower-case letters without marks: `"Männlich"` → `"mannlich"`."""
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter)
    )


@dataclass(frozen=True)
class Look:
    """A column, and what can be seen of it."""

    column: TextColumn

    @property
    def name(self) -> str:
        return self.column.name

    @cached_property
    def words(self) -> str:
        return words(self.name)

    @property
    def rows(self) -> int:
        return len(self.column.codes)

    @cached_property
    def share_filled(self) -> float:
        return self.column.filled / max(self.rows, 1)

    @cached_property
    def distinct(self) -> int:
        return len(self.column.said)

    @property
    def unique(self) -> bool:
        """Whether no two rows say the same."""
        return self.distinct == self.column.filled

    @cached_property
    def few(self) -> list[str]:
        """Some of its different texts, the most frequent first."""
        return list(self.column.said)[:LOOKED_AT]

    @cached_property
    def numbers(self) -> np.ndarray:
        """What some of its different texts are as numbers, NaN where one is none; shape (few,)."""
        return np.array([as_number(text) for text in self.few], dtype=float)

    @cached_property
    def numeric(self) -> bool:
        """Whether nine of ten of them are numbers."""
        return bool(self.few) and bool(np.isfinite(self.numbers).mean() >= 0.9)

    @cached_property
    def words_each(self) -> float:
        """Words in a text, in the mean."""
        return float(np.mean([len(text.split()) for text in self.few])) if self.few else 0.0

    @cached_property
    def letters_each(self) -> float:
        return float(np.mean([len(text) for text in self.few])) if self.few else 0.0

    @cached_property
    def is_text(self) -> bool:
        """Whether it holds sentences rather than words, numbers or ids."""
        spaced = self.words_each >= 3 or (self.letters_each >= 25 and not all(map(str.isascii, self.few)))
        return not self.numeric and spaced and self.distinct > 1 and not self.is_nested

    @cached_property
    def is_nested(self) -> bool:
        return bool(self.few) and sum(bool(nested_kind(text)) for text in self.few) > len(self.few) / 2

    @cached_property
    def is_personal(self) -> bool:
        """Whether it tells who somebody is: addresses, names, places, a platform's ids."""
        some = self.few[:100]
        hits = sum(bool(EMAIL.match(text) or ADDRESS.match(text)) for text in some)
        return bool(PERSONAL.search(self.words)) or (bool(some) and hits > len(some) / 2)

    @cached_property
    def is_platform(self) -> bool:
        return bool(PLATFORM_COLUMN.search(self.words)) or any(PLATFORM_ID.search(text) for text in self.few)

    @cached_property
    def is_time(self) -> bool:
        some = self.few[:100]
        of_an_epoch = ((self.numbers > 5e8) & (self.numbers < 3e9)) | ((self.numbers > 5e11) & (self.numbers < 3e12))
        stamps = self.numeric and bool(of_an_epoch.mean() > 0.5) and not self.words.endswith(" id")
        return stamps or (bool(some) and sum(bool(TIME.match(text.strip())) for text in some) > len(some) / 2)

    def share_of_rows_like(self, other: Look) -> float:
        """In which share of the rows both columns say the same."""
        places = {text: place for place, text in enumerate(other.column.levels)}
        ours = np.array([places.get(text, -1) for text in self.column.levels], dtype=int)
        return float((ours[self.column.codes] == other.column.codes).mean()) if self.rows else 0.0

    def like(self, pattern: re.Pattern[str]) -> bool:
        """Whether its name says so."""
        return bool(pattern.search(self.words))


def determines(one: TextColumn, other: TextColumn) -> float:
    """The share of `one`'s different texts that go with one text of `other` only, where both say something."""
    both = one.is_filled & other.is_filled
    if not both.any():
        return 0.0
    ours, theirs = one.codes[both], other.codes[both]
    used, several = (np.zeros(len(one.levels), dtype=bool) for _ in range(2))
    last = np.zeros(len(one.levels), dtype=theirs.dtype)
    used[ours], last[ours] = True, theirs
    several[ours[last[ours] != theirs]] = True
    return float(1 - several[used].mean())


def fits(one: TextColumn, other: TextColumn) -> float:
    """The share of `one`'s different texts that stand in `other` too; 0 where none of the first few does."""
    few = [normal(text) for _, text in zip(range(LOOKED_AT), one.said, strict=False)]
    if not any(text in other.normals for text in few):
        return 0.0
    return len(one.normals & other.normals) / max(len(one.normals), 1)
