"""Read YAML safely, keep what stands in the file beside what YAML makes of it, and say what to type instead."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from configs.errors import Place, printable, short, together

MOST_NODES, DEEPEST = 100_000, 50
TAG = "tag:yaml.org,2002:"
CURLY = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"
"""Quotes that YAML takes for letters."""
ODD_BLANKS = "\t\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000"
GLUED = re.compile(r"^\s*(?:- )*(?P<key>[\w.-]+):(?P<value>[^\s/].*)$")
"""A key and its value without a blank between them; no address, whose colon is followed by slashes."""


def reading(value: object) -> str:
    """What YAML takes a plain text for: "the truth value false"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, datetime.datetime):
        return f"the time {value}"
    if isinstance(value, datetime.date):
        return f"the date {value}"
    return f"the number {short(value)}"


def quoted(text: str) -> str:
    """A text as YAML reads it as a text: in double quotes."""
    return '"' + printable(text).replace('"', "'") + '"'


@dataclass(frozen=True)
class Spot:
    """Where a value stands in a document: its line, counted from 1, and the texts of its key and of itself.

    A list, a mapping and what stands in quotes have no text. `depth`: how many parts of the place that was looked for
    lead to it.
    """

    depth: int
    line: int | None = None
    key: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Document:
    """What a text says, and where in it."""

    data: Any
    root: yaml.Node | None
    keys: dict[int, Any]
    """Id of a key's node → the key."""
    _pairs: dict[int, dict[Any, tuple[yaml.Node, yaml.Node]]] = field(default_factory=dict, repr=False, compare=False)
    """Id of a mapping's node → its nodes of key and value by the key and by its text; made when it is looked into."""

    def find(self, place: Place) -> Spot:
        """The value at a place, or what is nearest above it."""
        node, key_node = self.root, None
        for depth, part in enumerate(place):
            below = self._below(node, part)
            if below is None:
                return _spot(depth, key_node, node)
            key_node, node = below
        return _spot(len(place), key_node, node)

    def _below(self, node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
        if isinstance(node, yaml.MappingNode):
            if id(node) not in self._pairs:
                both = [(name, pair) for pair in node.value for name in (self.keys.get(id(pair[0])), pair[0].value)]
                self._pairs[id(node)] = dict(both)
            return self._pairs[id(node)].get(part)
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            return None, node.value[part]
        return None

    def doubts(self) -> Iterator[tuple[Place, str]]:
        """Values that YAML reads without complaint as what hardly anybody means, with what to type instead."""
        for place, key, value in self._scalars():
            for node in (key, value):
                if node is not None and (text := _doubt(node)):
                    yield place, text

    def truth_values(self) -> Iterator[tuple[Place, str]]:
        """Places of truth values, with their texts."""
        for place, _, value in self._scalars():
            if value is not None and value.tag == f"{TAG}bool":
                yield place, value.value

    def _scalars(self) -> Iterator[tuple[Place, yaml.ScalarNode | None, yaml.ScalarNode | None]]:
        """Each place with its key and its value, where these are no lists or mappings; what aliases repeat, once."""
        seen = set[int]()
        waiting: list[tuple[Place, yaml.Node | None, yaml.Node | None]] = [((), None, self.root)]
        while waiting:
            place, key, node = waiting.pop()
            yield place, _scalar(key), _scalar(node)
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                waiting += [((*place, number), None, item) for number, item in enumerate(node.value)]
            elif isinstance(node, yaml.MappingNode):
                waiting += [((*place, self.keys.get(id(own), own.value)), own, value) for own, value in node.value]


def _spot(depth: int, key: yaml.Node | None, node: yaml.Node | None) -> Spot:
    marked = key or node
    line = marked.start_mark.line + 1 if depth and marked else None
    return Spot(depth, line, _plain_text(key), _plain_text(node))


def _plain_text(node: yaml.Node | None) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) and node.style is None else None


