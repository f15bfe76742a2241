"""Several raters' labels of a response to those that train, by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from tasks.preferences.aggregation import aggregate, behind
from tasks.preferences.scales import to_scale


def labels(*votes: tuple[str, int], order: list[int] | None = None) -> pd.DataFrame:
    """(response, label) in the order of the export, each by a rater of its own."""
    table = pd.DataFrame(votes, columns=["response_id", "label"]).astype({"label": "Int64"})
    people = [f"p{row}" for row in range(len(table))]
    return table.assign(prompt_id="q", participant_id=people, order=order or range(len(table)))


def kept(table: pd.DataFrame, how: str) -> dict[str, int]:
    """Response → its label, where every response has at most one."""
    result = aggregate(table, how)
    assert set(result.columns) == set(table.columns)
    assert result["response_id"].is_unique
    return dict(zip(result["response_id"], result["label"], strict=True))


def test_all_keeps_every_label() -> None:
    table = labels(("r1", 1), ("r1", 5), ("r2", 3))
    pd.testing.assert_frame_equal(aggregate(table, "all"), table)


def test_majority_keeps_the_label_given_most_often_and_none_at_a_tie() -> None:
    # r1: 2 twice, 5 once; r2: 1 and 4 once each, a tie; r3: one rater alone decides; r4: two pairs, a tie
    votes = [("r1", 5), ("r1", 2), ("r1", 2), ("r2", 1), ("r2", 4), ("r3", 4)]
    votes += [("r4", 1), ("r4", 3), ("r4", 3), ("r4", 1), ("r4", 5)]
    assert kept(labels(*votes), "majority") == {"r1": 2, "r3": 4}


def test_consensus_needs_two_raters_who_agree() -> None:
    # r1: both say 4; r2: 4 and 5; r3: one rater alone
    assert kept(labels(("r1", 4), ("r2", 4), ("r1", 4), ("r2", 5), ("r3", 1)), "consensus") == {"r1": 4}


def test_first_keeps_the_rating_that_the_export_has_first() -> None:
    table = labels(("r1", 5), ("r1", 1), ("r2", 3), ("r2", 2), order=[7, 2, 1, 3])
    assert kept(table, "first") == {"r1": 1, "r2": 3}
    assert aggregate(table, "first")["participant_id"].tolist() == ["p1", "p2"]


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ((1, 2, 2), 2),  # 5/3 = 1.67
        ((1, 1, 2), 1),  # 4/3 = 1.33
        ((2, 3), 3),  # 2.5, the half goes to the better
        ((-2, -3), -2),  # -2.5, likewise: -2 is better than -3
        ((-1, -1, -2, -2), -1),  # -1.5
        ((1, 5), 3),
    ],
)
def test_average_rounds_the_mean_and_a_half_to_the_better(votes: tuple[int, ...], label: int) -> None:
    assert kept(labels(*(("r", vote) for vote in votes)), "average") == {"r": label}


@pytest.mark.parametrize("how", ["all", "majority", "consensus", "first", "average"])
def test_no_labels_remain_no_labels(how: str) -> None:
    assert len(aggregate(labels(), how)) == 0


@pytest.mark.parametrize(
    ("how", "final", "agrees", "part"),
    [
        # r1: 2 5 2, r2: 4 4, r3: 1 3
        ("all", [2, 5, 2, 4, 4, 1, 3], [1] * 7, [1] * 7),
        ("majority", [2, 2, 2, 4, 4, None, None], [1, 0, 1, 1, 1, 0, 0], [1 / 2, 0, 1 / 2, 1 / 2, 1 / 2, 0, 0]),
        ("consensus", [None, None, None, 4, 4, None, None], [0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1 / 2, 1 / 2, 0, 0]),
        ("first", [2, 2, 2, 4, 4, 1, 1], [1, 0, 1, 1, 1, 1, 0], [1, 0, 0, 1, 0, 1, 0]),
        ("average", [3, 3, 3, 4, 4, 2, 2], [0, 0, 0, 1, 1, 0, 0], [1 / 3, 1 / 3, 1 / 3] + [1 / 2] * 4),
    ],
)
def test_a_label_is_split_among_the_ratings_that_it_was_made_of(
    how: str, final: list, agrees: list, part: list
) -> None:
    table = labels(("r1", 2), ("r1", 5), ("r1", 2), ("r2", 4), ("r2", 4), ("r3", 1), ("r3", 3))
    found = behind(table, aggregate(table, how), how)
    assert [None if pd.isna(label) else label for label in found["final"]] == final
    assert found["agrees"].tolist() == agrees
    assert found["part"].tolist() == pytest.approx(part)


@pytest.mark.parametrize("how", ["all", "majority", "consensus", "first", "average"])
def test_nothing_stands_behind_no_labels(how: str) -> None:
    assert behind(labels(), aggregate(labels(), how), how).empty


def test_a_scale_maps_merges_and_drops_categories() -> None:
    categories = pd.Series([1, 2, 3, 4, 5], dtype="Int64", index=[10, 11, 12, 13, 14])
    assert to_scale(categories, (1, 1, 2, 3, 3), "higher").tolist() == [1, 1, 2, 3, 3]
    binary = to_scale(categories, (1, 1, None, 2, 2), "higher")
    assert binary.dropna().to_dict() == {10: 1, 11: 1, 13: 2, 14: 2}


def test_where_lower_is_better_the_order_turns_round() -> None:
    categories = pd.Series([1, 5, 3], dtype="Int64")
    turned = to_scale(categories, (1, 2, 3, 4, 5), "lower")
    assert turned[0] > turned[2] > turned[1]
    assert to_scale(categories, (1, 1, None, 2, 2), "lower").isna().tolist() == [False, False, True]
