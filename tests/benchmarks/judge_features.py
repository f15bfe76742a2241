"""What sentence embeddings gain the embedded judge in agreement with real raters, as its proof measures it.

    python tests/benchmarks/judge_features.py --encoder FOLDER [--data ../shared/data] [--draws 1000] [--studies spica]

SPICA as the study `spica` has it: the judge learns from the ratings of held-out prompts, and each part of them is
scored by judges that learn, tune and choose from the others. `spica-all`: the same on all its prompts. POPQUORN is a
survey of single texts without answers to train on, so that the judge is fitted directly on its ratings, each text a
prompt of its own. FOLDER: a model as sentence-transformers saves it, or the name of one on the hub. Intervals are 95%
of a bootstrap over prompts; gains are differences to words in the same draws. Vectors are kept in PLURALIGN_HOME.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from configs.load import load_codebook, load_study
from configs.schema import Encoder
from tasks.judging.embedded import (
    EmbeddedJudge,
    cross_validated,
)
from tasks.judging.encoder import SentenceEncoder, check_encoder
from tasks.judging.evidence import mean_ratings
from tasks.judging.features import FEATURES
from tasks.judging.proof import Rated, bootstrap_weights, spread, with_intervals
from tasks.judging.vectors import Vectors
from tasks.ratings.reading.load import load_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.stores import chosen_store

STUDIES = ("spica", "spica-all", "popquorn")
SHOWN = ("agreement", "weighted_kappa", "spearman", "alpha")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="a folder, or a name on the hub")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / ".." / "shared" / "data")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=STUDIES)
    options = parser.parse_args()
    folder = {"path": options.encoder} if Path(options.encoder).is_dir() else {"hub": options.encoder}
    settings, store = Encoder(**folder), chosen_store()
    check_encoder(settings)
    encoder = SentenceEncoder(settings, store)
    encoder.settle()
    vectors = Vectors(encoder, store.workspace("vectors.db").open())
    for name in options.studies:
        compare_features(name, options.data, vectors, options.draws)


def compare_features(name: str, data: Path, vectors: Vectors, draws: int) -> None:
    """Print a study's table."""
    ratings, responses, dimension, categories = ratings_of(name, data)
    rated = mean_ratings(ratings, [dimension], categories).merge(responses, on="response_id")
    started = time.monotonic()
    judge = EmbeddedJudge(rated, [dimension], "best", vectors)
    learned = judge.rated
    encoded, started = time.monotonic() - started, time.monotonic()
    unseen = cross_validated(learned, FEATURES)
    seconds = time.monotonic() - started
    print(
        f"\n{name}: {len(ratings):,} ratings by {ratings['participant_id'].nunique():,} raters of {len(rated):,} "
        f"texts, {rated['prompt_id'].nunique():,} prompts; chosen on all: {judge.features}, in the parts of the proof: "
        f"{', '.join(f'{one} {unseen.parts.count(one)}' for one in FEATURES)}; {encoded:.0f} s to encode or to read, "
        f"{seconds:.0f} s for the proof"
    )
    prompts = pd.Index(ratings["prompt_id"].unique())
    weights = bootstrap_weights(len(prompts), draws, seed=0)
    words: dict[str, np.ndarray] = {}
    for reads, scores in {**unseen.each, "chosen": unseen.chosen}.items():
        judged = pd.DataFrame({"response_id": rated["response_id"], dimension: scores[:, 0]})
        table = Rated(ratings, judged, dimension, categories, prompts)
        measured = table.against_judge(weights, "ordinal")
        words = words or measured
        print(f"  {reads:>10}: n {len(table.judge):,}, {line(measured)}; sd of scores {spread(table.judge):.3f}")
        print(f"  {'':>10}  less words: {line({one: measured[one] - words[one] for one in SHOWN})}")
    ceiling = line(table.among_humans(weights, "ordinal"))
    print(f"  {'a rater':>10}: n {table.raters:,}, {ceiling}; sd of means {spread(table.human):.3f}", flush=True)


def line(draws: dict[str, np.ndarray]) -> str:
    """The measures with their intervals."""
    ends = with_intervals({one: draws[one] for one in SHOWN})
    return ", ".join(f"{one} {ends[one]:.3f} ({ends[f'{one}_low']:.3f} to {ends[f'{one}_high']:.3f})" for one in SHOWN)


def ratings_of(name: str, data: Path) -> tuple[pd.DataFrame, pd.DataFrame, str, int]:
    """Ratings that the judge learns from, responses (response_id, prompt, response), the dimension, its categories."""
    folder = data if name == "popquorn" else data / "spica"
    study = load_study(name.removesuffix("-all"), {"ratings.folder": str(folder)})
    codebooks = [load_codebook(one) for one in study.ratings.codebooks]
    read = StudyData.of(study, load_ratings(list(study.dimensions), codebooks, folder))
    ratings = read.evaluation(read.ratings) if name == "spica" else read.ratings
    ratings = ratings.assign(prompt_id=ratings["prompt_id"].map(read.prompt_groups))
    return (
        ratings,
        read.responses[["response_id", "prompt", "response"]],
        study.evaluation.dimensions[0],
        read.categories,
    )


if __name__ == "__main__":
    main()
