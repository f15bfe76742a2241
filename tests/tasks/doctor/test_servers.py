"""Prefect's server, MLflow's, the judge's endpoint, the hub and the runner's address: up, down, silent, refusing."""

from __future__ import annotations

import json
import time
from importlib.metadata import version

import pytest
from huggingface_hub import constants

from configs.load import load_study
from tasks.doctor.clock import clock_check
from tasks.doctor.finding import Settings
from tasks.doctor.judge import judge_check
from tasks.doctor.mlflow_server import mlflow_check
from tasks.doctor.models import models_check
from tasks.doctor.prefect_server import secret_block, server_check
from tasks.doctor.runner import runner_check
from tests.tasks.doctor.conftest import lines

PREFECT, MLFLOW = version("prefect"), version("mlflow")


def prefect(told: str = PREFECT):
    return {"/api/health": (200, "true"), "/api/admin/version": (200, json.dumps(told))}


# ---- Prefect


def test_without_a_server_a_temporary_one_is_started():
    (line,) = lines(server_check)
    assert line.startswith("ok   server: none is named")


def test_a_server_of_the_same_version_is_fine_and_is_asked_with_the_password(web):
    server = web(prefect())
    (line,) = lines(server_check, server=f"{server.url}/api", server_headers={"Authorization": "Basic x"})
    assert line == f"ok   server: {server.url}/api, Prefect {PREFECT} as the client"
    assert {headers["Authorization"] for _, headers in server.asked} == {"Basic x"}


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (prefect("2.1.0"), f"is Prefect 2.1.0, the client {PREFECT}: install prefect {PREFECT} there, or 2.1.0 here"),
        ({"/api/health": (401, "")}, "without the right password: set PREFECT_API_AUTH_STRING"),
        ({"/api/health": (200, "true"), "/api/admin/version": (403, "")}, "without the right password"),
        ({}, "/api/health answers HTTP 404: PREFECT_API_URL ends in /api"),
        ({"/api/health": (302, "http://127.0.0.1:1/")}, "/api/health answers HTTP 302"),
    ],
)
def test_a_server_that_can_t_be_used_is_bad(web, answers, told):
    (line,) = lines(server_check, server=f"{web(answers).url}/api")
    assert line.startswith("bad  server: ")
    assert told in line


def test_a_server_that_does_not_tell_its_version_is_a_note(web):
    (line,) = lines(server_check, server=f"{web({'/api/health': (200, 'true')}).url}/api")
    assert line.startswith("note server: ")


def test_a_closed_port_and_a_silent_one_are_told_apart(closed_port, silent_port):
    (line,) = lines(server_check, server=f"http://127.0.0.1:{closed_port}/api")
    assert ": nothing listens there: start it" in line
    began = time.monotonic()
    (line,) = lines(server_check, server=f"http://127.0.0.1:{silent_port}/api")
    assert ": no answer within " in line
    assert time.monotonic() - began < 3


def test_an_address_that_is_none_is_told():
    (line,) = lines(server_check, server_fault="PREFECT_API_URL nonsense: expected http://HOST:PORT/api")
    assert line.startswith("bad  server: PREFECT_API_URL nonsense")


def test_a_secret_block_is_read_where_there_is_one(web):
    name = "/api/block_types/slug/secret/block_documents/name/openai-api-key?include_secrets=true"
    server = web({name: (200, json.dumps({"data": {"value": "the key"}}))})
    settings = Settings(server=f"{server.url}/api")
    assert secret_block(settings, "OPENAI_API_KEY") == "the key"
    assert secret_block(settings, "OTHER_KEY") is None
    assert secret_block(Settings(), "OPENAI_API_KEY") is None


# ---- MLflow


def test_mlflow_s_server_is_asked_for_its_version_with_the_login(web, monkeypatch):
    server = web({"/health": (200, "OK"), "/version": (200, MLFLOW)})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "word")
    assert lines(mlflow_check) == [f"ok   MLflow: {server.url}, MLflow {MLFLOW} (the client: {MLFLOW})"]
    assert server.asked[0][1]["Authorization"] == "Basic bWU6d29yZA=="


@pytest.mark.parametrize(
    ("answers", "level", "told"),
    [
        ({"/health": (401, "")}, "bad", "set MLFLOW_TRACKING_USERNAME"),
        ({}, "bad", "/health answers HTTP 404"),
        ({"/health": (200, ""), "/version": (200, "1.2.3")}, "note", "is MLflow 1.2.3; the client's is"),
        ({"/health": (200, "")}, "note", "does not tell its version"),
    ],
)
def test_what_is_wrong_with_mlflow_s_server_is_told(web, monkeypatch, answers, level, told):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web(answers).url)
    (line,) = lines(mlflow_check)
    assert line.startswith(f"{level:<4} MLflow: ")
    assert told in line


