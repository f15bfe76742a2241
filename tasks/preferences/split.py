"""Training and held-out prompts."""

from __future__ import annotations

import pandas as pd

from tasks.runtime.fingerprint import stable_share


def held_out(prompt_ids: pd.Series, share: float, seed: int) -> pd.Series:
    """True for the prompts that train nothing: those whose hash falls below `share`.

    A prompt's side depends on its id and the seed alone, so it keeps it when other prompts come or go.
    """
    side = {prompt: stable_share("split", seed, prompt) < share for prompt in prompt_ids.unique()}
    return prompt_ids.map(side).astype(bool)
