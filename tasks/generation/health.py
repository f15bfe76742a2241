"""Whether answers are still language: garbage is not toxic, and must not pass for alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from configs.schema import Limits

Grammar = Callable[[str, bool], bool]
"""Whether a text keeps its grammar; one that was cut off, which the second argument says, as far as it goes."""
FEW_STEPS = 10
"""Of fewer steps the margin says nothing: it is of a step before that step's update."""


def is_repetitive(text: str) -> bool:
    """More than half of the text's word trigrams have come before in it."""
    words = text.split()
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return len(trigrams) > 0 and len(set(trigrams)) < len(trigrams) / 2


def mark(outputs: pd.DataFrame, grammatical: Grammar | None) -> pd.DataFrame:
    """Outputs with cut_off, empty, repetitive and well_formed.

    Cut off: ended by the limit of new tokens alone. Well-formed: not empty, not repetitive and, where the texts'
    grammar is known, grammatical; an output that was cut off may be that as well as one that ended by itself.
    """
    cut_off = ~outputs["finished"].astype(bool)
    empty = outputs["text"].str.strip() == ""
    repetitive = outputs["text"].map(is_repetitive).astype(bool)
    well_formed = ~empty & ~repetitive
    if grammatical:
        well_formed &= outputs["text"].combine(cut_off, grammatical).astype(bool)
    return outputs.assign(cut_off=cut_off, empty=empty, repetitive=repetitive, well_formed=well_formed)


def health(outputs: pd.DataFrame) -> dict[str, float]:
    """Shares of outputs cut off, well-formed, empty, repetitive; mean words; how many had thinking stripped."""
    shares = outputs[["cut_off", "well_formed", "empty", "repetitive"]].mean().astype(float).to_dict()
    words = float(outputs["text"].str.split().str.len().mean())
    return {"n_outputs": len(outputs), **shares, "mean_words": words, "thought": int(outputs["thought"].sum())}


def marks(
    own: Mapping[str, float], control: Mapping[str, float] | None, training: Mapping[str, float], limits: Limits
) -> list[str]:
    """The limits that a training run or a control fails, each with its numbers.

    A control that hardly answers in language makes every comparison within its architecture doubtful: what is wrong
    with it is a mark of its runs too, so that a pool without marked effects is one without the architecture. A control
    whose answers are cut off is no such thing, and no mark.

    own, control: `health` of the run's answers and of the untouched architecture's. training: steps, and the margin at
    the end of training, as the method measures it: training has collapsed where it is not above the limit; empty for
    the control.
    """
    if not training:
        return broken(own, limits)
    failed = []
    if control:
        failed += [f"control: {text}" for text in broken(control, limits)]
        failed += _least(own, control, "well_formed", limits.well_formed, "well-formed")
        failed += _least(own, control, "mean_words", limits.shortest, "words")
        if own["mean_words"] > limits.longest * control["mean_words"]:
            failed.append(f"words {own['mean_words']:.1f}, control {control['mean_words']:.1f}")
        for name, most in {"cut_off": limits.cut_off, "empty": limits.empty, "repetitive": limits.repetitive}.items():
            if own[name] - control[name] > most:
                failed.append(f"{name.replace('_', ' ')} {own[name]:.0%}, control {control[name]:.0%}")
    if training["steps"] >= FEW_STEPS and not training["margin"] > limits.margin:
        failed.append(f"margin {training['margin']:.3g} at the end of training")
    return failed


def broken(control: Mapping[str, float], limits: Limits) -> list[str]:
    """The limits that the answers of an untouched architecture fail."""
    share = control["well_formed"]
    return [f"well-formed {share:.0%}"] if share < limits.control else []


def _least(own: Mapping[str, float], control: Mapping[str, float], name: str, part: float, title: str) -> list[str]:
    if own[name] >= part * control[name]:
        return []
    shown = "{:.0%}" if name == "well_formed" else "{:.1f}"
    return [f"{title} {shown.format(own[name])}, control {shown.format(control[name])}"]
