"""Read studies, architectures, recipes and codebooks from YAML; every fault is one line that names its place."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.codebook import Codebook
from configs.errors import InputError, one_of, short
from configs.renamed import with_present_names
from configs.schema import Assumptions, Frozen, Study, UnknownKey

SHIPPED = Path(__file__).parent
OWN_STUDY = "PLURALIGN_STUDY"
"""The variable with the path of a study that the forms of runs offer beside the shipped ones."""
MOST_NODES, DEEPEST, MOST_FAULTS = 100_000, 50, 50
BIGGEST_FILE = 2_000_000
"""Bytes of a settings file."""
READ_AS: dict[type, str] = {
    bool: " (yes, no, on, off, true and false are truth values unless quoted: quote it)",
    int: " (quote it)",
    float: " (quote it)",
    type(None): " (an empty value, ~ or null: quote it if it is a text)",
    datetime.date: " (YAML reads a date: quote it)",
    datetime.datetime: " (YAML reads a time: quote it)",
}
"""What to do where YAML reads another type than the text that is wanted."""
SUFFIXES = (".yaml", ".yml")
"""How the path of a file ends, unlike a shipped name."""
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


def parse_overrides(
    items: Sequence[str], option: str = "--set", example: str = "recipe.dpo.epochs=2"
) -> dict[str, Any]:
    """`["recipe.dpo.epochs=2", "architectures=[tiny-llama]"]` → keys and YAML values."""
    overrides = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{option} {item}: expected KEY=VALUE, like {example}")
        overrides[key.strip()] = _parse(value, f"{option} {key}")
    return overrides


def parse_assumptions(items: Sequence[str]) -> Assumptions:
    """`["architectures=0.02"]` → assumptions. Raises `InputError` like `load_study`."""
    return _validate(Assumptions, parse_overrides(items, "--assume", "architectures=0.02"), "--assume")


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
        layers.append(_anchored(with_present_names(_read("studies", following), following), following))
        following = layers[-1].pop("extends", None)
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        if isinstance(layer.get("recipe"), dict) and isinstance(merged.get("recipe"), str):
            merged["recipe"] = _read("recipes", merged["recipe"])  # what this layer leaves out is the named recipe's
        merged = _merge(merged, layer)
    return merged


def _anchored(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """A study's settings with the paths in them relative to the file that names them, or to the working directory where
    only that has them."""
    if not name.endswith(SUFFIXES):
        return raw

    def at(path: Any, folder: bool = False) -> Any:
        return _beside(path, name) if isinstance(path, str) and (folder or path.endswith(SUFFIXES)) else path

    def each(paths: Any) -> Any:
        return [_anchored_gguf(at(path), name) for path in paths] if isinstance(paths, list) else paths

    anchored = raw | {key: at(raw[key]) for key in ("extends", "recipe") if key in raw}
    anchored |= {"architectures": each(raw["architectures"])} if "architectures" in raw else {}
    if isinstance(ratings := raw.get("ratings"), dict):
        own = {"codebooks": each(ratings.get("codebooks")), "folder": at(ratings.get("folder"), folder=True)}
        anchored["ratings"] = ratings | {key: value for key, value in own.items() if key in ratings}
    anchored |= {"models": at(raw["models"], folder=True)} if "models" in raw else {}
    if isinstance(judge := raw.get("judge"), dict) and isinstance(encoder := judge.get("encoder"), dict):
        own = {"path": at(encoder["path"], folder=True)} if "path" in encoder else {}
        anchored["judge"] = judge | {"encoder": encoder | own}
    return anchored


def _anchored_gguf(architecture: Any, name: str) -> Any:
    """An architecture's settings with its GGUF file relative to the file that names it; one in a hub's repository is no
    path of this machine."""
    if not isinstance(architecture, dict) or not isinstance(architecture.get("gguf"), str) or architecture.get("hub"):
        return architecture
    return architecture | {"gguf": _beside(architecture["gguf"], name)} if name.endswith(SUFFIXES) else architecture


def _beside(path: str, name: str) -> str:
    """A path relative to the file that names it; as it is where only the working directory has it."""
    beside = Path(name).parent / path
    return path if Path(path).exists() and not beside.exists() else str(beside)


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
        resolved["architectures"] = [
            _anchored_gguf(_read("architectures", one), one) if isinstance(one, str) else one for one in items
        ]
        if isinstance(models := raw.get("models"), str):
            resolved["architectures"] = [_in_folder(one, Path(models)) for one in resolved["architectures"]]
    return resolved


def _in_folder(architecture: Any, folder: Path) -> Any:
    """An architecture of the hub with the folder or GGUF file in which it lies; as it is where it does not lie there.

    Raises:
        InputError: there is no such folder, or several GGUF files may be meant.
    """
    if not folder.is_dir():
        raise InputError(f"models: no folder {folder}")
    if not isinstance(architecture, dict) or not isinstance(hub := architecture.get("hub"), str):
        return architecture
    name = hub.rpartition("/")[2]
    local = {key: value for key, value in architecture.items() if key not in ("hub", "gated", "revision")}
    if file := architecture.get("gguf"):
        places = [
            place
            for place in (folder / hub / str(file), folder / name / str(file), folder / str(file))
            if place.is_file()
        ]
        return local | {"gguf": str(places[0])} if places else architecture
    if places := [place for place in (folder / hub, folder / name) if (place / "config.json").is_file()]:
        return local | {"path": str(places[0])}
    files = sorted(place for place in folder.iterdir() if place.suffix == ".gguf" and place.name.startswith(name))
    if len(files) > 1:
        raise InputError(f"models: {folder} has several files of {hub}: {', '.join(file.name for file in files)}")
    return local | {"gguf": str(files[0])} if files else architecture


def _extended(raw: dict[str, Any], place: str) -> dict[str, Any]:
    """Experiments that extend another one, merged into what that is; those that are null are left out, also where
    `raters` names them."""
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

    raters = raw.get("raters")
    if isinstance(raters, dict) and isinstance(raters.get("experiments"), list):
        gone = [name for name in given if name not in experiments]
        raw = raw | {"raters": raters | {"experiments": [name for name in raters["experiments"] if name not in gone]}}
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
        raise InputError(f"{kind}: expected a name or a path, got {short(name)}")
    path = Path(name) if name.endswith(SUFFIXES) else SHIPPED / kind / f"{name}.yaml"
    if path.suffix and path.parent == SHIPPED / kind and path.stem not in shipped(kind):
        raise one_of(kind, name, [*shipped(kind), "or the path of a .yaml file"])
    try:
        if path.stat().st_size > BIGGEST_FILE:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes; settings take at most {BIGGEST_FILE:,}")
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
    """Safe YAML that refuses a key given twice, where plain YAML silently keeps the last, and what is no sane file.

    Aliases are one object however often they stand, but whoever walks them meets each anew: their number counts
    expanded.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        _expanded_size(node, {}, 0)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = []
        for node_of_key, _ in node.value:
            if node_of_key.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(node_of_key, deep=True)
            if key in seen:
                raise _fault_at(node_of_key, f"key {short(key)} stands twice")
            seen.append(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # a date in a 13th month, a number of 5,000 digits
            raise _fault_at(node, f"{short(node.value)} can't be read: {error}; quote it if it is a text") from None


def _expanded_size(node: yaml.Node | None, sizes: dict[int, int], depth: int) -> int:
    """The number of nodes below one, those of aliases counted wherever they stand.

    Raises:
        yaml.MarkedYAMLError: there are more than `MOST_NODES`, or they are deeper than `DEEPEST`, as within themselves.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if depth > DEEPEST:
        raise _fault_at(node, f"nested more than {DEEPEST} levels deep")
    if id(node) not in sizes:
        parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        sizes[id(node)] = 1 + sum(_expanded_size(part, sizes, depth + 1) for part in parts)
    if sizes[id(node)] > MOST_NODES:
        raise _fault_at(node, f"aliases make more than {MOST_NODES:,} values of it")
    return sizes[id(node)]


def _fault_at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _parse(text: str, place: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except RecursionError:
        raise InputError(f"{place}: nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{place}: {where}{' '.join(str(problem).split())}") from None


def _validate(model: type[Settings], raw: dict[str, Any], place: str) -> Settings:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = list(dict.fromkeys(map(_fault_line, error.errors())))
    if len(faults) == 1:
        raise InputError(f"{place}: {faults[0]}")
    rest = [f"… {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    raise InputError("\n  ".join([f"{place}: {len(faults)} faults", *faults[:MOST_FAULTS], *rest]))


def _fault_line(error: ErrorDetails) -> str:
    """A fault as pydantic found it: where, what is wrong, what stands there."""
    *parents, last = error["loc"] or ("",)
    value, kind, message = error["input"], error["type"], error["msg"].removeprefix("Value error, ")
    if isinstance(value, UnknownKey):
        place, message = parents, str(value)
    elif kind == "invalid_key":
        place, message = parents, f"key {short(last)} is not a text; quote it"
    else:
        place = list(error["loc"])
        if last == "[key]":
            place, message = parents[:-1], f"key: {message}"
        if kind not in ("value_error", "missing"):
            message += f", got {short(value)}"
        if kind == "string_type" and not isinstance(value, (dict, list)):
            message += READ_AS.get(type(value), "")
    return ": ".join(filter(None, [".".join(str(part) for part in place), message]))
