"""Greedy answers (temperature 0) of a base, with or without an adapter, to the held-out prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from configs.schema import Recipe
from tasks.architectures.chat import encode_prompts, end_ids, strip_thinking
from tasks.architectures.load import Base
from tasks.methods.lora import lent
from tasks.methods.memory import halving


def generate(
    base: Base, adapter: Path | None, prompts: pd.DataFrame, recipe: Recipe, reasoning: bool
) -> tuple[pd.DataFrame, int]:
    """Answers to `prompts` (prompt_id, prompt).

    Returns:
        prompt_id, text, tokens (generated), finished (ended by itself), thought (thinking was stripped); and how many
        prompts went through the model at once, at the end.
    """
    encoded = [ids[-recipe.max_length :] for ids in encode_prompts(base.tokenizer, prompts["prompt"].tolist())]
    order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
    rows: list[dict[str, Any]] = [{}] * len(encoded)
    at_once = recipe.generation_batch
    with _with_adapter(base.model, adapter) as model:

        def answer(size: int) -> tuple[list[int], list[tuple[list[int], bool]]]:
            """So many of those that wait, the longest first."""
            indices = order[:size]
            return indices, _answer(model, base.tokenizer, [encoded[i] for i in indices], recipe.max_new_tokens)

        while order:
            (indices, answers), at_once = halving(answer, at_once)
            order = order[len(indices) :]
            for index, (ids, finished) in zip(indices, answers, strict=True):
                decoded = base.tokenizer.decode(ids, skip_special_tokens=True)
                text, thought = strip_thinking(decoded, reasoning, finished)
                rows[index] = {"text": text, "tokens": len(ids), "finished": finished, "thought": thought}
    return pd.concat([prompts[["prompt_id"]].reset_index(drop=True), pd.DataFrame(rows)], axis=1), at_once


@contextmanager
def _with_adapter(model: Any, adapter: Path | None) -> Iterator[Any]:
    if adapter is None:
        yield model
        return
    from peft import PeftModel

    with lent(model):
        yield PeftModel.from_pretrained(model, adapter).eval()


def _answer(model: Any, tokenizer: Any, encoded: Sequence[list[int]], limit: int) -> list[tuple[list[int], bool]]:
    """Generated ids without padding and end, and whether the end was reached."""
    import torch

    longest, pad, ends = max(map(len, encoded)), tokenizer.pad_token_id, end_ids(model, tokenizer)
    ids = torch.tensor([[pad] * (longest - len(item)) + item for item in encoded], device=model.device)
    mask = torch.tensor([[0] * (longest - len(item)) + [1] * len(item) for item in encoded], device=model.device)
    with torch.no_grad():
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=pad,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
        )[:, longest:].tolist()
    lengths = [next((index for index, token in enumerate(row) if token in ends), None) for row in output]
    return [(row[:length], length is not None) for row, length in zip(output, lengths, strict=True)]
