"""The deployments' file: what it names exists, and its forms offer what is allowed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import DeploymentEventTrigger
from prefect.flows import Flow
from prefect.utilities.callables import parameter_schema

from configs.load import shipped
from flows.cli import DEFINITIONS
from flows.ratings import LANDED
from tasks.serving.keeper import POOL, deployments

DEPLOYMENTS: dict[str, dict[str, Any]] = {
    item["name"]: item for item in yaml.safe_load(deployments(DEFINITIONS))["deployments"]
}
every = pytest.mark.parametrize("name", DEPLOYMENTS)


def flow_of(name: str) -> Flow:
    module, function = DEPLOYMENTS[name]["entrypoint"].rsplit(".", 1)
    return getattr(importlib.import_module(module), function)


def test_the_repository_and_the_package_have_one_file() -> None:
    assert (Path(__file__).parents[2] / "prefect.yaml").resolve() == DEFINITIONS.resolve()


def test_these_are_deployed() -> None:
    assert list(DEPLOYMENTS) == [
        "study", "survey", "audit", "meta-analysis", "land-ratings", "sweep-inbox", "follow-latest",
    ]  # fmt: skip
    assert {item["work_pool"]["name"] for item in DEPLOYMENTS.values()} == {POOL}


@every
def test_what_a_deployment_says_of_its_flow_is_so(name: str) -> None:
    flow, settings = flow_of(name), DEPLOYMENTS[name]
    known = set(parameter_schema(flow).properties)
    given = settings.get("parameters", {})
    assert set(given) <= known
    for trigger in settings.get("triggers", ()):
        assert set(trigger["parameters"]) <= known
        assert DeploymentEventTrigger.model_validate(trigger).expect == {LANDED}
    needed = {"meta-analysis": {}, "land-ratings": {"exports": ["a"], "study": "demo"}}.get(name, {})
    flow.validate_parameters(given | needed)


@every
def test_every_parameter_is_described(name: str) -> None:
    properties = parameter_schema(flow_of(name)).properties
    assert [key for key, value in properties.items() if not value.get("description")] == []


@pytest.mark.parametrize("name", ["study", "survey", "audit", "land-ratings", "sweep-inbox"])
def test_a_study_is_chosen_from_the_shipped_ones_or_given_as_a_file(name: str) -> None:
    choices, file, *_ = parameter_schema(flow_of(name)).properties["study"]["anyOf"]
    assert choices["enum"] == shipped("studies")
    assert file["pattern"] == r"\.ya?ml$"


def test_what_trains_at_night_is_for_a_person_to_switch_on_and_the_inbox_is_swept() -> None:
    schedules = {name: item["schedules"] for name, item in DEPLOYMENTS.items() if "schedules" in item}
    assert {name: [one.get("active", True) for one in found] for name, found in schedules.items()} == {
        "study": [False], "sweep-inbox": [True],
    }  # fmt: skip
    for found in schedules.values():
        assert all(CronSchedule(cron=one["cron"]) for one in found)


def test_serving_a_study_puts_it_into_every_deployment_that_has_one() -> None:
    served = yaml.safe_load(deployments(DEFINITIONS, "my.yaml"))["deployments"]
    mine = {item["name"]: item.get("parameters", {}) for item in served}
    assert mine.pop("follow-latest") == {"studies": ["my.yaml"]}
    assert mine.pop("meta-analysis") == DEPLOYMENTS["meta-analysis"]["parameters"]
    assert {name: given["study"] for name, given in mine.items()} == dict.fromkeys(mine, "my.yaml")
    assert mine["study"]["overrides"] == {}