def test_mlflow_s_silence_is_told(silent_port, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent_port}")
    (line,) = lines(mlflow_check)
    assert "no answer within" in line


# ---- the judge


def judged(url: str | None = None, **settings: object):
    kind = {"kind": "llm", "model": "m", **({"base_url": url} if url else {}), **settings}
    return load_study("demo", {"judge": kind})


def test_the_embedded_judge_needs_no_endpoint():
    assert lines(judge_check, study=load_study("demo")) == ["ok   judge: the embedded judge needs no endpoint"]


def test_an_endpoint_that_has_the_model_is_fine_and_nothing_is_completed(web, monkeypatch):
    server = web({"/v1/models": (200, '{"data": [{"id": "m"}, {"id": "n"}]}')})
    study = judged(f"{server.url}/v1")
    monkeypatch.setenv(study.judge.key, "a-key-of-this-host")
    assert lines(judge_check, study=study) == [f"ok   judge: {server.url}/v1 has m"]
    assert [path for path, _ in server.asked] == ["/v1/models"]
    assert server.asked[0][1]["Authorization"] == "Bearer a-key-of-this-host"


@pytest.mark.parametrize(
    ("answers", "level", "told"),
    [
        ({"/v1/models": (401, "")}, "bad", "it wants a key: set JUDGE_KEY_"),
        ({"/v1/models": (403, "")}, "bad", "the key may not use it"),
        ({}, "bad", "judge.base_url is what /chat/completions comes after"),
        ({"/v1/chat/completions": (405, "")}, "note", "lists no models"),
        ({"/v1/models": (200, '{"data": [{"id": "n"}]}')}, "note", "m is not among the 1 models"),
        ({"/v1/models": (200, "<html>")}, "note", "does not say which models it has"),
        ({"/v1/models": (302, "http://127.0.0.1:1/")}, "bad", "it sends elsewhere"),
        ({"/v1/models": (503, "")}, "note", "ask again later"),
    ],
)
def test_what_an_endpoint_refuses_is_told_with_what_it_means(web, answers, level, told):
    (line,) = lines(judge_check, study=judged(f"{web(answers).url}/v1"))
    assert line.startswith(f"{level:<4} judge: ")
    assert told in line


def test_a_key_that_is_wrong_is_another_fault_than_one_that_is_missing(web, monkeypatch):
    study = judged(f"{web({'/v1/models': (401, '')}).url}/v1")
    monkeypatch.setenv(study.judge.key, "a-key-of-this-host")
    (line,) = lines(judge_check, study=study)
    assert "it does not know the key" in line
    assert "a-key-of-this-host" not in line


def test_without_its_key_a_judge_is_not_asked(web):
    (line,) = lines(judge_check, study=judged())
    assert line.startswith("bad  judge: m has no key: set OPENAI_API_KEY, or Prefect's Secret block openai-api-key")


def test_a_silent_endpoint_is_told(silent_port):
    (line,) = lines(judge_check, study=judged(f"http://127.0.0.1:{silent_port}/v1"))
    assert "no answer within" in line


# ---- models of the hub


def of_hub(**settings: object):
    model = {"name": "a", "title": "A", "family": "f", "parameters": 1e9, "hub": "org/not-here", **settings}
    return load_study("demo", {"architectures": [model]})


@pytest.mark.parametrize(
    ("status", "level", "told"),
    [
        (200, "ok", "is on the hub"),
        (404, "bad", "is that its id?"),
        (401, "bad", "HF_TOKEN"),
        (500, "note", "HTTP 500"),
    ],
)
def test_the_hub_is_asked_for_what_its_cache_does_not_have(web, monkeypatch, status, level, told):
    monkeypatch.setattr(constants, "ENDPOINT", web({"/api/models/org/not-here": (status, "{}")}).url)
    (line,) = lines(models_check, study=of_hub())
    assert line.startswith(f"{level:<4} models: a: org/not-here")
    assert told in line


def test_a_hub_that_is_silent_is_asked_once(silent_port, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent_port}")
    models = [of_hub(name=name, hub=f"org/{name}").architectures[0] for name in ("a", "b", "c")]
    study = of_hub().model_copy(update={"architectures": tuple(models)})
    (line,) = lines(models_check, study=study)
    assert "no answer within" in line
    assert "org/a, org/b, org/c" in line


