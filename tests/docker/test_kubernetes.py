"""The manifests: valid, without root, and they fit each other, the pool's template and the images."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import pytest
import yaml

from tests.docker.stack import DOCKER, SECRETS, services

FILES = sorted((DOCKER / "kubernetes").glob("*.yaml"))
MANIFESTS: list[dict[str, Any]] = [item for file in FILES for item in yaml.safe_load_all(file.read_text())]
(CLUSTER,) = (item for item in MANIFESTS if item["kind"] == "RayCluster")
HEAD, (WORKERS,) = CLUSTER["spec"]["headGroupSpec"], CLUSTER["spec"]["workerGroupSpecs"]
GROUPS = pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "workers"])
ADDRESS = f"{CLUSTER['metadata']['name']}-head-svc:6379"
"""As KubeRay names the head's service."""


def as_manifests(item: dict[str, Any]) -> list[dict[str, Any]]:
    """A Ray cluster's definition is the operator's; its pods are Kubernetes' own."""
    if item["kind"] != "RayCluster":
        return [item]
    return [{"apiVersion": "v1", "kind": "Pod", **group["template"]} for group in (HEAD, WORKERS)]


@pytest.mark.parametrize("item", MANIFESTS, ids=lambda item: f"{item['kind']}-{item['metadata']['name']}")
def test_kubernetes_takes_it(item: dict[str, Any]) -> None:
    checker = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    for manifest in as_manifests(item):
        checker.validate(manifest, "1.33", strict=True)


def test_a_spoilt_manifest_would_be_refused() -> None:
    checker = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    pod = json.loads(json.dumps(as_manifests(CLUSTER)[0]))
    pod["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(checker.ValidationError):
        checker.validate(pod, "1.33", strict=True)


def test_rays_parameters_are_texts_and_its_version_is_the_product_s() -> None:
    for group in (HEAD, WORKERS):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert CLUSTER["spec"]["rayVersion"] == "2.60.0"
    offered = {"num-gpus": "nvidia.com/gpu", "num-cpus": "cpu"}
    requests = WORKERS["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert {name: WORKERS["rayStartParams"][name] for name in offered} == {
        name: requests[resource] for name, resource in offered.items()
    }
    assert WORKERS["minReplicas"] <= WORKERS["replicas"] <= WORKERS["maxReplicas"]
    if find_spec("ray"):
        import ray

        assert ray.__version__ == CLUSTER["spec"]["rayVersion"]


@GROUPS
def test_a_node_is_not_root_and_knows_the_token(group: dict[str, Any]) -> None:
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000, "the images' user"
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert environment["RAY_AUTH_MODE"] == "token"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert environment["RAY_AUTH_TOKEN_PATH"] == f"{mounts['ray-token']}/auth_token"
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)


def test_images_are_those_of_the_compose_file() -> None:
    stack = services(SECRETS)
    assert HEAD["template"]["spec"]["containers"][0]["image"] == stack["ray-head"]["image"]
    assert WORKERS["template"]["spec"]["containers"][0]["image"] == stack["ray-gpu-worker"]["image"]


def test_drivers_may_come_in_and_nobody_else() -> None:
    (policy,) = (item for item in MANIFESTS if item["kind"] == "NetworkPolicy")
    chosen = policy["spec"]["podSelector"]["matchLabels"]
    (rule,) = policy["spec"]["ingress"]
    assert rule == {"from": [{"podSelector": {"matchLabels": chosen}}]}
    template = json.loads((DOCKER / "work-pools" / "kubernetes.json").read_text())
    driver = template["job_configuration"]["job_manifest"]["spec"]["template"]["metadata"]["labels"]
    for labels in (driver, HEAD["template"]["metadata"]["labels"], WORKERS["template"]["metadata"]["labels"]):
        assert labels == chosen
    defaults = template["variables"]["properties"]
    assert defaults["env"]["default"]["PLURALIGN_RUNNER"] == f"ray://{ADDRESS}"
    claims = {item["metadata"]["name"] for item in MANIFESTS if item["kind"] == "PersistentVolumeClaim"}
    volumes = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["volumes"]
    kept = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    assert kept == claims == {"work"}, "reports and collections outlive the job"
    accounts = {item["metadata"]["name"] for item in MANIFESTS if item["kind"] == "ServiceAccount"}
    assert defaults["service_account_name"]["default"] in accounts


def test_prefects_worker_may_start_jobs_and_read_no_secret() -> None:
    (role,) = (item for item in MANIFESTS if item["kind"] == "Role")
    allowed = {name: set(rule["verbs"]) for rule in role["rules"] for name in rule["resources"]}
    assert {"create", "delete", "watch"} <= allowed["jobs"]
    assert {"get", "watch"} <= allowed["pods"] & allowed["pods/log"]
    assert "secrets" not in allowed
    assert "*" not in allowed
