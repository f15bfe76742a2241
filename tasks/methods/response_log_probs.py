"""log π of responses under the model in training, for the same rows under several adapters at once.

Only the logits of responses are computed. Where activations are kept (on a CPU), the responses to one prompt share its
keys and values: on the tiny models' pairs, a quarter less to compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Ids = list[int]


def response_log_probs(
    model: Any, prompts: Sequence[Ids], responses: Sequence[Sequence[Ids]], copies: int, pad: int
) -> Any:
    """log π of each row's responses to its prompt, summed over their tokens: (copies, rows, responses).

    The rows go through the model once for each copy. Where its layers keep what they compute, each prompt does so once
    for all of its responses.
    """
    import torch
    import torch.nn.functional as F

    each = [(prompt, response) for prompt, row in zip(prompts, responses, strict=True) for response in row]
    if _shares_prompts(model, prompts, responses):
        logits = _after_prompts(model, prompts, each, copies, pad)
        targets, mask = _padded([response for _, response in each], pad, model.device)
    else:
        start = min(len(prompt) for prompt, _ in each)
        ids, seen = _padded([prompt + response for prompt, response in each], pad, model.device)
        inside = torch.arange(ids.shape[1], device=ids.device) >= torch.tensor([[len(p)] for p, _ in each]).to(
            ids.device
        )
        targets, mask = ids[:, start:], (seen * inside)[:, start:]
        logits = model(
            input_ids=ids.repeat(copies, 1), attention_mask=seen.repeat(copies, 1), use_cache=False,
            logits_to_keep=targets.shape[1] + 1,
        ).logits[:, :-1]  # fmt: skip
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits.flatten(0, 1), targets.repeat(copies, 1).flatten(), reduction="none")
    sums = (losses.view(copies, *targets.shape) * mask).sum(2)
    return -sums.view(copies, len(prompts), -1)


def _shares_prompts(model: Any, prompts: Sequence[Ids], responses: Sequence[Sequence[Ids]]) -> bool:
    """Whether several responses follow each prompt, and every layer lets them attend to all of it.

    Not where activations are computed twice, which keeps nothing; nor where a layer sees only a window or a state.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    config = model.config.get_text_config()
    longest = max(map(len, prompts)) + max(len(response) for row in responses for response in row)
    window = getattr(config, "sliding_window", None) or longest
    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    return (
        len(responses[0]) > 1
        and not model.is_gradient_checkpointing
        and min(map(len, prompts)) > 1
        and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
        and longest <= window
    )


def _after_prompts(model: Any, prompts: Sequence[Ids], each: Sequence[tuple[Ids, Ids]], copies: int, pad: int) -> Any:
    """Logits of every token of the responses: (copies · responses, tokens, vocabulary).

    All of a prompt but its last token goes through the model first; what follows has the cache of that.
    """
    import torch
    from transformers.cache_utils import DynamicCache

    ids, seen = _padded([prompt[:-1] for prompt in prompts], pad, model.device)
    cache = DynamicCache(config=model.config)
    model.base_model(
        input_ids=ids.repeat(copies, 1), attention_mask=seen.repeat(copies, 1), past_key_values=cache, use_cache=True
    )
    times = len(each) // len(prompts)
    cache.batch_repeat_interleave(times)
    after, own = _padded([[prompt[-1], *response[:-1]] for prompt, response in each], pad, model.device)
    seen = seen.repeat_interleave(times, 0)
    positions = seen.sum(1, keepdim=True) + torch.arange(after.shape[1], device=after.device)
    return model(
        input_ids=after.repeat(copies, 1),
        attention_mask=torch.cat([seen, own], 1).repeat(copies, 1),
        position_ids=positions.repeat(copies, 1),
        past_key_values=cache,
        use_cache=True,
    ).logits


def _padded(sequences: Sequence[Ids], pad: int, device: Any) -> tuple[Any, Any]:
    """Ids, padded on the right, and 1 where there is one; each of shape (sequences, longest)."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in sequences], device=device)
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences], device=device)
    return ids, mask
