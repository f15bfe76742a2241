"""Who belongs to a group, which groups are compared, and samples of equal size that stay as they are."""

from __future__ import annotations

import pandas as pd

from configs.schema import Condition, Contrast, ContrastSettings, Experiment, Stratum, Study
from tasks.preferences.strata import compared_groups, equal_numbers
from tasks.ratings.study_data import members
from tasks.runtime.fingerprint import stable_hash


def ratings(first: int, last: int) -> pd.DataFrame:
    numbers = range(first, last)
    return pd.DataFrame({"participant_id": [f"p{n % 97}" for n in numbers], "response_id": [f"r{n}" for n in numbers]})


def experiment(strata: dict[str, str | None], *contrasts: str) -> Experiment:
    conditions = {name: Condition(dimensions=("d",), scale="s", stratum=stratum) for name, stratum in strata.items()}
    return Experiment(
        title="",
        question="",
        conditions=conditions,
        contrasts={Contrast(contrast): ContrastSettings() for contrast in contrasts},
    )


def test_who_declares_several_values_belongs_to_every_stratum_that_has_one() -> None:
    people = pd.DataFrame({"participant_id": ["p1", "p2", "p3"], "ethnicity": [("White", "Black"), ("White",), ()]})
    assert members(people, Stratum(attribute="ethnicity", values=("White",))) == {"p1", "p2"}
    assert members(people, Stratum(attribute="ethnicity", values=("Black",))) == {"p1"}
    assert members(people, Stratum(attribute="ethnicity", values=("Black", "White"))) == {"p1", "p2"}
    assert members(people, Stratum(attribute="ethnicity", values=("Asian",))) == set()


def test_the_papers_compared_groups_are_its_three_pairs(paper: Study) -> None:
    groups = compared_groups(paper.experiments["demographics"])
    assert sorted(map(sorted, groups)) == [["black", "white"], ["conservative", "liberal"], ["female", "male"]]
    assert compared_groups(paper.experiments["scale"]) == []


def test_groups_tied_through_a_third_are_one_and_control_and_everybody_tie_nothing() -> None:
    strata = {"a": "a", "b": "b", "c": "c", "d": "d", "everybody": None}
    tied = experiment(strata, "a - b", "c - d", "a - control", "a - everybody", "b - c")
    assert compared_groups(tied) == [{"a", "b", "c", "d"}]
    assert sorted(map(sorted, compared_groups(experiment(strata, "a - b", "c - control")))) == [["a", "b"], ["c"]]


def test_compared_groups_give_the_same_number_of_ratings_and_the_smallest_all_of_its_own() -> None:
    cut = equal_numbers({"large": ratings(0, 300), "small": ratings(300, 400)}, seed=0)
    assert len(cut["large"]) == len(cut["small"]) == 100
    pd.testing.assert_frame_equal(cut["small"], ratings(300, 400))
    assert cut["large"].index.is_monotonic_increasing
    assert cut["large"]["response_id"].isin(ratings(0, 300)["response_id"]).all()


def test_new_ratings_replace_few_of_the_sample() -> None:
    """60 of 600 ratings are new. A share of 100/660 of them is expected among the 100 kept, 9; a fresh draw of 100
    would share only 100 · 100/660 = 15 with the old one."""
    small = ratings(1000, 1100)
    before = equal_numbers({"large": ratings(0, 600), "small": small}, seed=0)["large"]
    after = equal_numbers({"large": ratings(0, 660), "small": small}, seed=0)["large"]
    stayed = set(before["response_id"]) & set(after["response_id"])
    assert 80 <= len(stayed) < 100
    # what came in is new, and pushed out as many of the old
    assert set(after["response_id"]) - stayed <= set(ratings(600, 660)["response_id"])


def test_the_sample_does_not_depend_on_the_order_of_the_rows_but_on_the_seed() -> None:
    def sample(table: pd.DataFrame, seed: int) -> set[str]:
        return set(equal_numbers({"x": table, "y": ratings(0, 50)}, seed)["x"]["response_id"])

    table = ratings(100, 400)
    assert sample(table, 0) == sample(table.sample(frac=1, random_state=1), 0)
    assert sample(table, 0) != sample(table, 1)


def test_a_hash_stays_the_same_over_machines_and_versions() -> None:
    """Pinned: were it to change, every study's samples and training runs would change with it."""
    assert stable_hash(pd.DataFrame({"a": ["p1"], "b": ["r1"]}), 0).tolist() == [15305577227913994385]
