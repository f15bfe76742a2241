"""What a study would take on GPUs, before there is one: operations counted, speed assumed.

A token costs 2 operations a parameter forward. Training an adapter adds 2 for the gradients that pass through the
frozen base, and 2 for the activations that checkpointing computes again: 6 in all.
"""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Recipe

PEAK = 989e12
"""Operations a second of an H100 in bfloat16, dense, by its data sheet."""
TRAINING, GENERATION = 0.4, 0.05
"""Shares of the peak that are assumed to be reached."""
ASSUMED = f"an H100 at {PEAK / 1e12:.0f} TFLOP/s, {TRAINING:.0%} of it in training, {GENERATION:.0%} in generation"
FORWARD, TRAIN = 2, 6
CHARACTERS_A_TOKEN = 4
"""Of English, about."""


@dataclass(frozen=True)
class Texts:
    """Mean characters of the study's prompts and responses."""

    prompt: float
    response: float

    def tokens(self, recipe: Recipe) -> float:
        """Of a prompt with its response, as far as it is kept."""
        return min((self.prompt + self.response) / CHARACTERS_A_TOKEN, recipe.max_length)


def gradient_hours(parameters: float, tokens: float) -> float:
    """GPU-hours of training on so many tokens, each counted as often as it is trained on."""
    return _hours(TRAIN * parameters * tokens, TRAINING)


def sampling_hours(parameters: float, samples: float, prompt: float, longest: int) -> float:
    """GPU-hours of training on samples of the policy itself.

    Args:
        prompt: mean characters of a prompt.
        longest: tokens of a sample at most, which each is taken to have.
    """
    written, read = samples * longest, samples * prompt / CHARACTERS_A_TOKEN
    trained = (TRAIN + FORWARD) * parameters * (read + written)  # the reference is asked about every sample too
    return _hours(trained, TRAINING) + _hours(FORWARD * parameters * written, GENERATION)


def answering_hours(parameters: float, n_prompts: int, recipe: Recipe) -> float:
    """GPU-hours of answers as long as they may be."""
    return _hours(FORWARD * parameters * n_prompts * recipe.max_new_tokens, GENERATION)


def _hours(operations: float, share: float) -> float:
    return operations / (PEAK * share) / 3600
