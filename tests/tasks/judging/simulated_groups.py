"""Ratings of two groups that differ in what a text means to them, for the tests and the benchmark of groups' judges."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.judging.embedded import EmbeddedJudge
from tasks.judging.evidence import mean_ratings

CATEGORIES = 5


def ratings_of_groups(
    slopes: dict[str, float], prompts: int = 60, each: int = 3, raters: int = 4, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, set[str]]]:
    """Responses (response_id, prompt_id, prompt, response, quality), ratings on dimension x, and groups by name.

    A response has filler words and some of 30 words of a value each, whose sum is its quality (sd 1). Of each group so
    many raters rate it: 3 + slope · quality + noise of sd 1, rounded to 1 … 5.
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(size=30)
    words = rng.integers(0, 30, (prompts * each, 6))
    quality = values[words].sum(axis=1)
    quality = (quality - quality.mean()) / quality.std()
    texts = [" ".join([f"value{w}" for w in row] + [f"filler{f}" for f in rng.integers(0, 40, 6)]) for row in words]
    responses = pd.DataFrame({"response_id": [f"r{i}" for i in range(len(texts))], "response": texts, "prompt": "?"})
    responses = responses.assign(prompt_id=[f"q{i // each}" for i in range(len(texts))], quality=quality)
    rows, groups = [], {name: {f"{name}{number}" for number in range(12)} for name in slopes}
    for name, slope in slopes.items():
        for number, own in enumerate(quality):
            who = rng.choice(12, raters, replace=False)
            category = np.clip(np.round(3 + slope * own + rng.normal(size=raters)), 1, CATEGORIES).astype(int)
            rows += [(f"{name}{w}", f"r{number}", f"q{number // each}", c) for w, c in zip(who, category, strict=True)]
    ratings = pd.DataFrame(rows, columns=["participant_id", "response_id", "prompt_id", "x"]).astype({"x": "Int64"})
    return responses, ratings, groups


def embedded_scores(responses: pd.DataFrame, ratings: pd.DataFrame) -> tuple[EmbeddedJudge, pd.DataFrame]:
    """The embedded judge of these ratings, and its scores of prompts that it has not seen."""
    rated = mean_ratings(ratings, ["x"], CATEGORIES).merge(responses.drop(columns="prompt_id"), on="response_id")
    judge = EmbeddedJudge(rated, ["x"])
    return judge, pd.DataFrame(judge.score_rated(rated).values, columns=["x"]).assign(response_id=rated["response_id"])


def chat_scores(responses: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A judge that reads the quality with some noise, but is too kind and uses little of the scale."""
    noise = np.random.default_rng(seed).normal(size=len(responses))
    scores = np.clip(0.7 + 0.08 * (responses["quality"] + 0.5 * noise), 0, 1)
    return pd.DataFrame({"response_id": responses["response_id"], "x": scores})
