"""Holds the order of the house: `python tests/house.py` prints every fault as file:line and fails if there is one.

It reads the imports, comparisons and names of the product's source and runs none of it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOMS = (
    "configs",
    "tasks.runtime",
    "tasks.ratings",
    "tasks.simulation",
    "tasks.survey",
    "tasks.preferences",
    "tasks.architectures",
    "tasks.methods",
    "tasks.audit",
    "tasks.generation",
    "tasks.judging",
    "tasks.effects",
    "tasks.groups",
    "tasks.meta_analysis",
    "tasks.runtime.local",
    "tasks.runtime.ray",
    "tasks.reporting",
    "tasks.planning",
    "tasks.lineage",
    "tasks.exporting",
    "tasks.starting",
    "tasks.serving",
    "tasks.doctor",
    "flows",
)
"""The rooms in their order: each imports only from itself and from those before it, inside functions too."""

METHODS, JUDGES = "tasks.methods", "tasks.judging"
PICKLERS = {
    "pickle", "_pickle", "pickletools", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve",
}  # fmt: skip
"""Libraries of which what they write runs code when it is read."""
RUNNERS = {
    "eval", "exec", "torch.save", "torch.load", "numpy.save", "numpy.savez", "numpy.savez_compressed",
    *(f"yaml.{name}{several}" for name in ("full_load", "unsafe_load") for several in ("", "_all")),
}  # fmt: skip
"""Functions that run code, or read or write what does. numpy's write pickles where they are given objects."""
PLAIN_YAML = {"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"}


@dataclass(frozen=True)
class Module:
    """A source file of the product; `name` is how it is imported."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def known(self) -> dict[str, str]:
        """What is imported, wherever in the file: the name that it has here → its full name."""
        known = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                known |= {name.asname: name.name for name in node.names if name.asname}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                known |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        return known

    def full_name(self, node: ast.AST) -> str:
        """`a.b.c` of the name or attribute, with `a` as it was imported; only the end of it for other expressions'."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id, node.id)
        return f"{self.full_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""

    @property
    def room(self) -> str | None:
        """The innermost room that the module stands in."""
        return max((room for room in ROOMS if f"{self.name}.".startswith(f"{room}.")), key=len, default=None)

    @property
    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything that is imported, wherever in the file."""
        package = self.name if self.path.stem == "__init__" else self.name.rpartition(".")[0]
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                start = ".".join([*above, *filter(None, [node.module])])
                yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


class House:
    """The product's modules below `root`, by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        for top in ("configs", "tasks", "flows"):
            for path in sorted((root / top).rglob("*.py")):
                name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
                self.modules[name] = Module(name, path)

    def faults(self) -> list[str]:
        """Every fault, as `file:line: what is wrong`, in the order of files and lines."""
        kinds = (self._rooms, self._circles, self._libraries, self._methods, self._judges, self._twins, self._code)
        faults = {fault for kind in kinds for fault in kind()}
        return [f"{path.relative_to(self.root)}:{line}: {what}" for path, line, what in sorted(faults)]

    def _twins(self) -> Iterator[tuple[Path, int, str]]:
        first: dict[str, Module] = {}
        for module in self.modules.values():
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef) and first.setdefault(node.name, module) is not module:
                    yield module.path, node.lineno, f"{first[node.name].name} has a class {node.name} too"

    def _code(self) -> Iterator[tuple[Path, int, str]]:
        """What may run code that came as data: pickles, eval and exec, YAML with tags."""
        for module in self.modules.values():
            for line, name in module.imports:
                if name.partition(".")[0] in PICKLERS:
                    yield module.path, line, f"imports {name.partition('.')[0]}; keep safetensors, JSON or Parquet"
            for node in module.nodes:
                name = module.full_name(node) if isinstance(getattr(node, "ctx", None), ast.Load) else ""
                if name in RUNNERS or name.endswith((".read_pickle", ".to_pickle")):
                    yield module.path, node.lineno, f"{name} may run code that came as data"  # type: ignore[attr-defined]
                elif isinstance(node, ast.Call):
                    yield from ((module.path, node.lineno, fault) for fault in _runs_code(module, node))

    def _imported(self, module: Module) -> Iterator[tuple[int, Module]]:
        """Line and module of what a module imports from the product."""
        for line, name in module.imports:
            target = self.modules.get(name) or self.modules.get(name.rpartition(".")[0])
            if target and target.name != "tasks":
                yield line, target

    def _rooms(self) -> Iterator[tuple[Path, int, str]]:
        for module in self.modules.values():
            if module.room is None:
                if module.name != "tasks":
                    yield module.path, 1, f"stands in no room; tests/house.py names them: {', '.join(ROOMS)}"
                continue
            for line, target in self._imported(module):
                if target.room and ROOMS.index(target.room) > ROOMS.index(module.room):
                    yield module.path, line, f"{module.room} imports {target.name}, upward"

    def _circles(self) -> Iterator[tuple[Path, int, str]]:
        """Imports over which a module comes back to itself."""
        reached: dict[str, set[str]] = {}
        for name in self.modules:
            reached[name], waiting = set(), [name]
            while waiting:
                for _, target in self._imported(self.modules[waiting.pop()]):
                    if target.name not in reached[name]:
                        reached[name].add(target.name)
                        waiting.append(target.name)
        for module in self.modules.values():
            for line, target in self._imported(module):
                if module.name in reached[target.name] or module is target:
                    yield module.path, line, f"imports {target.name}, which comes back here: a circle"

    def _libraries(self) -> Iterator[tuple[Path, int, str]]:
        for module in self.modules.values():
            orchestrates = module.room == "flows" or module.path.name == "step.py"
            for line, name in module.imports:
                library = name.partition(".")[0]
                if library == "prefect" and not orchestrates:
                    yield module.path, line, "only a step.py and flows/ import prefect"
                if library == "mlflow" and module.name != "tasks.runtime.tracking":
                    yield module.path, line, "only tasks/runtime/tracking.py imports mlflow"

    # ---- the doors: who asks a method or a judge does not ask for its name

    def _methods(self) -> Iterator[tuple[Path, int, str]]:
        names = self._method_names()
        if not names:
            yield self.root / "tasks" / "methods" / "__init__.py", 1, "no METHODS = {name: method} in this room"
        doors = tuple(f"{METHODS}.{name}" for name in names)
        for module in self._outside(METHODS):
            for line, name in _compared(module, names):
                yield module.path, line, f"asks for the method {name!r} by its name; ask the method itself"
            for node in module.nodes:
                if isinstance(node, ast.Attribute) and node.attr in names:
                    yield module.path, node.lineno, f"reads what belongs to the method {node.attr!r}; ask the method"
            for line, target in self._imported(module):
                if target.name in doors:
                    yield module.path, line, f"imports {target.name} past METHODS"

    def _method_names(self) -> set[str]:
        """The keys of METHODS, or the `name` of its methods where it is made from those."""
        names: set[str] = set()
        for module in self.modules.values():
            if module.room == METHODS:
                for node in module.nodes:
                    for target, value in _assigned(node):
                        if target == "METHODS" and isinstance(value, ast.Dict):
                            names |= {text for key in value.keys if (text := _text(key))}
                        elif target == "name" and (text := _text(value)):
                            names.add(text)
        return names

    def _judges(self) -> Iterator[tuple[Path, int, str]]:
        kinds, classes = self._judge_kinds()
        if not kinds:
            yield self.root / "configs" / "schema.py", 1, "no judge's settings with kind: Literal[…]"
        for module in self._outside(JUDGES, "configs"):
            for line, name in _compared(module, kinds):
                yield module.path, line, f"asks for the judge {name!r} by its name; ask the judge itself"
            for node in module.nodes:
                if isinstance(node, ast.Call) and _called(node) == "isinstance":
                    for name in sorted(classes & {_last(part) for part in ast.walk(node.args[1])}):
                        yield module.path, node.lineno, f"asks whether a judge is {name}; ask the judge itself"

    def _judge_kinds(self) -> tuple[set[str], set[str]]:
        """What `kind` may be in the settings of judges, and the names of the classes of these settings."""
        kinds, classes = set(), set()
        for module in self.modules.values():
            if module.room == "configs":
                for node in module.nodes:
                    if isinstance(node, ast.ClassDef) and "Judge" in node.name:
                        for line in node.body:
                            if isinstance(line, ast.AnnAssign) and _last(line.target) == "kind":
                                kinds |= {text for part in ast.walk(line.annotation) if (text := _text(part))}
                                classes.add(node.name)
        return kinds, classes

    def _outside(self, *rooms: str) -> Iterator[Module]:
        return (module for module in self.modules.values() if module.room not in rooms)


