"""Prompts and responses as token ids, through the tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt as the model sees it, and of the response that follows. `cut`: shortened to fit."""

    prompt: list[int]
    response: list[int]
    cut: bool = False


def encode(tokenizer: Any, dialogues: Sequence[tuple[str, str]], max_length: int) -> list[Encoded]:
    """(prompt, response) texts → ids.

    A prompt keeps its end, at most half of `max_length`; a response keeps its start, within what remains. The response
    begins where the ids of the prompt alone and of both together part, since a template may render them differently.
    """
    prompts = encode_prompts(tokenizer, [prompt for prompt, _ in dialogues])
    wholes = _ids(
        tokenizer,
        [[_user(prompt), {"role": "assistant", "content": response}] for prompt, response in dialogues],
        add_generation_prompt=False,
    )
    return [_fit(prompt, whole, max_length) for prompt, whole in zip(prompts, wholes, strict=True)]


def encode_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Prompts → ids, ending where the model is to answer."""
    return _ids(tokenizer, [[_user(prompt)] for prompt in prompts], add_generation_prompt=True)


def _fit(prompt: list[int], whole: list[int], max_length: int) -> Encoded:
    shared = next(
        (i for i, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), min(len(prompt), len(whole))
    )
    start, answer = whole[:shared], whole[shared:]
    kept_start = start[max(len(start) - max_length // 2, 0) :]
    kept_answer = answer[: max_length - len(kept_start)]
    return Encoded(kept_start, kept_answer, cut=len(kept_start) + len(kept_answer) < len(whole))


def _user(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}


def _ids(tokenizer: Any, dialogues: list[list[dict[str, str]]], add_generation_prompt: bool) -> list[list[int]]:
    if not dialogues:
        return []
    texts = tokenizer.apply_chat_template(dialogues, tokenize=False, add_generation_prompt=add_generation_prompt)
    return tokenizer(texts, add_special_tokens=False)["input_ids"]
