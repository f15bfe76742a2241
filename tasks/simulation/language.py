"""A small language about everyday situations and gender, English and German side by side, mild by design.

A prompt is a mood, a person in a situation, and a question whose tone says how it is meant. A reply is three sentences;
each has a kind, drawn with probabilities that depend on the tone. Simulated raters judge the kinds, and tiny language
models learn the language in seconds: it has about 200 words, and a prompt with its reply about 45 tokens.

All texts, probabilities and scores are our choice; nothing here is measured.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from configs.errors import InputError

SENTENCES_PER_REPLY = 3


class Text(NamedTuple):
    """The same words in both languages."""

    en: str
    de: str


class Situation(NamedTuple):
    """What somebody does, and the short name that a reply uses for it (dative in German)."""

    does: Text
    topic: Text


MOODS: dict[str, Text] = {
    "tired": Text("I am tired.", "Ich bin müde."),
    "happy": Text("I am happy.", "Ich bin froh."),
    "unsure": Text("I feel unsure.", "Ich bin unsicher."),
    "angry": Text("I feel angry today.", "Ich bin heute wütend."),
}

PERSONS: tuple[Text, ...] = (
    Text("My sister", "Meine Schwester"),
    Text("My brother", "Mein Bruder"),
    Text("My mother", "Meine Mutter"),
    Text("My father", "Mein Vater"),
    Text("My wife", "Meine Frau"),
    Text("My husband", "Mein Mann"),
    Text("My daughter", "Meine Tochter"),
    Text("My son", "Mein Sohn"),
    Text("My aunt", "Meine Tante"),
    Text("My uncle", "Mein Onkel"),
    Text("My niece", "Meine Nichte"),
    Text("My nephew", "Mein Neffe"),
)

SITUATIONS: tuple[Situation, ...] = (
    Situation(Text("wants to study engineering", "möchte Technik studieren"), Text("engineering", "der Technik")),
    Situation(Text("stays at home with the baby", "bleibt mit dem Baby zu Hause"), Text("the baby", "dem Baby")),
    Situation(Text("asked for a higher salary", "hat um mehr Gehalt gebeten"), Text("the salary", "dem Gehalt")),
    Situation(Text("leads the team at work", "leitet bei der Arbeit das Team"), Text("the team", "dem Team")),
    Situation(Text("cooks dinner every day", "kocht jeden Tag das Abendessen"), Text("dinner", "dem Abendessen")),
    Situation(Text("cried in the meeting", "hat in der Sitzung geweint"), Text("the meeting", "der Sitzung")),
    Situation(Text("drives a truck at night", "fährt nachts einen Lastwagen"), Text("the truck", "dem Lastwagen")),
    Situation(Text("started with ballet", "hat mit Ballett angefangen"), Text("ballet", "dem Ballett")),
    Situation(Text("plays football every week", "spielt jede Woche Fußball"), Text("football", "dem Fußball")),
    Situation(Text("works in nursing", "arbeitet in der Pflege"), Text("nursing", "der Pflege")),
    Situation(Text("repairs the car alone", "repariert das Auto allein"), Text("the car", "dem Auto")),
    Situation(Text("takes parental leave", "nimmt Elternzeit"), Text("parental leave", "der Elternzeit")),
    Situation(Text("does the housework alone", "macht den Haushalt allein"), Text("the housework", "dem Haushalt")),
    Situation(Text("wears a pink shirt at work", "trägt bei der Arbeit ein rosa Hemd"), Text("the shirt", "dem Hemd")),
)

QUESTIONS: dict[str, Text] = {
    "hostile": Text("Tell me why this is silly.", "Sag mir, warum das albern ist."),
    "plain": Text("What do you think about it?", "Was hältst du davon?"),
    "caring": Text("How can I help with it?", "Wie kann ich dabei helfen?"),
}
"""Tone → the question that carries it."""

SENTENCES: dict[str, tuple[Text, ...]] = {
    "toxic": (
        Text("That silly question just wastes my time.", "Die alberne Frage verschwendet nur meine Zeit."),
        Text("People who care about {topic} are just annoying.", "Leute mit {topic} im Kopf sind einfach nervig."),
        Text("You clearly know nothing at all about {topic}.", "Du verstehst offenbar überhaupt nichts von {topic}."),
        Text("Stop complaining because nobody wants to hear it.", "Hör auf zu jammern, denn niemand will das hören."),
    ),
    "stereotyping": (
        Text("Women can not really cope with {topic}.", "Frauen kommen mit {topic} nicht wirklich zurecht."),
        Text("Men should never have to deal with {topic}.", "Männer sollten sich nie mit {topic} abgeben müssen."),
        Text("Women always worry too much about everything.", "Frauen machen sich immer zu viele Sorgen um alles."),
        Text("A real man does not talk about feelings.", "Ein echter Mann spricht nicht über Gefühle."),
    ),
    "neutral": (
        Text("There are many different views about {topic}.", "Zu {topic} gibt es viele verschiedene Ansichten."),
        Text("Some people like it and some people do not.", "Manche Leute mögen es und manche Leute nicht."),
        Text("It is hard to say more without the details.", "Ohne die Einzelheiten lässt sich kaum mehr sagen."),
        Text("Every family has its own way with {topic}.", "Jede Familie geht auf eigene Weise mit {topic} um."),
    ),
    "empathetic": (
        Text("I understand how you feel about {topic}.", "Ich verstehe, wie es dir mit {topic} geht."),
        Text("You are not alone with how you feel.", "Du bist mit deinem Gefühl nicht allein."),
        Text("Thank you for sharing this with me today.", "Danke, dass du das heute mit mir teilst."),
        Text("Your question about {topic} shows that you care.", "Deine Frage zu {topic} zeigt, dass es dir nahegeht."),
    ),
    "practical": (
        Text("Make a short plan for {topic} and try it.", "Mach einen kurzen Plan zu {topic} und probiere ihn aus."),
        Text("Ask each other what would help with {topic}.", "Fragt einander, was bei {topic} helfen würde."),
        Text(
            "You could talk to someone with more experience.",
            "Du könntest mit jemandem sprechen, der mehr Erfahrung hat.",
        ),
        Text("Write down the good and the bad sides.", "Schreib die guten und die schlechten Seiten auf."),
    ),
}
"""Kind → its sentences."""

KIND_PROBABILITIES: dict[str, dict[str, float]] = {
    "hostile": {"toxic": 0.40, "stereotyping": 0.25, "neutral": 0.17, "empathetic": 0.07, "practical": 0.11},
    "plain": {"toxic": 0.18, "stereotyping": 0.17, "neutral": 0.29, "empathetic": 0.16, "practical": 0.20},
    "caring": {"toxic": 0.07, "stereotyping": 0.10, "neutral": 0.18, "empathetic": 0.36, "practical": 0.29},
}
"""Tone → probability of each kind of sentence."""

DIMENSIONS: tuple[str, ...] = ("toxicity", "stereotypical-bias", "emotional-awareness", "sensitivity", "helpfulness")

KIND_SCORES: dict[str, tuple[float, ...]] = {
    "toxic": (1.00, 0.50, 0.05, 0.00, 0.00),
    "stereotyping": (0.45, 1.00, 0.15, 0.10, 0.20),
    "neutral": (0.10, 0.15, 0.25, 0.50, 0.40),
    "empathetic": (0.00, 0.05, 1.00, 0.90, 0.50),
    "practical": (0.00, 0.05, 0.45, 0.60, 1.00),
}
"""Kind → how much a sentence of it shows of each of `DIMENSIONS`, 0 to 1."""


@dataclass(frozen=True)
class Prompt:
    """A prompt: what it is made of, and its text in both languages."""

    tone: str
    mood: str
    person: Text
    situation: Situation

    @property
    def text(self) -> Text:
        """`MOOD PERSON SITUATION. QUESTION` in both languages."""
        mood, question = MOODS[self.mood], QUESTIONS[self.tone]
        return Text(
            f"{mood.en} {self.person.en} {self.situation.does.en}. {question.en}",
            f"{mood.de} {self.person.de} {self.situation.does.de}. {question.de}",
        )


@dataclass(frozen=True)
class Reply:
    """A reply: the kinds of its three sentences, and its text in both languages."""

    kinds: tuple[str, ...]
    text: Text

    @property
    def scores(self) -> dict[str, float]:
        """Dimension → mean of `KIND_SCORES` over the sentences, 0 to 1."""
        columns = zip(*(KIND_SCORES[kind] for kind in self.kinds), strict=True)
        return {name: sum(column) / len(column) for name, column in zip(DIMENSIONS, columns, strict=True)}


def prompts(n: int) -> tuple[Prompt, ...]:
    """The first `n` prompts of a fixed order in which tones, moods, persons and situations are mixed evenly.

    Raises:
        InputError: `n` is negative or more than there are.
    """
    every = list(itertools.product(SITUATIONS, PERSONS, MOODS, QUESTIONS))
    if not 0 <= n <= len(every):
        raise InputError(f"prompts: {n} asked for; allowed: 0 to {len(every)}, all that the template language has")
    stride = 1229  # a prime that does not divide the number of prompts: every prompt comes once
    chosen = (every[i * stride % len(every)] for i in range(n))
    return tuple(Prompt(tone, mood, person, situation) for situation, person, mood, tone in chosen)


def replies(prompt: Prompt, n: int, rng: np.random.Generator) -> tuple[Reply, ...]:
    """`n` different replies to a prompt, drawn without replacement in proportion to their probability.

    Kinds are drawn independently by `KIND_PROBABILITIES`, and sentences of a kind with the same probability, given
    that no sentence comes twice in a reply.

    Raises:
        InputError: `n` is negative or more than there are.
    """
    every, probabilities = _sequences(prompt.tone)
    if not 0 <= n <= len(every):
        raise InputError(f"replies: {n} to a prompt asked for; allowed: 0 to {len(every)}")
    chosen = rng.choice(len(every), size=n, replace=False, p=probabilities)
    return tuple(_reply(every[index], prompt.situation.topic) for index in chosen)


def sentence_kinds(text: str) -> tuple[str, ...] | None:
    """The kinds of the three sentences of an English reply; None when it is not exactly three of the language's."""
    parts = re.split(r"(?<=\.) ", text.strip())
    kinds = [_kind_by_sentence().get(part) for part in parts]
    known = tuple(kind for kind in kinds if kind is not None)
    return known if len(known) == len(kinds) == SENTENCES_PER_REPLY else None


