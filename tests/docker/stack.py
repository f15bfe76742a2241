"""The compose file as Docker Compose would read it: merged, with variables put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"
RAW_CONFIGS: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["configs"]
SECRETS = {
    "POSTGRES_PASSWORD": "databasepassword",
    "PREFECT_AUTH": "admin:prefectpassword",
    "PLURALIGN_SECRET": "a-key-of-pseudonyms",
    "OPENAI_API_KEY": "judgekey",
}
"""What the stack asks for without any profile."""
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\})")


class Missing(Exception):
    """A variable that has to be set isn't."""


def put_in(value: Any, variables: Mapping[str, str]) -> Any:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced in all texts, `$$` by `$`."""
    if isinstance(value, dict):
        return {key: put_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [put_in(item, variables) for item in value]
    return _VARIABLE.sub(lambda found: _value_of(found, variables), value) if isinstance(value, str) else value


def _value_of(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["dollar"]:
        return "$"
    value = variables.get(found["name"], "")
    if not value and found["how"] == ":?":
        raise Missing(f"{found['name']}: {found['rest']}")
    return value or (found["rest"] if found["how"] == ":-" else "")


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By name; a variable that an environment only hands through is there if it is set."""
    given = put_in(yaml.safe_load(COMPOSE.read_text())["services"], variables)
    for service in given.values():
        environment = service.get("environment") or {}
        handed = {name: variables.get(name) if value is None else value for name, value in environment.items()}
        service["environment"] = {name: str(value) for name, value in handed.items() if value is not None}
    return given


def names_of_variables() -> set[str]:
    return {found["name"] for found in _VARIABLE.finditer(COMPOSE.read_text()) if found["name"]}
