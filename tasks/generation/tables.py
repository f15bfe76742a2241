"""The table of the answers' health."""

from __future__ import annotations

import pandas as pd

from tasks.runtime.tables import Table, column


class Health(Table):
    """One row a cell that finished: whether its answers are fit to be judged, and how its training ended."""

    experiment: str = column("the experiment; control is the untouched architecture's")
    architecture: str = column("the model that answers")
    condition: str = column("how it was trained; control: not at all")
    seed: int = column("which of the study's seeds, from 0")
    n_outputs: int = column("answers, one a held-out prompt, or one for each group that is named to the model")
    cut_off: float = column("share of answers that ended by the limit of new tokens alone", "share")
    well_formed: float = column("share of well-formed answers, cut off or not", "share")
    no_text: float = column("share of answers without text", "share", name="empty")
    repetitive: float = column("share of answers that repeat themselves", "share")
    mean_words: float = column("mean length of an answer", "words")
    thought: int = column("answers whose thinking was stripped before they were judged")
    unscored: int = column("scores that the judge could not give, over all dimensions")
    steps: pd.Int64Dtype = column("optimiser steps of the training run", missing=True)
    margin: float = column(
        "at the end of training, how far the model tells apart what raters tell apart, as its method measures it",
        missing=True,
    )
    truncated: pd.Int64Dtype = column("training rows cut to the longest sequence", missing=True)
    resumed_from: pd.Int64Dtype = column("step of the checkpoint that the run went on from, 0 for none", missing=True)
    at_once: pd.Int64Dtype = column("rows that went through the model at once", missing=True)
    marked: str = column("limits of health that the run or its architecture's control fails, with '; ' between them")