def test_offline_only_the_cache_counts(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (line,) = lines(models_check, study=of_hub())
    assert line.startswith("bad  models: not in the hub's cache: org/not-here: unset HF_HUB_OFFLINE")


def test_a_gated_model_needs_a_token(monkeypatch, web):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setattr(constants, "ENDPOINT", web({"/api/models/org/not-here": (200, "{}")}).url)
    first, _ = lines(models_check, study=of_hub(gated=True))
    assert first.startswith("bad  models: architectures: gated on the hub: a (org/not-here): accept their licences")


def test_folders_and_gguf_files_are_looked_at(place):
    study = of_hub(hub=None, path=str(place / "nowhere"))
    (line,) = lines(models_check, study=study)
    assert "no model here (no config.json)" in line
    (place / "it.gguf").write_bytes(b"GGUF and more")
    (line,) = lines(models_check, study=of_hub(hub=None, gguf=str(place / "it.gguf")))
    assert line == f"ok   models: a: {place}/it.gguf"
    (place / "it.gguf").write_bytes(b"no")
    (line,) = lines(models_check, study=of_hub(hub=None, gguf=str(place / "it.gguf")))
    assert line.startswith("bad  models: ")


# ---- the runner


def test_the_local_runner_has_slots():
    assert lines(runner_check, workers=3) == ["ok   runner: local, 3 slots on the CPU"]


def test_a_cluster_that_takes_connections_is_told_from_one_that_does_not(web, silent_port, closed_port, monkeypatch):
    monkeypatch.setenv("PLURALIGN_RUNNER", f"ray://127.0.0.1:{silent_port}")
    with monkeypatch.context() as without_ray:
        without_ray.setattr("tasks.doctor.runner.installed", lambda name: None)
        first, second = lines(runner_check)
    assert first == "bad  runner: Ray is not installed: pip install 'pluralign[ray]'"
    assert second == f"note runner: ray://127.0.0.1:{silent_port} takes connections; its nodes were not asked"
    began = time.monotonic()
    (line,) = lines(runner_check)
    assert line.startswith(f"bad  runner: ray://127.0.0.1:{silent_port}: nothing answers there (timed out)")
    assert time.monotonic() - began < 30  # Ray itself would wait for minutes
    monkeypatch.setenv("PLURALIGN_RUNNER", web({}).url.replace("http:", "ray:"))
    (line,) = lines(runner_check)
    assert "what answers there is not a cluster of Ray's" in line
    monkeypatch.setenv("PLURALIGN_RUNNER", f"ray://127.0.0.1:{closed_port}")
    (line,) = lines(runner_check)
    assert ": nothing listens there: start the cluster's head" in line


@pytest.mark.parametrize(
    ("runner", "told"),
    [
        ("slurm", "unknown 'slurm': --runner or PLURALIGN_RUNNER: local, ray or ray://HOST:PORT"),
        ("ray://host:x", "ray://host:x: a runner is local, ray, or ray://HOST:PORT of a cluster's head"),
    ],
)
def test_a_runner_that_is_none_is_told(monkeypatch, runner, told):
    monkeypatch.setenv("PLURALIGN_RUNNER", runner)
    (line,) = lines(runner_check)
    assert line.startswith("bad  runner: ")
    assert told in line


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.0.0", "bad  runner: ray 1.0.0: pip install 'ray==2.60.0', here and on every node"),
        (None, "bad  runner: Ray is not installed: pip install 'pluralign[ray]'"),
        ("2.60.0", "ok   runner: ray 2.60.0, a cluster of this machine for each run, "),
    ],
)
def test_ray_must_have_the_exact_version(monkeypatch, version, told):
    monkeypatch.setenv("PLURALIGN_RUNNER", "ray")
    monkeypatch.setattr("tasks.doctor.runner.installed", lambda name: version)
    (line,) = lines(runner_check)
    assert line.startswith(told)


# ---- clocks


@pytest.mark.parametrize(("ahead", "level", "side"), [(0, "ok", "within 60 s of Prefect's server"),
                                                      (600, "bad", "600 s ahead of this machine"),
                                                      (-600, "bad", "600 s behind this machine")])  # fmt: skip
def test_the_clock_is_held_against_the_servers_that_were_asked(web, ahead, level, side):
    settings = Settings(server=f"{web(prefect(), ahead).url}/api")
    list(server_check(settings))
    (finding,) = clock_check(settings)
    assert finding.level == level
    assert side in finding.text.replace("599 s", "600 s").replace("601 s", "600 s")


def test_a_time_that_a_busy_server_tells_late_does_not_count_where_it_tells_another():
    settings = Settings()
    settings.read_clock("a server", -200.0)
    settings.read_clock("a server", -1.0)
    settings.read_clock("a server", None)
    assert [finding.level for finding in clock_check(settings)] == ["ok"]


def test_where_no_server_was_asked_the_clock_is_a_note():
    (line,) = lines(clock_check)
    assert line.startswith("note clock: ")
