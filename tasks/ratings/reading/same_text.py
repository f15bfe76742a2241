"""Which texts are one for whoever reads them, whatever their ids."""

from __future__ import annotations

import unicodedata

import pandas as pd

from configs.codebook import tidy
from tasks.ratings.reading.source import by_text

SHARED = "prompt texts under several ids (all ids of a text are held out, or train)"


def same_response(text: str) -> str:
    """A form that is the same for responses that look the same and train alike: letters composed, outer blanks gone,
    blanks between words as one, line ends as `\\n`.

    Line breaks and indentation stay: they may be what a rater liked.
    """
    lines = unicodedata.normalize("NFC", text).strip().splitlines()
    return "\n".join(f"{line[: len(line) - len(line.lstrip())]}{' '.join(line.split())}" for line in lines)


def same_prompt(text: str) -> str:
    """A form that is the same for prompts that differ by case, blanks, line breaks or compatible letters (NFKC)."""
    return tidy(unicodedata.normalize("NFKC", text)).casefold()


def prompt_groups(responses: pd.DataFrame) -> dict[str, str]:
    """Prompt id → the smallest id of those whose texts are the same, also by way of others; itself where it is alone.

    responses: prompt_id, prompt. An empty text is nobody's: prompts without one stay apart.
    """
    rows = responses[["prompt_id", "prompt"]].drop_duplicates()
    texts = by_text(rows["prompt"], same_prompt)
    group = {prompt: prompt for prompt in rows["prompt_id"]}
    owner: dict[str, str] = {}
    for prompt, text in zip(rows["prompt_id"], texts, strict=True):
        if text:
            first, second = sorted((_root(group, prompt), _root(group, owner.setdefault(text, prompt))))
            group[second] = first
    return {prompt: _root(group, prompt) for prompt in group}


def _root(group: dict[str, str], prompt: str) -> str:
    while group[prompt] != prompt:
        group[prompt] = group[group[prompt]]  # half the way for whoever asks next
        prompt = group[prompt]
    return prompt


def shared_texts(responses: pd.DataFrame) -> dict[str, int]:
    """`SHARED` → how many texts of prompts stand under several ids; nothing where none does."""
    rows = responses[["prompt_id", "prompt"]].drop_duplicates()
    texts = pd.Series(by_text(rows["prompt"], same_prompt), index=rows.index, dtype="str")
    ids = rows["prompt_id"][texts != ""].groupby(texts[texts != ""]).nunique()
    several = int((ids > 1).sum())
    return {SHARED: several} if several else {}
