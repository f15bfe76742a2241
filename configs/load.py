"""Read studies, architectures, recipes and codebooks from YAML; every fault is one line that names its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from configs.codebook import Codebook
from configs.errors import InputError, one_of
from configs.renamed import with_present_names
from configs.schema import Frozen, Study

SHIPPED = Path(__file__).parent
OWN_STUDY = "PLURALIGN_STUDY"
"""The variable with the path of a study that the forms of runs offer beside the shipped ones."""
REPLACED_WHOLE = ("ratings", "judge")
Settings = TypeVar("Settings", bound=Frozen)


def load_study(name: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """A study by its shipped name or the path of a YAML file, with `{"recipe.dpo.epochs": 2}`-like overrides.

    Raises:
        InputError: the file is missing or not YAML, a key or a name is unknown, a value is not allowed.
    """
    raw = _resolve(_with_base(name))
    for key, value in _with_present_keys(overrides or {}).items():
        _put(raw, key, value)
    return _validate(Study, _extended(_resolve(raw), name), name)


def load_codebook(name: str) -> Codebook:
    """A codebook by its shipped name or the path of a YAML file. Raises `InputError` like `load_study`."""
    return _validate(Codebook, _read("codebooks", name), name)


def parse_overrides(items: Sequence[str]) -> dict[str, Any]:
    """`["recipe.dpo.epochs=2", "architectures=[tiny-llama]"]` → keys and YAML values."""
    overrides = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {item}: expected KEY=VALUE, like recipe.dpo.epochs=2")
        overrides[key.strip()] = _parse(value, f"--set {key}")
    return overrides


def shipped(kind: str) -> list[str]:
    """Names of what ships in `configs/KIND`."""
    return sorted(path.stem for path in (SHIPPED / kind).glob("*.yaml"))


def _with_base(name: str) -> dict[str, Any]:
    """The YAML of a study, merged into the one that it `extends`, if any."""
    seen, layers = list[str](), list[dict[str, Any]]()
    following: str | None = name
    while following is not None:
        if following in seen:
            raise InputError(f"{name}: extends itself: {' -> '.join([*seen, following])}")
        seen.append(following)
        layers.append(with_present_names(_read("studies", following), following))
        following = layers[-1].pop("extends", None)
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = _merge(merged, layer)
    return merged


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`top` over `base`, mappings merged key by key; a choice between alternatives is replaced whole."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both and key not in REPLACED_WHOLE else value
    return merged


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    """Names of architectures and of the recipe replaced by what they stand for."""
    resolved = dict(raw)
    if isinstance(raw.get("recipe"), str):
        resolved["recipe"] = _read("recipes", raw["recipe"])
    if isinstance(raw.get("architectures"), list):
        items = raw["architectures"]
        resolved["architectures"] = [_read("architectures", one) if isinstance(one, str) else one for one in items]
    return resolved


def _extended(raw: dict[str, Any], place: str) -> dict[str, Any]:
    """Experiments that extend another one, merged into what that is; those that are null are left out."""
    given = raw.get("experiments")
    if not isinstance(given, dict):
        return raw
    experiments = {name: settings for name, settings in given.items() if settings is not None}

    def whole(name: str, seen: tuple[str, ...]) -> Any:
        settings = experiments[name]
        base = settings.get("extends") if isinstance(settings, dict) else None
        if base is None:
            return settings
        if base not in experiments:
            raise one_of(f"{place}: experiments.{name}.extends", base, [key for key in experiments if key != name])
        if base in (*seen, name):
            raise InputError(f"{place}: experiments.{name} extends itself: {' -> '.join([*seen, name, base])}")
        return _merge(whole(base, (*seen, name)), settings)

    return raw | {"experiments": {name: whole(name, ()) for name in experiments}}


def _with_present_keys(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides by the names that keys have now."""
    present: dict[str, Any] = {}
    for key, value in overrides.items():
        *parents, last = key.split(".")
        (name,), (value,) = zip(*with_present_names({last: value}, "--set", parents).items(), strict=True)
        full = ".".join([*parents, name])
        if full in present or (full != key and full in overrides):
            raise InputError(f"--set {key}: {last} is called {name} now; give {name} alone")
        present[full] = value
    return present


def _put(raw: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, parent in enumerate(parents):
        if not isinstance(raw.get(parent), dict):
            raw[parent] = {} if raw.get(parent) is None else raw[parent]
        if not isinstance(raw[parent], dict):
            raise InputError(f"--set {key}: {'.'.join(parents[: depth + 1])} holds no keys")
        raw[parent] = raw = dict(raw[parent])
    raw[last] = value


def _read(kind: str, name: str) -> dict[str, Any]:
    if not isinstance(name, str):
        raise InputError(f"{kind}: expected a name or a path, got {name!r}")
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / kind / f"{name}.yaml"
    if path.suffix and path.parent == SHIPPED / kind and path.stem not in shipped(kind):
        raise one_of(kind, name, [*shipped(kind), "or the path of a .yaml file"])
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start})") from None
    data = _parse(text, str(path))
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of keys to values")
    return data


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where plain YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = []
        for node_of_key, _ in node.value:
            if node_of_key.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(node_of_key, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=node_of_key.start_mark)
            seen.append(key)
        return super().construct_mapping(node, deep)


def _parse(text: str, place: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{place}: {where}{' '.join(str(problem).split())}") from None


def _validate(model: type[Settings], raw: dict[str, Any], place: str) -> Settings:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first, *rest = error.errors()
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] not in ("value_error", "missing"):
        message += f", got {first['input']!r}"
    more = f" (and {len(rest)} more)" if rest else ""
    raise InputError(": ".join(filter(None, [place, where, message])) + more)