def _compared(module: Module, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name where one of `names` is compared, matched, or is the key of a table that is looked up."""
    for node in module.nodes:
        asked: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                asked += side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
        elif isinstance(node, ast.MatchValue):
            asked = [node.value]
        elif isinstance(node, ast.Subscript):
            asked = [node.slice]
        elif isinstance(node, ast.Dict):
            asked = [key for key in node.keys if key]
        elif isinstance(node, ast.Call) and _called(node) in ("get", "getattr", "startswith", "endswith"):
            asked = list(node.args)
        yield from ((node.lineno, text) for part in asked if (text := _text(part)) in names)  # type: ignore[attr-defined]


def _runs_code(module: Module, call: ast.Call) -> Iterator[str]:
    """What of a call's arguments lets it run code that came as data."""
    given = {argument.arg: argument.value for argument in call.keywords}
    for name in ("allow_pickle", "trust_remote_code"):
        if name in given and not (isinstance(given[name], ast.Constant) and not given[name].value):
            yield f"{name} may run code that came as data"
    name = module.full_name(call.func)
    if name in ("yaml.load", "yaml.load_all"):
        loader = given.get("Loader") or next(iter(call.args[1:]), None)
        if loader is None or _last(loader) not in PLAIN_YAML:
            yield f"{name} without a safe loader may run code that came as data"


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _last(node: ast.AST) -> str:
    """`c` of `c` and of `a.b.c`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _called(node: ast.Call) -> str:
    return _last(node.func)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Name and value of an assignment or a keyword argument."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(map(_last, target.elts), node.value.elts, strict=False)
            else:
                yield _last(target), node.value
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield _last(node.target), node.value
    elif isinstance(node, ast.keyword):
        yield node.arg or "", node.value


if __name__ == "__main__":
    faults = House(Path(__file__).parents[1]).faults()
    print("\n".join(faults) or "house: every import runs its way")
    sys.exit(1 if faults else 0)
