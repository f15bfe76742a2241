"""Whatever people declare: nobody keeps a combination of values that fewer than k people keep."""

from __future__ import annotations

from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from tasks.exporting.small_cells import MOST_ATTRIBUTES, suppressed, without_small_cells

some = settings(deadline=None, max_examples=100, database=None)
NAMES = ["age", "gender", "politics", "region"]


@st.composite
def declared(draw: st.DrawFn) -> pd.DataFrame:
    """Up to forty people, up to four attributes of up to four values; "" where nothing is declared."""
    names = NAMES[: draw(st.integers(1, 4))]
    person = st.tuples(*[st.sampled_from(["", "a", "b", "c"]) for _ in names])
    return pd.DataFrame(draw(st.lists(person, max_size=40)), columns=names, dtype="str")


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(table.itertuples(index=False, name=None))


def holders(table: pd.DataFrame, values: tuple[str, ...]) -> int:
    """How many people have all of the values that are not empty, whatever else."""
    return sum(all(wanted in ("", own) for wanted, own in zip(values, row, strict=True)) for row in rows(table))


@some
@given(declared(), st.integers(1, 8))
def test_no_combination_that_is_kept_is_kept_by_fewer_than_k(table: pd.DataFrame, k: int) -> None:
    released = without_small_cells(table, k)
    for row in set(rows(released)):
        if any(row):
            assert rows(released).count(row) >= k  # as it stands, with its empty cells
        for size in range(len(row)):
            for emptied in combinations(range(len(row)), size):  # and every part of it
                part = tuple("" if place in emptied else value for place, value in enumerate(row))
                assert not any(part) or holders(released, part) >= k


@some
@given(declared(), st.integers(1, 8))
def test_a_value_is_kept_as_it_is_or_emptied_and_each_is_counted(table: pd.DataFrame, k: int) -> None:
    released = without_small_cells(table, k)
    assert released.index.equals(table.index)
    assert list(released) == list(table)
    assert ((released == table) | (released == "")).all().all()
    lost = {name: sum(a != b for a, b in zip(table[name], released[name], strict=True)) for name in table}
    assert suppressed(table, released) == lost


@some
@given(declared(), st.integers(1, 8), st.randoms(use_true_random=False))
def test_the_order_of_people_changes_nothing(table: pd.DataFrame, k: int, random) -> None:
    order = list(table.index)
    random.shuffle(order)
    released = without_small_cells(table.loc[order], k)
    pd.testing.assert_frame_equal(released.loc[table.index], without_small_cells(table, k))


@some
@given(declared(), st.integers(1, 8))
def test_who_shares_all_their_values_with_k_people_loses_none(table: pd.DataFrame, k: int) -> None:
    released = without_small_cells(table, k)
    for row, kept in zip(rows(table), rows(released), strict=True):
        if rows(table).count(row) >= k:
            assert kept == row


def test_the_rule_by_hand() -> None:
    # k = 2. young/f twice: kept. old/m and old/f are alone. One value emptied: without gender both are old, which is
    # two; without age, f would be f/"" alone and so would m. So old/"" for both. x/n is alone however one empties it.
    table = pd.DataFrame(
        [("young", "f"), ("young", "f"), ("old", "m"), ("old", "f"), ("x", "n")], columns=["age", "gender"], dtype="str"
    )
    released = without_small_cells(table, 2)
    assert released.to_numpy().tolist() == [["young", "f"], ["young", "f"], ["old", ""], ["old", ""], ["", ""]]
    assert suppressed(table, released) == {"age": 1, "gender": 3}


def test_between_equals_the_attribute_that_matters_less_is_emptied() -> None:
    # old/m could be two with young/m (age emptied) or with old/f (gender emptied): as many people either way
    table = pd.DataFrame([("old", "m"), ("young", "m"), ("old", "f")], columns=["age", "gender"], dtype="str")
    assert without_small_cells(table, 2).to_numpy().tolist() == [["old", ""], ["", ""], ["old", ""]]
    turned = without_small_cells(table[["gender", "age"]], 2)
    assert turned.to_numpy().tolist() == [["m", ""], ["m", ""], ["", ""]]


def test_who_loses_a_value_may_join_those_who_never_declared_it() -> None:
    table = pd.DataFrame([("old", ""), ("old", ""), ("old", "m")], columns=["age", "gender"], dtype="str")
    assert without_small_cells(table, 2)["age"].tolist() == ["old"] * 3


def test_too_many_attributes_are_refused() -> None:
    table = pd.DataFrame([["a"] * 13], columns=[f"a{n}" for n in range(13)], dtype="str")
    with pytest.raises(InputError, match=f"13 attributes; at most {MOST_ATTRIBUTES}"):
        without_small_cells(table, 2)
