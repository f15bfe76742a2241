"""Prompts and responses as token ids, through the tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

Dialogue = tuple[str, str | None]
"""A prompt, and the response to it or None."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt as the model sees it, and of the response that follows. `cut`: shortened to fit."""

    prompt: list[int]
    response: list[int]
    cut: bool = False


TEMPLATE_VALUES = {"date_string": "1 January 2026"}
"""What some templates (Llama 3's) would otherwise take from the clock, so that the same prompt stays the same."""


def encode(tokenizer: Any, dialogues: Sequence[tuple[str, str]], max_length: int) -> list[Encoded]:
    """(prompt, response) texts → ids.

    A prompt keeps its end, at most half of `max_length`; a response keeps its start, within what remains. The response
    begins where the ids of the prompt alone and of both together part, since a template may render them differently;
    of several responses to a prompt, all begin where the first of them parts, so that they share their prompt's ids.
    """
    prompts = encode_prompts(tokenizer, [prompt for prompt, _ in dialogues])
    wholes = _ids(tokenizer, dialogues)
    shared: dict[str, int] = {}
    for (text, _), prompt, whole in zip(dialogues, prompts, wholes, strict=True):
        length = _shared_length(prompt, whole)
        shared[text] = min(shared.get(text, length), length)
    return [_fit(whole, shared[text], max_length) for (text, _), whole in zip(dialogues, wholes, strict=True)]


def encode_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Prompts → ids, ending where the model is to answer."""
    return _ids(tokenizer, [(prompt, None) for prompt in prompts])


def _shared_length(a: list[int], b: list[int]) -> int:
    parted = (index for index, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1])
    return next(parted, min(len(a), len(b)))


def _fit(whole: list[int], start: int, max_length: int) -> Encoded:
    prompt, response = whole[:start], whole[start:]
    kept_prompt = prompt[max(len(prompt) - max_length // 2, 0) :]
    kept_response = response[: max_length - len(kept_prompt)]
    return Encoded(kept_prompt, kept_response, cut=len(kept_prompt) + len(kept_response) < len(whole))


_known: WeakKeyDictionary[Any, dict[Dialogue, list[int]]] = WeakKeyDictionary()
"""What a tokenizer that is still in use has made of a dialogue: conditions of a study ask for the same ones."""


def _ids(tokenizer: Any, dialogues: Sequence[Dialogue]) -> list[list[int]]:
    """Of each dialogue; one without a response ends where the model is to answer."""
    known = _known.setdefault(tokenizer, {})
    for answered in (True, False):
        missing = [item for item in dict.fromkeys(dialogues) if item not in known and (item[1] is not None) == answered]
        if missing:
            texts = render(tokenizer, missing)
            known |= zip(missing, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True)
    return [known[item] for item in dialogues]


def render(tokenizer: Any, dialogues: Sequence[Dialogue]) -> list[str]:
    """Dialogues as the chat template writes them, all with a response or all without."""
    settings = {"tokenize": False, "add_generation_prompt": dialogues[0][1] is None, **TEMPLATE_VALUES}
    return tokenizer.apply_chat_template([_messages(*item) for item in dialogues], **settings)


def _messages(prompt: str, response: str | None) -> list[dict[str, str]]:
    asked = [{"role": "user", "content": prompt}]
    return asked if response is None else [*asked, {"role": "assistant", "content": response.strip()}]
