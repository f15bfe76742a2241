"""Which language texts are in, by the commonest of its words, or its letters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

COMMON = {
    "en": (
        "the of and to a in is that it was for on are as with be this have from or an by not but what you your can"
        " how i do which"
    ),
    "de": (
        "der die das und ist nicht ich ein eine zu den von mit auf für dass sie es wie auch sich im dem wird sind"
        " kann was wenn oder"
    ),
    "fr": (
        "le la les et est une des un dans que qui pour pas sur du je vous il elle ce avec sont au plus nous par mais"
        " comment"
    ),
    "es": (
        "el la los las y es una que de en un por para con no se su lo como más pero del al yo qué son está hay cómo"
    ),
    "it": "il la le e è un una che di in per con non si sono gli del della i come più ma anche al questo da lo cosa",
    "pt": "o a os as e é um uma que de em para com não se do da no na por mais como mas são eu você isso ao dos",
    "nl": (
        "de het een en van is dat niet in op te zijn met voor ik je er aan die wat maar om ook als hoe deze dit kan"
    ),
}
SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "HEBREW": "he",
    "THAI": "th",
    "BENGALI": "bn",
}
LOOKED_AT, LONGEST = 300, 500


def language_of(texts: Iterable[str]) -> tuple[str, bool]:
    """The language's code, and whether it is sure of it; English where nothing speaks for any."""
    words, letters = Counter[str](), Counter[str]()
    for _, text in zip(range(LOOKED_AT), texts, strict=False):
        words.update(re.findall(r"[^\W\d_]+", text[:LONGEST].casefold()))
        letters.update(unicodedata.name(letter, "?").split()[0] for letter in text[:100] if letter.isalpha())
    total = sum(letters.values())
    scripts = {code: sum(n for name, n in letters.items() if SCRIPTS.get(name) == code) for code in SCRIPTS.values()}
    if total and max(scripts.values()) > total / 2:
        return ("ja", True) if scripts["ja"] > total / 10 else (max(scripts, key=lambda code: scripts[code]), True)
    if total and scripts["ja"] and scripts["ja"] + scripts["zh"] > total / 2:
        return "ja", True
    hits = {code: sum(words[word] for word in common.split()) for code, common in COMMON.items()}
    (first, most), (_, second) = Counter(hits).most_common(2)
    return (first, True) if most >= 10 and most > 1.3 * second else (first if most > second else "en", False)
