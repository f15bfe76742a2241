"""SkyPilot's YAML: by its own schema where it is installed, and what its scripts do, in any case."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from tests.docker.stack import DOCKER

TASK: dict[str, Any] = yaml.safe_load((DOCKER / "skypilot.yaml").read_text())


def test_it_is_valid_by_skypilots_schema() -> None:
    schemas = pytest.importorskip("sky.utils.schemas", reason="pip install skypilot, in an environment of its own")
    import jsonschema

    checker = jsonschema.Draft202012Validator(schemas.get_task_schema())
    checker.validate(TASK)
    jsonschema.Draft202012Validator(schemas.get_resources_schema()).validate(TASK["resources"])
    with pytest.raises(jsonschema.ValidationError):
        checker.validate(TASK | {"num_node": 2})


@pytest.mark.parametrize("script", ["setup", "run"])
def test_a_script_is_a_shells(script: str) -> None:
    check = subprocess.run(["bash", "-n"], input=TASK[script], text=True, capture_output=True, check=False, timeout=60)
    assert (check.returncode, check.stderr) == (0, "")


def test_secrets_have_no_values_and_ray_a_port_of_its_own() -> None:
    assert set(TASK["secrets"].values()) == {None}
    assert TASK["envs"]["RAY_PORT"] not in ("6380", "6379"), "the first is SkyPilot's own"
    assert int(TASK["envs"]["RAY_PORT"]) not in range(10002, 20000), "those are Ray's for its workers"
    commands = [line.strip() for line in TASK["run"].splitlines() if not line.strip().startswith("#")]
    assert not any("ray stop" in line for line in commands), "it would end SkyPilot's Ray"


def test_it_asks_for_spot_gpus_on_several_nodes() -> None:
    assert TASK["resources"]["use_spot"] is True
    assert TASK["num_nodes"] > 1
