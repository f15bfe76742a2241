"""Whether answers are still language: garbage is not toxic, and must not pass for alignment."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd


def is_repetitive(text: str) -> bool:
    """More than half of the text's word trigrams have come before in it."""
    words = text.split()
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return len(trigrams) > 0 and len(set(trigrams)) < len(trigrams) / 2


def mark(outputs: pd.DataFrame, grammatical: Callable[[str], bool] | None) -> pd.DataFrame:
    """Outputs with empty, repetitive and well_formed.

    Well-formed: ended by itself, not empty, not repetitive and, where the texts' grammar is known, grammatical.
    """
    empty = outputs["text"].str.strip() == ""
    repetitive = outputs["text"].map(is_repetitive).astype(bool)
    well_formed = outputs["finished"].astype(bool) & ~empty & ~repetitive
    if grammatical:
        well_formed &= outputs["text"].map(grammatical).astype(bool)
    return outputs.assign(empty=empty, repetitive=repetitive, well_formed=well_formed)


def health(outputs: pd.DataFrame) -> dict[str, float]:
    """Shares of outputs finished, well-formed, empty, repetitive; mean words; how many had thinking stripped."""
    shares = outputs[["finished", "well_formed", "empty", "repetitive"]].mean().astype(float).to_dict()
    words = float(outputs["text"].str.split().str.len().mean())
    return {"n_outputs": len(outputs), **shares, "mean_words": words, "thought": int(outputs["thought"].sum())}
