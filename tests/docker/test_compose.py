"""The compose file: valid by its specification, closed to other machines, and nothing that it names is missing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.docker.stack import COMPOSE, DOCKER, SECRETS, Missing, names_of_variables, services

RAW: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
EVERY = services(SECRETS)
every = pytest.mark.parametrize("name", EVERY)
ENDS = {"deployments"}
"""Services that do something and end."""


def test_it_is_valid_by_the_specification() -> None:
    """Its parser is strict: a key that the specification doesn't know is refused."""
    compose_spec = pytest.importorskip("compose_spec", reason="pip install compose-spec")
    options, text = compose_spec.PyOptions(apply_merge=True), COMPOSE.read_text()
    options.from_yaml(text).validate()
    with pytest.raises(ValueError, match="stop_grace"):
        options.from_yaml(text.replace("stop_grace_period:", "stop_grace:"))


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_has_to_be_given(name: str) -> None:
    with pytest.raises(Missing, match=name):
        services({**SECRETS, name: ""})


def test_the_stack_without_profiles_is_todays() -> None:
    assert [name for name, service in EVERY.items() if not service.get("profiles")] == [
        "database", "prefect", "mlflow", "worker", "deployments",
    ]  # fmt: skip
    assert {profile for service in EVERY.values() for profile in service.get("profiles", ())} == {"ray", "s3", "gpu"}


@every
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert [port for port in EVERY[name].get("ports", ()) if not port.startswith("127.0.0.1:")] == []
    assert EVERY[name].get("network_mode") is None
    assert not EVERY[name].get("privileged")


@every
def test_a_service_starts_again_and_says_how_it_is(name: str) -> None:
    service = EVERY[name]
    assert service["restart"] == ("on-failure" if name in ENDS else "unless-stopped")
    assert ("healthcheck" in service) == (name not in ENDS)
    assert "no-new-privileges:true" in service["security_opt"]


@every
def test_what_a_service_names_is_there(name: str) -> None:
    service = EVERY[name]
    for other, how in service.get("depends_on", {}).items():
        assert other in EVERY
        assert how["condition"] == "service_healthy"
        assert "healthcheck" in EVERY[other]
        # what may be switched off by its profile isn't waited for, unless this service is switched off with it
        shared = set(service.get("profiles", ())) & set(EVERY[other].get("profiles", ()))
        assert how.get("required", True) is (not EVERY[other].get("profiles") or bool(shared))
    assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(RAW["volumes"])
    assert {config["source"] for config in service.get("configs", ())} <= set(RAW["configs"])
    if build := service.get("build"):
        assert (DOCKER / build["context"] / build["dockerfile"]).is_file()


@every
def test_an_image_is_of_one_version(name: str) -> None:
    tag = EVERY[name]["image"].rpartition(":")[2]
    assert tag.count(".") >= 1, "a tag that says the version in full"


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith("ray-") or name == "worker"])
def test_a_node_of_ray_reaps_has_shared_memory_and_time_to_end(name: str) -> None:
    service = EVERY[name]
    assert service["init"] is True
    assert service["shm_size"]
    assert service["environment"]["RAY_AUTH_MODE"] == "token"
    assert service["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert service["entrypoint"][0] == "on-ray"
    seconds = int(service["stop_grace_period"].removesuffix("s"))
    assert seconds > 30 or name == "worker", "Ray gives what runs 30 seconds"


def test_a_worker_with_gpus_reserves_them() -> None:
    (device,) = EVERY["ray-gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert EVERY["ray-gpu-worker"]["build"]["dockerfile"] == "docker/gpu.Dockerfile"


def test_every_variable_is_explained() -> None:
    handed = {name for part in RAW["x-cluster"].items() for name, value in [part] if value is None}
    text = (DOCKER / "README.md").read_text()
    assert sorted(name for name in names_of_variables() | handed if f"`{name}`" not in text) == []
