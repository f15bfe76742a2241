"""Collapsed preferences against the expanded ones, counted one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from tasks.preferences.pairs import count_preferences, unite


def random_labels(seed: int) -> pd.DataFrame:
    """Up to four responses to each of six prompts, up to twelve raters, labels -2 to 2, some responses unrated."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"q{prompt}", f"q{prompt}r{response}", f"p{participant}", rng.integers(-2, 3))
        for prompt in range(6)
        for response in range(4)
        for participant in rng.choice(12, size=rng.integers(0, 7), replace=False)
    ]
    columns = ["prompt_id", "response_id", "participant_id", "label"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed, ignore_index=True)


def expanded(labels: pd.DataFrame, within: str) -> list[tuple[str, str, str]]:
    """Every preference as (prompt, preferred, other): two labels of two responses to a prompt that differ."""
    rows = []
    for one, two in combinations(labels.itertuples(), 2):
        same_rater = within == "prompt" or one.participant_id == two.participant_id
        if one.prompt_id == two.prompt_id and one.response_id != two.response_id and same_rater:
            if one.label > two.label:
                rows.append((one.prompt_id, one.response_id, two.response_id))
            if two.label > one.label:
                rows.append((one.prompt_id, two.response_id, one.response_id))
    return rows


def table(*rows: tuple[str, str, int, int]) -> pd.DataFrame:
    """a, b, n_a, n_b of one prompt."""
    return pd.DataFrame(rows, columns=["a", "b", "n_a", "n_b"]).assign(prompt_id="q")


def test_three_labels_against_two_by_hand() -> None:
    votes = [("a", 1), ("a", 3), ("a", 5), ("b", 2), ("b", 3)]
    labels = pd.DataFrame(
        [("q", response, f"p{row}", label) for row, (response, label) in enumerate(votes)],
        columns=["prompt_id", "response_id", "participant_id", "label"],
    )
    # 1 < 2, 1 < 3: two for b. 3 > 2: one for a; 3 = 3: none. 5 > 2, 5 > 3: two for a.
    assert count_preferences(labels, "prompt").to_numpy().tolist() == [["q", "a", "b", 3, 2]]
    # all five raters differ, so nobody compared the two
    assert len(count_preferences(labels, "participant")) == 0


@pytest.mark.parametrize("within", ["prompt", "participant"])
@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_the_brute_force_expansion(seed: int, within: str) -> None:
    labels = random_labels(seed)
    counted = count_preferences(labels, within)
    assert (counted["a"] < counted["b"]).all()
    assert not counted.duplicated(["prompt_id", "a", "b"]).any()
    found = {(row.prompt_id, row.a, row.b): row.n_a for row in counted.itertuples() if row.n_a}
    found |= {(row.prompt_id, row.b, row.a): row.n_b for row in counted.itertuples() if row.n_b}
    wanted = pd.Series(expanded(labels, within)).value_counts().to_dict()
    assert found == wanted


@pytest.mark.parametrize("seed", range(5))
def test_the_collapsed_loss_is_the_expanded_rows_loss(seed: int) -> None:
    """With any margin d of a over b: -log σ(d) for a ≻ b, -log σ(-d) for b ≻ a; the scale of the weights is free."""
    labels = random_labels(seed)
    pairs = unite([count_preferences(labels, "prompt")])
    rng = np.random.default_rng(seed)
    d = {(row.a, row.b): rng.normal(scale=3) for row in pairs.itertuples()}

    def loss(preferred: str, other: str) -> float:
        margin = d[preferred, other] if (preferred, other) in d else -d[other, preferred]
        return float(np.log1p(np.exp(-margin)))

    collapsed = sum(
        row.weight * (row.target * loss(row.a, row.b) + (1 - row.target) * loss(row.b, row.a))
        for row in pairs.itertuples()
    )
    rows = [loss(preferred, other) for _, preferred, other in expanded(labels, "prompt")]
    assert pairs["n"].sum() == len(rows)
    # the mean over n-weighted pairs is the mean over rows; float sums of some hundred terms agree to 1e-12
    assert collapsed / pairs["weight"].sum() == pytest.approx(np.mean(rows), rel=1e-12)


def test_every_dimension_of_a_union_has_the_same_total_weight() -> None:
    # first: 8 preferences on (a, b), all for a, and 2 on (a, c), all for c; second: 1 on (a, b), for b
    pairs = unite([table(("a", "b", 8, 0), ("a", "c", 0, 2)), table(("a", "b", 0, 1))])
    # shares (a, b): 8/10 + 1/1, of which for a 8/10; (a, c): 2/10. Weights in the ratio 1.8 : 0.2, mean 1.
    assert pairs["n"].tolist() == [9, 2]
    np.testing.assert_allclose(pairs["weight"], [1.8, 0.2])
    np.testing.assert_allclose(pairs["target"], [0.8 / 1.8, 0.0])


def test_one_dimension_alone_has_weights_in_proportion_to_its_counts() -> None:
    pairs = unite([table(("a", "b", 3, 1), ("a", "c", 0, 8))])
    np.testing.assert_allclose(pairs["weight"], [4 / 6, 8 / 6])
    np.testing.assert_allclose(pairs["target"], [0.75, 0.0])


def test_a_dimension_without_preferences_changes_nothing() -> None:
    one = table(("a", "b", 3, 1), ("a", "c", 0, 8))
    pd.testing.assert_frame_equal(unite([one, table()]), unite([one]))
    assert len(unite([table(), table()])) == 0
