"""Greedy answers (temperature 0) of a base, with or without an adapter, to the held-out prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from configs.schema import Recipe
from tasks.architectures.chat import SYSTEM, encode_prompts
from tasks.architectures.endings import end_ids
from tasks.architectures.load import Base
from tasks.architectures.thinking import AnswerReader
from tasks.methods.group_weights import GROUP
from tasks.methods.lora import adapted, lent
from tasks.methods.memory import halving
from tasks.runtime.progress import Progress, Report, as_part, unheard

ANSWERS = "answers"


def generate(
    base: Base,
    adapter: Path | None,
    prompts: pd.DataFrame,
    recipe: Recipe,
    reasoning: bool,
    progress: Progress = unheard,
) -> tuple[pd.DataFrame, int]:
    """Answers to `prompts`: prompt_id, prompt; where the model is told whom it answers also group, system (its turn).

    Returns:
        prompt_id, group if prompts have it, text, tokens (generated), finished (ended by itself), thought (thinking was
        stripped); and how many prompts went through the model at once, at the end.
    """
    with _with_adapter(base.model, adapter) as model:
        (answers,), at_once = _answer_all(model, base.tokenizer, prompts, recipe, reasoning, progress)
    return answers, at_once


def generate_together(
    base: Base,
    adapters: Sequence[Path],
    prompts: pd.DataFrame,
    recipe: Recipe,
    reasoning: bool,
    progress: Progress = unheard,
) -> tuple[list[pd.DataFrame], int]:
    """`generate` with each of several adapters that have equal settings, as many of them at once as memory takes."""
    from tasks.methods.stacked_lora import kept_adapters

    def attempt(size: int) -> tuple[list[pd.DataFrame], int]:
        tables, at_once = list[pd.DataFrame](), recipe.generation_batch
        for start in range(0, len(adapters), size):
            some = adapters[start : start + size]
            with lent(base.model) as model, kept_adapters(model, some):
                of_them = as_part(progress, ANSWERS, start // size, math.ceil(len(adapters) / size))
                answers, at_once = _answer_all(model, base.tokenizer, prompts, recipe, reasoning, of_them, len(some))
            tables += answers
        return tables, at_once

    return halving(attempt, len(adapters))[0]


def _answer_all(
    model: Any,
    tokenizer: Any,
    prompts: pd.DataFrame,
    recipe: Recipe,
    reasoning: bool,
    progress: Progress,
    copies: int = 1,
) -> tuple[list[pd.DataFrame], int]:
    """Answers of a model that takes a batch so many times, one copy after another; a table for each."""
    systems = prompts[SYSTEM].tolist() if SYSTEM in prompts else None
    encoded = encode_prompts(tokenizer, prompts["prompt"].tolist(), systems, recipe.max_length)
    order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
    rows: list[list[dict[str, Any]]] = [[{}] * len(encoded) for _ in range(copies)]
    at_once, reader = recipe.generation_batch, AnswerReader(tokenizer, reasoning)

    def tell(answered: float) -> None:
        """`answered`: of those that wait."""
        done = len(encoded) - len(order) + answered
        progress(Report("answer", copies * done, copies * len(encoded), ANSWERS))

    def answer(size: int) -> tuple[list[int], list[tuple[list[int], bool]]]:
        """So many of those that wait, the longest first."""
        indices = order[:size]

        def token(share: float) -> None:
            tell(share * len(indices))

        asked = [encoded[index] for index in indices] * copies
        return indices, _answer(model, tokenizer, asked, recipe.max_new_tokens, token)

    while order:
        (indices, answers), at_once = halving(answer, at_once)
        order = order[len(indices) :]
        tell(0)
        for number, (ids, finished) in enumerate(answers):
            copy, place = divmod(number, len(indices))
            text, thought = reader.read(ids, finished)
            rows[copy][indices[place]] = {"text": text, "tokens": len(ids), "finished": finished, "thought": thought}
    ids_of_prompts = prompts[[name for name in ("prompt_id", GROUP) if name in prompts]].reset_index(drop=True)
    return [pd.concat([ids_of_prompts, pd.DataFrame(own)], axis=1) for own in rows], at_once


@contextmanager
def _with_adapter(model: Any, adapter: Path | None) -> Iterator[Any]:
    if adapter is None:
        yield model
        return
    with lent(model):
        yield adapted(model, adapter).eval()


def _answer(
    model: Any, tokenizer: Any, encoded: Sequence[list[int]], limit: int, token: Callable[[float], None]
) -> list[tuple[list[int], bool]]:
    """Generated ids without padding and end, and whether the end was reached; `token` hears the share of the limit."""
    import torch

    longest, pad, ends = max(map(len, encoded)), tokenizer.pad_token_id, end_ids(model)
    ids = torch.tensor([[pad] * (longest - len(item)) + item for item in encoded], device=model.device)
    mask = torch.tensor([[0] * (longest - len(item)) + [1] * len(item) for item in encoded], device=model.device)

    def told(ids: Any, scores: Any, **_: Any) -> Any:
        """Ends nothing."""
        token((ids.shape[1] - longest) / limit)
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    with torch.no_grad():
        output = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, stopping_criteria=[told]
        )
        output = output[:, longest:].tolist()
    lengths = [next((index for index, token in enumerate(row) if token in ends), None) for row in output]
    return [(row[:length], length is not None) for row, length in zip(output, lengths, strict=True)]
