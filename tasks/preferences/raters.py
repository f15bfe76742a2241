"""Weights of raters in replicates of a study: how its results would differ had other people been asked.

The Bayesian bootstrap (Rubin 1981): in replicate b every rater r weighs w_r ~ Exp(1), the same on every dimension, in
every condition and for every architecture. Weights are above zero, so that no rating is lost, and those of a rater
depend on nobody else, so that new raters disturb nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.runtime.fingerprint import stable_hash


def rater_weights(participants: pd.Series, replicate: int, seed: int) -> pd.Series:
    """Participant → weight, -log U with U in (0, 1) by a stable hash of participant, replicate and seed.

    replicate: from 1 on.
    """
    people = pd.Series(participants.unique())
    hashed = stable_hash(pd.DataFrame({"participant": people, "replicate": replicate}), seed)
    uniform = (hashed.to_numpy(np.uint64) // np.uint64(2**11) + 0.5) / 2.0**53
    return pd.Series(-np.log(uniform), index=people)
