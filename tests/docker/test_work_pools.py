"""The base job templates of the work pools: as Prefect wants them, and drivers that join the Ray cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prefect.server.schemas.actions import WorkPoolCreate
from prefect.utilities.schema_tools.validation import is_valid_schema, validate
from prefect.utilities.templating import apply_values

from tasks.serving.keeper import POOL
from tests.docker.stack import DOCKER, SECRETS, services

kinds = pytest.mark.parametrize("kind", ["docker", "kubernetes"])


def template(kind: str) -> dict[str, Any]:
    return json.loads((DOCKER / "work-pools" / f"{kind}.json").read_text())


def defaults(kind: str) -> dict[str, Any]:
    properties = template(kind)["variables"]["properties"]
    return {name: item["default"] for name, item in properties.items() if item.get("default") is not None}


def job(kind: str) -> dict[str, Any]:
    """What is asked for with the defaults and Prefect's usual command."""
    return apply_values(
        template(kind)["job_configuration"], defaults(kind) | {"command": ["prefect", "flow-run", "execute"]}
    )


@kinds
def test_prefect_takes_the_template(kind: str) -> None:
    WorkPoolCreate(name=POOL, type=kind, base_job_template=template(kind))
    variables = template(kind)["variables"]
    is_valid_schema(variables, preprocess=False)
    validate(defaults(kind), variables, raise_on_error=True, preprocess=False)


@kinds
def test_a_template_that_uses_what_it_does_not_declare_is_refused(kind: str) -> None:
    spoilt = template(kind)
    del spoilt["variables"]["properties"]["image"]
    with pytest.raises(ValueError, match="image"):
        WorkPoolCreate(name=POOL, type=kind, base_job_template=spoilt)


@kinds
def test_a_flow_run_is_a_node_of_the_cluster(kind: str) -> None:
    environment = defaults(kind)["env"]
    assert environment["PLURALIGN_RUNNER"].startswith("ray://")
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["PLURALIGN_STORE"].startswith("s3://"), "a folder of the container would be gone with it"


@kinds
def test_no_secret_stands_in_a_template(kind: str) -> None:
    words = ("TOKEN", "SECRET", "KEY", "AUTH_STRING", "PASSWORD")
    environment = defaults(kind)["env"]
    kept = {name: value for name, value in environment.items() if any(word in name for word in words)}
    paths = {"RAY_AUTH_TOKEN_PATH"}
    assert [
        name for name, value in kept.items() if "{{ prefect.blocks.secret." not in value and name not in paths
    ] == []


def test_a_container_fits_the_compose_file() -> None:
    stack, ours = services({**SECRETS, "PLURALIGN_RUNNER": "ray://ray-head:6379"}), job("docker")
    worker = stack["worker"]
    assert ours["image"] == worker["image"]
    assert ours["container_create_kwargs"]["entrypoint"] == worker["entrypoint"][:1] == ["on-ray"]
    assert ours["container_create_kwargs"]["init"] is True
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "PLURALIGN_HOME", "PLURALIGN_RUNNER", "RAY_AUTH_TOKEN_PATH"):
        assert ours["env"][name] == worker["environment"][name], name
    assert ours["env"]["AWS_ENDPOINT_URL"] == "http://s3:8333"
    assert "s3" in stack
    assert ours["networks"] == ["pluralign_default"]
    assert ours["volumes"] == ["pluralign_work:/srv/pluralign"]


def test_a_job_of_kubernetes_is_valid_and_has_no_rights() -> None:
    manifest = job("kubernetes")["job_manifest"]
    manifest["metadata"] |= {"generateName": "a-run-", "labels": {}, "annotations": {}}
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["env"] = [{"name": name, "value": value} for name, value in defaults("kubernetes")["env"].items()]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["command"] == ["on-ray"]
    checker = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    checker.validate(manifest, "1.33", strict=True)
