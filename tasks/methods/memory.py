"""How much goes through the model at once: as much as memory takes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from tasks.runtime.job import free_memory

log = logging.getLogger(__name__)
Result = TypeVar("Result")
USABLE = 0.8
"""Of the free memory; the rest is for what the estimate leaves out."""

LOGIT = 14
"""Bytes that a logit takes, in bf16 and in float32, with its gradient in both and its log-probability."""


LARGE, TOKENS = 2**26, 2048
"""On a CPU a base of more bytes takes so many tokens at once, a smaller one a whole step. Products of a large one are
no faster for more rows, and fewer rows of like length have less padding and take less memory."""


class OutOfMemory(RuntimeError):
    """Not even one row fits."""


def halving(attempt: Callable[[int], Result], first: int, of: int | None = None) -> tuple[Result, int]:
    """`attempt(n)` for the first n that fits, and that n: `first`, then half as many, always a divisor of `of`.

    Raises:
        OutOfMemory: n = 1 does not fit.
    """
    from accelerate.utils.memory import should_reduce_batch_size

    size = first
    while True:
        try:
            return attempt(size), size
        except Exception as error:
            if not should_reduce_batch_size(error):
                raise
            reason = " ".join(str(error).split())[:200]
        if size == 1:
            raise OutOfMemory(f"not even one row at once fits into memory: {reason}")
        size = next(n for n in range(size // 2, 0, -1) if of is None or of % n == 0)
        log.warning("out of memory: going on with %d rows at once", size)
        free_memory()


def rows_that_fit(model: Any, batch: int, tokens: int, processes: int = 1, logits: bool = False) -> int:
    """The most of `batch`, a divisor of it, whose rows of `tokens` tokens should fit into a GPU, or are best on a CPU.

    processes: that share the model, each with a GPU. logits: whether those of all tokens are kept.
    """
    import torch

    if not torch.cuda.is_available():
        few = next((n for n in range(batch, 1, -1) if batch % n == 0 and n * tokens <= TOKENS), 1)
        return few if model.get_memory_footprint() > LARGE else batch
    torch.cuda.empty_cache()  # what earlier runs have given back, but torch has kept
    free, _ = torch.cuda.mem_get_info()
    if processes > 1:  # this one's part of the weights is still to come
        free -= model.get_memory_footprint() // processes
    config = model.config.get_text_config()
    row = tokens * (bytes_a_token(config) + (LOGIT * config.vocab_size if logits else 0))
    return next((n for n in range(batch, 1, -1) if batch % n == 0 and n * row <= USABLE * free), 1)


def bytes_a_token(config: Any) -> int:
    """Activations of a training step with gradient checkpointing, in two bytes a value.

    Every layer keeps its input; the layer at work keeps about ten more of that size, and three of the feed-forward's.
    """
    hidden = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    return 2 * (config.num_hidden_layers * hidden + 10 * hidden + 3 * inner)
