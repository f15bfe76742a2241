"""What holds of every aggregation, whoever rated what."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.preferences.aggregation import aggregate, behind

HOW = ["all", "majority", "consensus", "first", "average"]
ONE_EACH = HOW[1:]
some = settings(deadline=None, max_examples=25, database=None)


@st.composite
def labels(draw: st.DrawFn) -> pd.DataFrame:
    """Up to thirty labels of up to five responses, rated in any order; oriented categories may be negative."""
    category = st.integers(-5, -1) if draw(st.booleans()) else st.integers(1, 5)
    votes = draw(st.lists(st.tuples(st.sampled_from(["r1", "r2", "r3", "r4", "r5"]), category), max_size=30))
    table = pd.DataFrame(votes, columns=["response_id", "label"]).astype({"response_id": "str", "label": "Int64"})
    people = pd.Series([f"p{row}" for row in range(len(table))], dtype="str")
    return table.assign(prompt_id="q", participant_id=people, order=draw(st.permutations(range(len(table)))))


def kept(table: pd.DataFrame, how: str) -> dict[str, int]:
    result = aggregate(table, how)
    return dict(zip(result["response_id"], map(int, result["label"]), strict=True))


def groups(table: pd.DataFrame) -> dict[str, list[int]]:
    """Response → its labels, in the order in which they were given."""
    in_order = table.sort_values("order")
    return {str(name): [int(label) for label in own] for name, own in in_order.groupby("response_id")["label"]}


@some
@given(labels())
def test_all_keeps_everything_and_the_others_one_label_of_some_responses(table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(aggregate(table, "all"), table)
    for how in ONE_EACH:
        result = aggregate(table, how)
        assert result["response_id"].is_unique
        assert set(result["response_id"]) <= set(table["response_id"])
        assert set(result.index) <= set(table.index)


@some
@given(labels())
def test_a_kept_label_is_what_its_rule_says(table: pd.DataFrame) -> None:
    given_labels, found = groups(table), {how: kept(table, how) for how in ONE_EACH}
    for response, own in given_labels.items():
        top = max(own.count(label) for label in own)
        leaders = {label for label in own if own.count(label) == top}
        assert found["majority"].get(response) == (leaders.pop() if len(leaders) == 1 else None)
        assert found["consensus"].get(response) == (own[0] if len(own) > 1 and len(set(own)) == 1 else None)
        assert found["first"][response] == own[0]
        assert min(own) <= found["average"][response] <= max(own)
        assert abs(found["average"][response] - sum(own) / len(own)) <= 0.5


@some
@given(labels())
def test_where_all_agree_every_rule_keeps_their_label(table: pd.DataFrame) -> None:
    agreed = kept(table, "consensus")
    for how in ("majority", "first", "average"):
        assert agreed.items() <= kept(table, how).items()


@some
@given(labels(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_that_of_raters_only_to_the_first(table: pd.DataFrame, random) -> None:
    rows, orders = list(range(len(table))), table["order"].tolist()
    random.shuffle(rows)
    random.shuffle(orders)
    for how in ONE_EACH:
        assert kept(table.iloc[rows], how) == kept(table, how)
        if how != "first":
            assert kept(table.assign(order=orders), how) == kept(table, how)


@some
@given(labels())
def test_what_is_aggregated_once_stays_as_it_is(table: pd.DataFrame) -> None:
    for how in HOW:
        once = aggregate(table, how)
        if how != "consensus":  # where one label is left, there is nobody to agree with
            pd.testing.assert_frame_equal(aggregate(once, how), once)


@some
@given(labels(), st.sampled_from(HOW))
def test_parts_of_a_kept_label_make_one_and_a_response_without_has_none(table: pd.DataFrame, how: str) -> None:
    found = behind(table, aggregate(table, how), how)
    parts = found["part"].groupby(table["response_id"]).sum()
    for response, total in parts.items():
        expected = (table["response_id"] == response).sum() if how == "all" else int(response in kept(table, how))
        assert total == pytest.approx(expected)
