"""SkyPilot's YAML: by its own schema where it is installed, and what its scripts do, in any case."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.stack import DOCKER
from tests.watch import PATIENCE

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


def on_a_node(rank: int, folder: Path, ends_with: int = 0) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The script on a node whose Ray and pluralign only write down how they were called."""
    tools = folder / "tools"
    tools.mkdir()
    (folder / "pluralign" / "bin").mkdir(parents=True)
    (folder / "pluralign" / "bin" / "activate").touch()
    blocks = 'case "$*" in *--head*) exec sleep 60;; esac'
    report = f'until grep -q -- --head {folder}/calls; do sleep 0.1; done\nmkdir "$HOME/results"\n'
    report += f'echo whole > "$HOME/results/report.html"\nexit {ends_with}'
    for name, then in (("ray", blocks), ("pluralign", report)):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {folder}/calls\n{then}\n')
        (tools / name).chmod(0o755)
    given = {
        **TASK["envs"],
        **dict.fromkeys(TASK["secrets"], "0123456789abcdef" * 2),
        "RESULTS": f"file://{folder}/bucket",
        "HOME": str(folder),
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SKYPILOT_NODE_RANK": str(rank),
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
        "SKYPILOT_NUM_GPUS_PER_NODE": "4",
    }
    (folder / "bucket").mkdir()
    command = ["bash", "-c", TASK["run"]]
    run = subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=folder)
    return run, (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize("code", [0, 3])
def test_the_first_node_has_the_head_runs_the_study_and_hands_out_the_report(tmp_path: Path, code: int) -> None:
    pytest.importorskip("obstore")
    run, calls = on_a_node(0, tmp_path, code)
    assert run.returncode == code, run.stderr
    (start,) = (call for call in calls if call.startswith("ray start"))
    assert {"--head", "--port=6390", "--num-gpus=4", "--block"} <= set(start.split())
    (study,) = (call for call in calls if call.startswith("pluralign"))
    assert study.startswith(f"pluralign run paper --runner ray://10.0.0.1:6390 --store {TASK['envs']['STORE']} ")
    assert (tmp_path / "bucket" / "report.html").read_text() == "whole\n", "also of a study that ended in part"
    token = tmp_path / ".pluralign-ray-token"
    assert token.stat().st_mode & 0o777 == 0o600


def test_another_node_joins_and_its_end_is_no_error(tmp_path: Path) -> None:
    run, calls = on_a_node(1, tmp_path)
    assert run.returncode == 0, run.stderr
    (start,) = (call for call in calls if call.startswith("ray start"))
    assert {"--address=10.0.0.1:6390", "--num-gpus=4", "--block"} <= set(start.split())
    assert not any(call.startswith("pluralign") for call in calls)


def test_secrets_have_no_values_and_ray_a_port_of_its_own() -> None:
    assert set(TASK["secrets"].values()) == {None}
    assert TASK["envs"]["RAY_PORT"] not in ("6380", "6379"), "the first is SkyPilot's own"
    assert int(TASK["envs"]["RAY_PORT"]) not in range(10002, 20000), "those are Ray's for its workers"
    commands = [line.strip() for line in TASK["run"].splitlines() if not line.strip().startswith("#")]
    assert not any("ray stop" in line for line in commands), "it would end SkyPilot's Ray"


def test_it_asks_for_spot_gpus_on_several_nodes() -> None:
    assert TASK["resources"]["use_spot"] is True
    assert TASK["num_nodes"] > 1
