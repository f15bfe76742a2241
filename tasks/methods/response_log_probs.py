"""log π of responses under the model in training, for the same rows under several adapters at once.

Only the logits of responses are computed. Where activations are kept (on a CPU), the responses to one prompt share its
keys and values: on the tiny models' pairs, a quarter less to compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
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
    narrow = _is_narrow(model)
    forward = model.base_model if narrow else model
    with _attention(model, max(len(prompt) + len(response) for prompt, response in each)):
        if _shares_prompts(model, prompts, responses):
            output = _after_prompts(model, forward, prompts, each, copies, pad)
            targets, mask = _padded([response for _, response in each], pad, model.device)
        else:
            start = min(len(prompt) for prompt, _ in each)
            ids, seen = _padded([prompt + response for prompt, response in each], pad, model.device)
            ends = torch.tensor([[len(prompt)] for prompt, _ in each], device=ids.device)
            inside = torch.arange(ids.shape[1], device=ids.device) >= ends
            targets, mask = ids[:, start:], (seen * inside)[:, start:]
            kept = {} if narrow else {"logits_to_keep": targets.shape[1] + 1}
            output = forward(
                input_ids=ids.repeat(copies, 1), attention_mask=seen.repeat(copies, 1), use_cache=False, **kept
            )
    targets, mask = targets.repeat(copies, 1), mask.repeat(copies, 1)
    if narrow:
        hidden = output.last_hidden_state
        hidden = hidden if hidden.shape[1] == targets.shape[1] else hidden[:, -targets.shape[1] - 1 : -1]
        inside = mask.bool()
        weight = model.get_output_embeddings().weight
        found = _log_probs_of().apply(hidden[inside], weight, targets[inside])
        log_probs = found.new_zeros(mask.shape).masked_scatter(inside, found)
    else:
        logits = output.logits if output.logits.shape[1] == targets.shape[1] else output.logits[:, :-1]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        log_probs = -losses.view(targets.shape) * mask
    return log_probs.sum(1).view(copies, len(prompts), -1)


SHORT = 256
"""Tokens up to which attention on a CPU in bfloat16 takes a fifth less of a step by plain products than by the kernel
that keeps no scores; these grow with the square."""
SCALES = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
"""What configs call that which some models do to their logits."""
AT_ONCE = 128
"""Tokens whose logits are computed at once: 25 MB in float32 of a vocabulary of 49,000."""


def _is_narrow(model: Any) -> bool:
    """Whether the model computes in bfloat16 on a CPU, and its logits are plain products.

    Then few passes over memory are made: no logits are kept, and none is padding's.
    """
    import torch

    head, config = model.get_output_embeddings(), model.config.get_text_config()
    return (
        model.device.type == "cpu"
        and type(head) is torch.nn.Linear
        and head.bias is None
        and head.weight.dtype == torch.bfloat16
        and not any(getattr(config, name, None) for name in SCALES)
    )


def _attention(model: Any, longest: int) -> Any:
    """How attention is computed within: by plain products where that is faster."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    short = model.device.type == "cpu" and model.dtype == torch.bfloat16 and longest <= SHORT
    return sdpa_kernel(SDPBackend.MATH) if short else nullcontext()


@cache
def _log_probs_of() -> Any:
    """log softmax(W h) of one target for each h (tokens, features), in float32, with its gradient for h alone.

    The gradient of a token's value is W[target] - Σ softmax · W, whatever the loss makes of the value: so it is made
    while the token's logits are there, and these need not be kept or computed twice.
    """
    import torch

    class LogProbs(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden: Any, weight: Any, targets: Any) -> Any:
            wanted = hidden.requires_grad
            values = torch.empty(len(hidden), dtype=torch.float32)
            gradient = torch.empty_like(hidden) if wanted else None
            for start in range(0, len(hidden), AT_ONCE):
                part, own = slice(start, start + AT_ONCE), targets[start : start + AT_ONCE, None]
                logits = (hidden[part] @ weight.T).float()
                normal = logits.logsumexp(1, keepdim=True)
                values[part] = (logits.gather(1, own) - normal)[:, 0]
                if gradient is not None:
                    shares = logits.sub_(normal).exp_().neg_()
                    gradient[part] = shares.scatter_add_(1, own, torch.ones_like(normal)).to(weight.dtype) @ weight
            ctx.save_for_backward(gradient)
            return values

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (own,) = ctx.saved_tensors
            return (own * gradients[0][:, None]).to(own.dtype), None, None

    return LogProbs


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


def _after_prompts(
    model: Any, forward: Any, prompts: Sequence[Ids], each: Sequence[tuple[Ids, Ids]], copies: int, pad: int
) -> Any:
    """What `forward`, the model or its part below the head, gives for every token of the responses.

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
    return forward(
        input_ids=after.repeat(copies, 1),
        attention_mask=torch.cat([seen, own], 1).repeat(copies, 1),
        position_ids=positions.repeat(copies, 1),
        past_key_values=cache,
        use_cache=True,
    )


def _padded(sequences: Sequence[Ids], pad: int, device: Any) -> tuple[Any, Any]:
    """Ids, padded on the right, and 1 where there is one; each of shape (sequences, longest)."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in sequences], device=device)
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences], device=device)
    return ids, mask