def _scalar(node: yaml.Node | None) -> yaml.ScalarNode | None:
    return node if isinstance(node, yaml.ScalarNode) else None


def _curly(text: str) -> bool:
    return len(text) > 1 and text[0] in CURLY and text[-1] in CURLY


def _curly_doubt(text: str) -> str:
    meant = f"{quoted(text[1:-1])}, or {quoted(text)} if they are meant"
    return f"{printable(text)}: curly quotes are letters to YAML; write {meant}"


def _doubt(node: yaml.ScalarNode) -> str | None:
    if node.style is not None:
        return None
    text = node.value
    if node.tag == f"{TAG}str" and _curly(text):
        return _curly_doubt(text)
    if node.tag not in (f"{TAG}int", f"{TAG}float"):
        return None
    digits = text.lstrip("+-").replace("_", "")
    if ":" in text or (digits.isdigit() and len(digits) > 1 and digits.startswith("0")):
        number = yaml.SafeLoader("").construct_object(yaml.ScalarNode(node.tag, text))
        decimal = f", {int(digits)}" if digits.isdigit() and int(digits) != abs(number) else ""
        meant = f"{short(number)}{decimal} or {quoted(text)}, whichever is meant"
        return f"{printable(text)}: YAML reads {reading(number)}; write {meant}"
    return None


def parse(text: str, place: str) -> Document:
    """What a YAML text says. Raises `InputError` with its faults, each a line that begins with `place`."""
    told: list[str] = []
    faults: list[yaml.YAMLError] = []
    keys: dict[int, Any] = {}
    root = data = None
    try:
        loader = _Loader(text, faults, keys)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except RecursionError:
        told = ["nested too deeply"]
    except yaml.YAMLError as error:
        faults.append(error)
    told += [_told(fault, text) for fault in faults]
    if told:
        raise together(place, [f"{place}: {fault}" for fault in told])
    return Document(data, root, keys)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where plain YAML silently keeps the last, and what is no sane file.

    Aliases are one object however often they stand, but whoever walks them meets each anew: their number counts
    expanded. `faults`: what is wrong with keys and values, while the rest is read on. `keys`: as in `Document`.
    """

    def __init__(self, text: str, faults: list[yaml.YAMLError], keys: dict[int, Any]) -> None:
        self.faults, self.keys = faults, keys
        super().__init__(text)

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        _expanded_size(node, {}, 0)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[tuple[type, Any], int] = {}
        for node_of_key, _ in node.value:
            if node_of_key.tag == f"{TAG}merge":
                continue
            key = self.keys[id(node_of_key)] = self.construct_object(node_of_key, deep=True)
            if not isinstance(node_of_key, yaml.ScalarNode):
                raise _fault_at(node_of_key, "a key must be a text, not a list or a mapping")
            if first := lines.get((type(key), key)):
                self.faults.append(_fault_at(node_of_key, f"key {short(key)} stands twice (first in line {first})"))
            elif isinstance(key, str) and re.match(f"[{ODD_BLANKS}]", key) and node_of_key.style is None:
                self.faults.append(_fault_at(node_of_key, f"{_blank_name(key[0])}; indent with plain blanks"))
            lines.setdefault((type(key), key), node_of_key.start_mark.line + 1)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.constructor.ConstructorError as error:
            if not isinstance(node, yaml.ScalarNode) or error.problem_mark is not node.start_mark:
                raise
            self.faults.append(error)
        except (ValueError, OverflowError) as error:  # a date in a 13th month, a number of 5,000 digits
            problem = f"{short(node.value)} can't be read: {error}; quote it if it is a text"
            self.faults.append(_fault_at(node, problem))
        except (AttributeError, LookupError, TypeError):  # a text that is tagged as a time, a truth value or a number
            problem = f"{short(node.value)} can't be read as {node.tag.removeprefix(TAG)}; quote it if it is a text"
            self.faults.append(_fault_at(node, problem))
        self.recursive_objects.pop(node, None)
        return self.constructed_objects.setdefault(node, str(node.value))


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


# ---- what to type instead


def _told(error: yaml.YAMLError, text: str) -> str:
    """Line, column, what is wrong, and what to type where that can be guessed."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark, problem = error.problem_mark, " ".join(str(error.problem or error).split())
    line, column, hint = _guess(error, problem, text.splitlines())
    shown = hint or printable(problem, 300)
    return f"line {line or mark.line + 1}, column {column or mark.column + 1}: {shown}"


