"""How often a group gets a judge of its own: groups that judge alike should not, groups that differ should.

    python tests/benchmarks/group_judges.py [--studies 100] [--prompts 60]

Each study has two groups with new texts and ratings (`tests/tasks/judging/simulated_groups.py`); the second group's
slope on a text's quality is that of the line, the first one's is 1. Counted is the second group. The squared error is
that of the group's judge less that of everybody's, of unseen prompts.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from tasks.judging.group_fits import fit_line, fit_words
from tasks.judging.group_judges import make_group_judges
from tests.tasks.judging.simulated_groups import CATEGORIES, chat_scores, embedded_scores, ratings_of_groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--prompts", type=int, default=60)
    options = parser.parse_args()
    for slope in (1.0, 0.5, 0.0, -1.0):
        for judge in ("embedded", "chat model"):
            used, gains, infinite, started = [], [], [], time.monotonic()
            for seed in range(options.studies):
                responses, ratings, groups = ratings_of_groups({"a": 1.0, "b": slope}, options.prompts, seed=seed)
                embedded = judge == "embedded"
                scores = embedded_scores(responses, ratings)[1] if embedded else chat_scores(responses, seed)
                fit = fit_words if embedded else fit_line
                made = make_group_judges(fit, scores, responses, ratings, groups, ["x"], CATEGORIES, draws=1)
                row = made.table.set_index("group").loc["b"]
                used.append(row["used"])
                gains.append(row["gain"])
                infinite.append(row["penalty"] == np.inf)
            print(
                f"slope {slope:+.1f}, {judge:>10}: used {np.mean(used):4.0%}, gain {np.mean(gains):+.4f}, deviation "
                f"zero {np.mean(infinite):4.0%}, {(time.monotonic() - started) / options.studies:.2f} s a study"
            )


if __name__ == "__main__":
    main()