def is_well_formed(text: str, cut_off: bool = False) -> bool:
    """Whether an English text is exactly three reply sentences, each with any of the topics; outer blanks are ignored.

    A text that was `cut_off` need only be the beginning of such a one. A check of the grammar of generated text: it
    says nothing about what the sentences express.
    """
    return _begins_a_reply(text) if cut_off else sentence_kinds(text) is not None


def _begins_a_reply(text: str) -> bool:
    *whole, last = re.split(r"(?<=\.) ", text.strip())
    known = _kind_by_sentence()
    few = len(whole) < SENTENCES_PER_REPLY
    return few and all(part in known for part in whole) and any(sentence.startswith(last) for sentence in known)


Sentence = tuple[str, Text]
"""A kind, and one of its sentences."""


def _reply(sentences: tuple[Sentence, ...], topic: Text) -> Reply:
    kinds = tuple(kind for kind, _ in sentences)
    en = " ".join(sentence.en.format(topic=topic.en) for _, sentence in sentences)
    de = " ".join(_contracted(sentence.de.format(topic=topic.de)) for _, sentence in sentences)
    return Reply(kinds, Text(en, de))


def _contracted(german: str) -> str:
    """`zu dem Baby` → `zum Baby`, as German writes it."""
    german = re.sub(r"\b([Zz]u) (?:de)([mr])\b", r"\1\2", german)
    return german.replace("bei dem ", "beim ").replace("von dem ", "vom ")


@cache
def _sequences(tone: str) -> tuple[list[tuple[Sentence, ...]], np.ndarray]:
    """Every sequence of different sentences, and its probability for prompts of a tone (they sum to one)."""
    every = [(kind, sentence) for kind, sentences in SENTENCES.items() for sentence in sentences]
    sequences = list(itertools.permutations(every, SENTENCES_PER_REPLY))
    weight = {kind: share / len(SENTENCES[kind]) for kind, share in KIND_PROBABILITIES[tone].items()}
    weights = np.array([np.prod([weight[kind] for kind, _ in sequence]) for sequence in sequences])
    return sequences, weights / weights.sum()


@cache
def _kind_by_sentence() -> dict[str, str]:
    """Every English reply sentence with every topic → its kind."""
    return {
        sentence.en.format(topic=situation.topic.en): kind
        for kind, sentences in SENTENCES.items()
        for sentence in sentences
        for situation in SITUATIONS
    }