def _guess(error: yaml.MarkedYAMLError, problem: str, lines: list[str]) -> tuple[int | None, int | None, str]:
    """Line and column of the cause where they are not those of the error, and what to do, or ""."""
    mark, opened = error.problem_mark, error.context_mark
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    rest = line[mark.column :] if mark else ""
    if problem.startswith("found character") and mark and rest.startswith("\t"):
        return None, None, "a tab; indent with plain blanks"
    if indent := re.match(f" *([{ODD_BLANKS}])", line):
        return None, indent.start(1) + 1, f"{_blank_name(indent[1])}; indent with plain blanks"
    if problem == "found unexpected end of stream" and opened:
        return opened.line + 1, opened.column + 1, "the quote that opens here is not closed"
    if problem == "could not find expected ':'" and opened and opened.line < len(lines):
        cause = lines[opened.line]
        if glued := GLUED.match(cause):
            write = f"{glued['key']}: {_open(glued['value'])}"
            return opened.line + 1, glued.start("value") + 1, f"a blank is missing after the colon; write {write}"
        return opened.line + 1, opened.column + 1, f"{_open(cause.strip())}: a key without a colon"
    if problem == "mapping values are not allowed here":
        return None, None, f'{problem}: a text with ": " in it needs quotes, and a key a line of its own'
    begins = problem.startswith(_BEGINS)
    if error.context in _STARTS and opened and opened.line < len(lines):
        rest = lines[opened.line][opened.column :]
    if rest[:1] and rest[0] in "%@`*&!|>,?-" and (begins or error.context in _STARTS):
        plain = re.split(r"\s#|, |[\]}]+(?:,|\s|$)", rest.strip())[0].strip() or rest[0]
        return None, None, f"{printable(problem, 200)}; a text that begins with {rest[0]} needs quotes: {quoted(plain)}"
    if error.context in _OPENING and opened:
        bracket = "[" if "sequence" in str(error.context) else "{"
        where = f"the {bracket} of line {opened.line + 1}, column {opened.column + 1}, is not closed before this"
        return None, None, f"{printable(problem, 200)}; {where}"
    if problem.startswith("found unknown escape character"):
        return None, None, f"{printable(problem)}: in double quotes a backslash is written twice, or use single quotes"
    if problem.startswith("expected <block end>"):
        quotes = line[: mark.column].rstrip().endswith(("'", '"')) if mark else False
        cause = (
            "a quote within quotes? write the whole text in the other kind of quotes"
            if quotes
            else "does the line begin in the same column as the keys beside it?"
        )
        return None, None, f"{printable(problem)}; {cause}"
    return None, None, ""


def _open(text: str) -> str:
    """What may be shown of a line: not what may be an address with a password in it."""
    return "…" if "@" in text else printable(text)


_BEGINS = (
    "found character",
    "found undefined alias",
    "could not determine a constructor",
    "sequence entries are not allowed",
)
_STARTS = (
    "while scanning an alias",
    "while scanning an anchor",
    "while scanning a tag",
    "while scanning a block scalar",
    "while scanning a directive",
    "while parsing a block node",
)
_OPENING = ("while parsing a flow sequence", "while parsing a flow mapping")


def _blank_name(blank: str) -> str:
    return "a tab" if blank == "\t" else f"a blank that is not a plain one (U+{ord(blank):04X})"
