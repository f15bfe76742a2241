"""The tables of the cells, of their scores, and of the effects in each architecture."""

from __future__ import annotations

import pandas as pd

from tasks.runtime.tables import Table, column


class Cells(Table):
    """One row a cell of the grid, and how it ended."""

    experiment: str = column("the experiment; control is the untouched architecture's")
    architecture: str = column("the model")
    condition: str = column("how it was trained; control: not at all")
    seed: int = column("which of the study's seeds, from 0")
    replicate: int = column("which weights the raters have; 0: all the same, as in the study")
    training_run: str = column("key of its training run in the store; cells that train the same share one")
    status: str = column("control, trained (now), cached (earlier), shared (another cell's run) or failed")
    n_pairs: pd.Int64Dtype = column("response pairs that it was trained on", missing=True)
    weight: pd.Int64Dtype = column("preferences between labels that these stand for", missing=True)
    seconds: float = column("training and answering, where they happened now", "seconds")
    mlflow_run_id: str = column("its run in MLflow")
    error: str = column("why it failed")


class Doses(Table):
    """One row a condition: how much it was trained on."""

    experiment: str = column("the experiment that the condition is of")
    condition: str = column("how feedback becomes training")
    n_cells: int = column("cells that know their number of pairs: architectures times seeds, without failed ones")
    n_pairs: float = column("response pairs that a cell of it was trained on, mean")


class Scores(Table):
    """One row an answer to a held-out prompt and a dimension; where each group gets an answer of its own (`voices:
    named`), one row for all of them, whose score is their mean."""

    experiment: str = column("the experiment; control is the untouched architecture's")
    architecture: str = column("the model that answers")
    condition: str = column("how it was trained; control: not at all")
    seed: int = column("which of the study's seeds, from 0")
    training_run: str = column("key of its training run in the store")
    prompt_id: str = column("the held-out prompt")
    dimension: str = column("what is judged")
    score: float = column("the judge's score; missing where it gave none", "score, 0–1", missing=True)


class Answers(Scores):
    """The scores, each with the reason why there is none."""

    reason: str = column("why the judge gave no score")


class Differences(Table):
    """One row a contrast, a dimension and an architecture: a paired difference on the same held-out prompts."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    architecture: str = column("the model that was trained both ways")
    estimate: float = column("mean score of A less that of B", "score, 0–1", missing=True)
    std_error: float = column("its standard error, clustered by prompt and by seed", "score, 0–1", missing=True)
    seed_variance: float = column(
        "the part of its square that lies between seeds; of one seed unknown", "score²", missing=True
    )
    n_prompts: int = column("prompts that are scored on both sides with every seed")
    n_seeds: int = column("seeds that both sides have")
    n_unscored: int = column("prompts left out, since an answer to them is not scored")
    n_malformed: int = column("answers of both sides that are not well-formed; they are scored like any other")
    marked: str = column("limits of health that a run of either side fails")


class Effects(Differences):
    """One row a contrast, a dimension and an architecture: the paired difference, and what it is to the raters."""

    corrected: float = column("the effect on the raters' scale, slope · estimate", "score, 0–1", missing=True)
    corrected_std_error: float = column("its standard error, with that of the slope", "score, 0–1", missing=True)


class EffectCovariances(Table):
    """One row a contrast, a dimension and two architectures, or one twice: what the errors of their effects share."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    architecture: str = column("a model")
    other: str = column("another model, or the same: then the covariance is the square of the standard error")
    covariance: float = column("of the errors of both effects, from the prompts that they share", "score²")
    correlation: float = column("the same by both standard errors; shrunk where the prompts are few")
    n_prompts: int = column("prompts that are scored in both")


class ReplicateEffects(Table):
    """One row a contrast, a dimension, an architecture and a rater replicate: the effect with the raters reweighted."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    architecture: str = column("the model that was trained both ways")
    replicate: int = column("which weights the raters have, from 1")
    estimate: float = column("mean score of A less that of B", "score, 0–1")
