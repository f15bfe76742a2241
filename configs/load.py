"""Read studies, architectures, recipes and codebooks from YAML; every fault is one line that names its place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.codebook import Codebook
from configs.errors import InputError, Place, lines_of, printable, short, together, unknown
from configs.faults import REPLACED_WHOLE, Layer, fault_line, named_in, validate
from configs.paths import OF_ARCHITECTURE, SUFFIXES, also_looked, anchored
from configs.renamed import with_present_names
from configs.safe_yaml import Document, parse
from configs.schema import Assumptions, Study, is_file_of_hub, is_hub_name

SHIPPED = Path(__file__).parent
OWN_STUDY = "PLURALIGN_STUDY"
"""The variable with the path of a study that the forms of runs offer beside the shipped ones."""
BIGGEST_FILE = 2_000_000
"""Bytes of a settings file."""


class _NotThere(InputError):
    """No such file or shipped name, so that it is the one that names it where something is wrong."""


class Overrides(dict[str, Any]):
    """Keys and values from the command line, and for each key the text that the value was read from."""

    def __init__(self, documents: Mapping[str, Document], option: str) -> None:
        super().__init__({key: document.data for key, document in documents.items()})
        self.documents, self.option = dict(documents), option


def load_study(name: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """A study by its shipped name or the path of a YAML file, with `{"recipe.dpo.epochs": 2}`-like overrides.

    Raises:
        InputError: the file is missing or not YAML, a key or a name is unknown, a value is not allowed. All faults of
            the study and of the files that it names are told, those of codebooks only where there are others.
    """
    given = _with_present_keys(overrides or {})
    files = _Files(name)
    raw = files.resolved({key: value for key, value in files.with_base().items() if key not in given})
    for key, value in given.items():
        _put(raw, key, value)
    files.layers = [*_layers_of(given, overrides, name), *files.layers]
    raw = files.resolved(anchored(raw, ""))
    try:
        study = validate(Study, _extended(raw, name, files.layers), name, files.layers)
    except InputError as error:
        raise together(name, [*files.faults, *lines_of(error), *_faults_of_codebooks(raw)]) from None
    if files.faults:
        raise together(name, [*files.faults, *_faults_of_codebooks(raw)])
    return study


def load_codebook(name: str) -> Codebook:
    """A codebook by its shipped name or the path of a YAML file. Raises `InputError` like `load_study`."""
    document = _read("codebooks", name)
    return validate(Codebook, document.data, name, [Layer(name, document)])


def load_codebooks(names: Iterable[str]) -> list[Codebook]:
    """Several codebooks. Raises `InputError` with the faults of all."""
    codebooks, faults = list[Codebook](), list[str]()
    for name in names:
        try:
            codebooks.append(load_codebook(name))
        except InputError as error:
            faults += lines_of(error)
    if faults:
        raise together("codebooks", faults)
    return codebooks


def parse_overrides(items: Sequence[str], option: str = "--set", example: str = "recipe.dpo.epochs=2") -> Overrides:
    """`["recipe.dpo.epochs=2", "architectures=[tiny-llama]"]` → keys and YAML values.

    Raises:
        InputError: what is no `KEY=VALUE` or no YAML, all of it.
    """
    documents, faults = dict[str, Document](), list[str]()
    for item in items:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or not key:
            faults.append(f"{option} {item}: expected KEY=VALUE, like {example}")
            continue
        try:
            documents[key] = parse(value, f"{option} {key}")
        except InputError as error:
            faults += lines_of(error)
    if faults:
        raise together(option, faults)
    return Overrides(documents, option)


def parse_assumptions(items: Sequence[str]) -> Assumptions:
    """`["architectures=0.02"]` → assumptions. Raises `InputError` like `load_study`."""
    given = parse_overrides(items, "--assume", "architectures=0.02")
    layers = [Layer("--assume", document, (key,), "--assume") for key, document in given.documents.items()]
    return validate(Assumptions, dict(given), "--assume", layers)


def shipped(kind: str) -> list[str]:
    """Names of what ships in `configs/KIND`."""
    return sorted(path.stem for path in (SHIPPED / kind).glob("*.yaml"))


class _Files:
    """Reads the files of one study. `layers`: what each says, the one that counts most first. `faults`: lines of those
    that a study names and that can't be read, in whose place something stands with which the rest can be checked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layers: list[Layer] = []
        self.faults: list[str] = []

    def with_base(self) -> dict[str, Any]:
        """The YAML of a study, merged into the one that it `extends`, if any."""
        seen: dict[str, str] = {}
        layers = list[dict[str, Any]]()
        following: str | None = self.name
        while following is not None:
            document = self._base(following)
            file = os.path.realpath(following)
            if file in seen:
                raise InputError(f"{self.name}: extends itself: {' -> '.join([*seen.values(), following])}")
            seen[file] = following
            self.layers.append(Layer(following, document))
            layers.append(anchored(with_present_names(document.data, following), following))
            following = layers[-1].pop("extends", None)
            if not isinstance(following, str | None):
                what = f"expected a name or a path, got {short(following)}"
                raise InputError(fault_line(("extends",), what, self.name, self.layers[-1:]))
        merged: dict[str, Any] = {}
        for layer in reversed(layers):
            if isinstance(layer.get("recipe"), dict) and isinstance(merged.get("recipe"), str):
                merged["recipe"] = self._recipe(merged["recipe"])  # what this layer leaves out is the named recipe's
            merged = _merge(merged, layer)
        return merged

    def resolved(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Names of architectures and of the recipe replaced by what they stand for."""
        resolved = dict(raw)
        if isinstance(raw.get("recipe"), str):
            resolved["recipe"] = self._recipe(raw["recipe"])
        if isinstance(raw.get("architectures"), list):
            named = [
                self._architecture(one, number) if isinstance(one, str) else one
                for number, one in enumerate(raw["architectures"])
            ]
            folder = raw.get("models")
            resolved["architectures"] = self._in_folder(named, folder) if isinstance(folder, str) else named
        return resolved

    def _base(self, name: str) -> Document:
        try:
            return _read("studies", name)
        except _NotThere as error:
            if not self.layers:
                raise
            raise InputError(named_in(("extends",), self.layers[-1:]) + str(error)) from None

    def _recipe(self, name: str) -> dict[str, Any]:
        document = self._named("recipes", name, ("recipe",))
        self.layers += [Layer(name, document, ("recipe",))] if document else []
        return document.data if document else {}

    def _architecture(self, name: str, number: int) -> dict[str, Any]:
        document = self._named("architectures", name, ("architectures", number))
        if document is None:
            return {"name": f"unread-{number}", "title": name, "family": name, "parameters": 1, "tiny": {}}
        self.layers.append(Layer(name, document, ("architectures", number)))
        return anchored(document.data, name, OF_ARCHITECTURE)

    def _named(self, kind: str, name: str, place: Place) -> Document | None:
        try:
            return _read(kind, name)
        except _NotThere as error:
            self.faults.append(named_in(place, self.layers) + str(error))
            return None
        except InputError as error:
            self.faults += lines_of(error)
            return None

    def _in_folder(self, architectures: list[Any], folder: str) -> list[Any]:
        try:
            return [_in_folder(one, Path(folder)) for one in architectures]
        except InputError as error:
            self.faults.append(named_in(("models",), self.layers) + str(error))
            return architectures


def _layers_of(given: Mapping[str, Any], overrides: Mapping[str, Any] | None, name: str) -> list[Layer]:
    """Overrides as layers over the study's files, the last given first; those of another name have no text."""
    documents = overrides.documents if isinstance(overrides, Overrides) else {}
    option = overrides.option if isinstance(overrides, Overrides) else ""
    return [Layer(name, documents.get(key), tuple(key.split(".")), option) for key in reversed(list(given))]


def _faults_of_codebooks(raw: dict[str, Any]) -> list[str]:
    """What is wrong with the codebooks that a study names, so that all is told at once."""
    ratings = raw.get("ratings")
    names = ratings.get("codebooks") if isinstance(ratings, dict) else None
    try:
        load_codebooks(name for name in names if isinstance(name, str)) if isinstance(names, list) else None
    except InputError as error:
        return lines_of(error)
    return []


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`top` over `base`, mappings merged key by key; a choice between alternatives is replaced whole."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both and key not in REPLACED_WHOLE else value
    return merged


def _in_folder(architecture: Any, folder: Path) -> Any:
    """An architecture of the hub with the folder or GGUF file in which it lies; as it is where it does not lie there.

    Raises:
        InputError: there is no such folder, or several GGUF files may be meant.
    """
    if not os.path.isdir(folder):
        raise InputError(f"models: no folder {printable(str(folder), 300)}{also_looked(folder)}")
    if not isinstance(architecture, dict) or not is_hub_name(hub := architecture.get("hub")):
        return architecture
    if not is_file_of_hub(str(architecture.get("gguf") or "")):
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


def _extended(raw: dict[str, Any], name: str, layers: Sequence[Layer]) -> dict[str, Any]:
    """Experiments that extend another one, merged into what that is; those that are null are left out, also where
    `raters` names them."""
    given = raw.get("experiments")
    if not isinstance(given, dict):
        return raw
    experiments = {key: settings for key, settings in given.items() if settings is not None}
    faults = list[str]()

    def whole(key: str, seen: tuple[str, ...]) -> Any:
        settings = experiments[key]
        base = settings.get("extends") if isinstance(settings, dict) else None
        if not isinstance(base, str):
            return settings
        if base not in experiments:
            others = unknown(base, [other for other in experiments if other != key])
            faults.append(fault_line(("experiments", key, "extends"), others, name, layers))
        elif base in (*seen, key):
            way = f"experiments.{key} extends itself: {' -> '.join([*seen, key, base])}"
            faults.append(fault_line((), way, name, layers))
        else:
            return _merge(whole(base, (*seen, key)), settings)
        return settings

    raters = raw.get("raters")
    if isinstance(raters, dict) and isinstance(raters.get("experiments"), list):
        gone = [key for key in given if key not in experiments]
        raw = raw | {"raters": raters | {"experiments": [key for key in raters["experiments"] if key not in gone]}}
    merged = raw | {"experiments": {key: whole(key, ()) for key in experiments}}
    if faults:  # what these experiments would be is not known
        raise together(name, faults)
    return merged


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


def _read(kind: str, name: str) -> Document:
    """What a shipped file or one at a path says, which is a mapping."""
    if not isinstance(name, str):
        raise InputError(f"{kind}: expected a name or a path, got {short(name)}")
    path = Path(name) if name.endswith(SUFFIXES) else SHIPPED / kind / f"{name}.yaml"
    if path.suffix and path.parent == SHIPPED / kind and path.stem not in shipped(kind):
        allowed = [*shipped(kind), "or the path of a .yaml file"]
        raise _NotThere(f"{kind}: {unknown(name, allowed)}")
    shown = printable(str(path), 300)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):  # a pipe would be waited for in vain
            raise InputError(f"{shown}: not a regular file")
        if about.st_size > BIGGEST_FILE:
            raise InputError(f"{shown}: {about.st_size:,} bytes; settings take at most {BIGGEST_FILE:,}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _NotThere(f"{shown}: {error.strerror}{also_looked(path)}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: not UTF-8 (byte {error.start})") from None
    except InputError:
        raise
    except ValueError:  # a character that no path has
        raise InputError(f"{shown}: no path of a file") from None
    document = parse(text, shown)
    if not isinstance(document.data, dict):
        raise InputError(f"{shown}: expected a mapping of keys to values")
    return document
