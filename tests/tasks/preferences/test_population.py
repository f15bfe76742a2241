"""Raters weighted to a population's shares: by hand, several attributes at once, and shares that can't be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from tasks.preferences.population import effective_number, rake


def people(**attributes: list[tuple[str, ...]]) -> pd.DataFrame:
    n = len(next(iter(attributes.values())))
    return pd.DataFrame({"participant_id": [f"p{number}" for number in range(n)], **attributes})


def test_the_weights_of_one_attribute_are_share_wanted_by_share_there_is() -> None:
    four = people(party=[("a",), ("a",), ("a",), ("b",)])
    weights = rake(four, {"party": {"a": 0.5, "b": 0.5}})
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert effective_number(weights) == pytest.approx(16 / (3 * 4 / 9 + 4))  # 3 raters of 4


def test_several_attributes_are_met_at_once() -> None:
    rng = np.random.default_rng(0)
    some = people(
        party=[(value,) for value in rng.choice(["a", "b"], 300, p=[0.8, 0.2])],
        age=[(value,) for value in rng.choice(["young", "middle", "old"], 300)],
    )
    wanted = {"party": {"a": 0.45, "b": 0.55}, "age": {"young": 0.2, "middle": 0.5, "old": 0.3}}
    weights = rake(some, wanted).to_numpy()
    for attribute, shares in wanted.items():
        for value, share in shares.items():
            assert weights[some[attribute] == (value,)].sum() / weights.sum() == pytest.approx(share, abs=1e-8)
    # raking keeps the association: in a table of both, odds ratios are those of the counts
    cells = some.assign(weight=weights).groupby(["party", "age"])["weight"]
    table, counts = cells.sum().unstack().to_numpy(), cells.size().unstack().to_numpy()
    assert table[0, 0] * table[1, 1] / table[0, 1] / table[1, 0] == pytest.approx(
        counts[0, 0] * counts[1, 1] / counts[0, 1] / counts[1, 0]
    )


def test_who_declares_none_of_the_values_or_two_is_not_of_the_population() -> None:
    weights = rake(people(party=[("a",), ("b",), ("c",), ("a", "b"), ()]), {"party": {"a": 0.5, "b": 0.5}})
    assert weights.tolist() == pytest.approx([2.5, 2.5, 0, 0, 0])


def test_an_attribute_or_a_value_that_nobody_has_is_told_with_those_that_there_are() -> None:
    two = people(party=[("a",), ("b",)])
    with pytest.raises(InputError, match="population: unknown 'partei'; allowed: party"):
        rake(two, {"partei": {"a": 1.0}})
    with pytest.raises(InputError, match=r"population\.party: unknown 'c'; allowed: a, b"):
        rake(two, {"party": {"a": 0.5, "c": 0.5}})


def test_shares_that_no_weights_reach_are_told() -> None:
    tied = people(party=[("a",), ("b",)], age=[("young",), ("old",)])  # party a is all of the young
    with pytest.raises(InputError, match="no weights of the raters reach its shares of party and age together"):
        rake(tied, {"party": {"a": 0.5, "b": 0.5}, "age": {"young": 0.9, "old": 0.1}})
