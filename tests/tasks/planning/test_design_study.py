"""Designs of a study: their cost by hand, the cheapest, what helps most, which contrast is meant, and the words."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import Study
from tasks.architectures.cost import Texts, answering_hours, gradient_hours
from tasks.effects.identity import EffectKey
from tasks.methods.training_set import steps_beyond_epochs
from tasks.planning.design import Components, Design, RaterShares, Term
from tasks.planning.design_basis import Basis
from tasks.planning.design_report import report, write_design
from tasks.planning.design_study import Designed, Prices, Question, find_effect
from tasks.planning.design_terms import Origin
from tasks.planning.workload import Workload, workload_of
from tasks.preferences.condition import ConditionData

OWN = Design(raters=100, ratings_each=5, prompts=50, architectures=7, replicates=8)
KNOWN = Components(OWN, RaterShares(0.0, 1.0, 0.0), *map(Term.assumed, (4e-4, 0.0, 0.0, 1e-3, 0.0, 1e-4)))
WORKLOAD = Workload(sides=2, training=0.5, answering=0.001)


@pytest.fixture(scope="module")
def demo() -> Study:
    return load_study("demo")


def designed(study: Study, *designs: Design, groups: int = 2, **question: object) -> Designed:
    effect = find_effect(study, None)
    basis = Basis(effect, groups, OWN, KNOWN, WORKLOAD, [Origin("raters", "100", "the ratings")])
    return Designed(study, Question(**question), basis, (0.05,), list(designs) or [OWN])  # type: ignore[arg-type]


def test_runs_and_gpu_hours_by_hand():
    design = replace(OWN, seeds=2)
    assert WORKLOAD.runs(design) == 2 * 7 * (2 + 8)
    # 140 runs, of which each pair of sides takes half an hour, and 140 * 50 answers of 3.6 seconds
    assert WORKLOAD.hours(design) == pytest.approx(70 * 0.5 + 140 * 50 * 0.001)
    alone = Workload(sides=1, training=0.5, answering=0.001)  # the other side is the control, which only answers
    assert alone.hours(design) == pytest.approx(70 * 0.5 + (70 + 7) * 50 * 0.001)
    named = replace(alone, answers=2.0)  # once for each of two groups that are named to the model
    assert named.hours(design) == pytest.approx(70 * 0.5 + (2 * 70 + 7) * 50 * 0.001)


def test_the_cost_by_hand(demo):
    both = designed(demo, prices=Prices(rating=2.0, gpu_hour=3.0))
    hours = 2 * 7 * 9 / 2 * 0.5 + 2 * 7 * 9 * 50 * 0.001
    assert both.cost(OWN) == pytest.approx(2 * 100 * 5 * 2.0 + hours * 3.0)
    assert designed(demo, groups=1, prices=Prices(rating=2.0)).cost(OWN) == pytest.approx(100 * 5 * 2.0)
    assert math.isnan(designed(demo).cost(OWN))


def test_the_workload_is_that_of_the_methods_and_tiny_models_have_none(demo):
    paper = load_study("paper")
    pairs = pd.DataFrame({"a": range(100), "b": range(100)})
    data = {
        name: ConditionData({}, pairs, pd.DataFrame(), [])
        for name in paper.experiments["demographics"].conditions
    }  # fmt: skip
    effect, texts = EffectKey.parse("demographics:female:male:toxicity"), Texts(100, 300)
    load = workload_of(paper, effect, data, texts)
    sizes = [architecture.parameters for architecture in paper.architectures]
    settings = paper.recipe.blocks["dpo"]
    steps = math.ceil(settings.epochs * math.ceil(100 / settings.batch_size))
    tokens = steps * settings.batch_size * 2 * 100  # two responses of 400 characters each
    assert load.sides == 2
    assert load.training == pytest.approx(2 * sum(gradient_hours(size, tokens) for size in sizes) / len(sizes))
    assert load.answering == pytest.approx(sum(answering_hours(size, 1, paper.recipe) for size in sizes) / len(sizes))
    assert workload_of(demo, effect, data, texts) == Workload(2, 0.0, 0.0)
    named = {**data, "male": replace(data["male"], names={"a": "A", "b": "B"})}
    assert workload_of(demo, effect, named, texts) == Workload(2, 0.0, 0.0, answers=1.5)
    assert (
        steps_beyond_epochs(paper.experiments["demographics"], dict.fromkeys(data, 100), "female", paper.recipe) is None
    )


def test_the_cheapest_reaches_the_power_at_the_least_cost(demo):
    few, many = OWN, replace(OWN, architectures=16)
    ratings_cost = designed(demo, few, many, prices=Prices(rating=10.0))
    hours_cost = designed(demo, few, many, prices=Prices(gpu_hour=10.0, rating=1e-6))
    assert ratings_cost.cheapest(0.05).architectures == 16  # fewer raters suffice, and runs cost nothing
    assert hours_cost.cheapest(0.05).architectures == 7
    for each in (ratings_cost, hours_cost):
        assert each.predict(each.cheapest(0.05)).power(0.05).value >= 0.8
    assert designed(demo, few, many).cheapest(0.05).architectures == 16  # without prices, the fewest ratings
    assert designed(demo, few).cheapest(0.001) is None


def test_what_helps_most_for_a_dollar_comes_first(demo):
    dear_ratings = designed(demo, prices=Prices(rating=100.0, gpu_hour=0.01)).doubled()
    assert dear_ratings[0].name in ("prompts", "architectures")
    dear_hours = designed(demo, prices=Prices(rating=0.01, gpu_hour=1000.0)).doubled()
    assert dear_hours[0].name in ("raters", "ratings_each")
    by_name = {change.name: change for change in dear_hours}
    assert by_name["raters"].cost == pytest.approx(2 * 100 * 5 * 0.01)
    assert by_name["raters"].narrower == pytest.approx(by_name["ratings_each"].narrower)
    assert by_name["seeds"].narrower == pytest.approx(0.0)
    assert dear_hours[-1].name == "seeds"


def test_the_contrast_is_the_first_between_groups_or_the_one_that_is_named(demo):
    assert str(find_effect(demo, None)) == "demographics:female:male:toxicity"
    assert str(find_effect(demo, "white - black")) == "demographics:white:black:emotional-awareness"
    assert str(find_effect(demo, "scale:5-point:control:toxicity")) == "scale:5-point:control:toxicity"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("female", "--contrast female: expected 'A - B', or EXPERIMENT:A:B:DIMENSION"),
        ("female - black", "--contrast female - black: unknown; allowed: female - male, liberal - conservative, "),
        ("scale:5-point:control:warmth", "scale:5-point:control:warmth: dimensions: unknown 'warmth'; allowed: "),
        ("size:5-point:control:toxicity", "size:5-point:control:toxicity: experiments: unknown 'size'; allowed: "),
    ],
)
def test_a_contrast_that_there_is_none_of_is_told(demo, text, line):
    with pytest.raises(InputError) as error:
        find_effect(demo, text)
    assert str(error.value).startswith(line)


def test_a_study_without_experiments_has_nothing_to_design():
    with pytest.raises(InputError, match="popquorn: no experiments, so there is no contrast to design for"):
        find_effect(load_study("popquorn"), None)


def test_the_report_says_what_is_cheapest_what_helps_and_what_it_rests_on(demo):
    text = report(designed(demo, OWN, replace(OWN, raters=200), prices=Prices(rating=2.0)))
    lines = text.splitlines()
    assert lines[0] == "demo: female − male on toxicity; raters: raters of each of two groups"
    assert [line.split()[0] for line in lines[2:5]] == ["raters", "100", "200"]
    assert lines[3].endswith("$2,000")
    assert "Cheapest for power 80% for an effect of 0.05: " in text
    assert "what narrows the interval most for the money is " in text
    assert "  raters  100  the ratings" in lines
    assert "no surer than they are" in text
    assert lines[-1] == "Simulated raters, tiny models."


def test_without_prices_nothing_is_said_of_money(demo):
    text = report(designed(demo))
    assert "$" not in text
    assert "cost" not in text.splitlines()[2]
    assert "Fewest ratings for power 80%" in text


def test_files_are_the_declared_table_and_both_figures(demo, tmp_path):
    answer = designed(demo, OWN, replace(OWN, raters=200, architectures=3))
    write_design(answer, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "design.csv")
    assert table["raters"].tolist() == [100, 200]
    assert table["ci_width"].iloc[0] == pytest.approx(2 * answer.predict(OWN).half_width)
    svg = (tmp_path / "out" / "figures" / "design.svg").read_text()
    assert "Power for an effect of 0.05" in svg
    assert "3 architectures" in svg
    assert (tmp_path / "out" / "figures" / "design.png").stat().st_size > 5_000
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a place for a folder"):
        write_design(answer, tmp_path / "file")
