"""Random damage to what users give: `python tests/benchmarks/mutations.py [TRIALS]`; `--help` has its options.

Shipped studies and codebooks, exports (CSV, JSON, JSON Lines, Parquet, Excel), tables of effects, formulas and their
tables, and tables for `init` are damaged (bytes flipped, lines doubled, dropped and swapped, keys renamed, values and
cells replaced by hostile ones) and given to the product's own functions in this process. Each trial must end right or
with exit code 2 and a line that names a place, within ten seconds, and print nothing that a terminal would take for a
command. Prints how many trials ended how; what ended otherwise is kept in a folder of its own with what came of it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from configs.errors import InputError
from configs.load import SHIPPED, load_codebook, load_study, shipped
from flows.cli import main as pluralign
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.snapshot import Collection
from tasks.ratings.reading.load import load_ratings, narrowed

RIGHT, REFUSED = "right", "exit code 2 with a place"
NO_PLACE, TRACEBACK, SLOW, LIVE = "exit code 2 without a place", "traceback", "over ten seconds", "live text"
SECONDS = 10.0
MEMORY = 12 * 2**30
"""Bytes of address space that a run may take: who asks for more gets a MemoryError, which is a traceback."""
FORMATS = (".csv", ".json", ".jsonl", ".parquet", ".xlsx")
LIVE_CELL = re.compile(r"\s*[=+@\t\r＝＋＠]|\s*-(?![\d.]|inf|$)")
"""What a spreadsheet takes for a formula; a number below zero is none."""
Rows = list[dict[str, Any]]


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


TEXTS = [
    "", " ", "\0", "\ud800", "\u202eabc\u202c", "\u2028", "\ufeff", "e\u0301", "\x1b[31mred", "a\rb\nc", "'", '"',
    '""', "`x`", '=HYPERLINK("http://evil.test","x")', "@SUM(A1)", "+1+1", "-2+3+cmd|' /C calc'!A0", "＝1+1", "{{7*7}}",
    "{% raw %}", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\\input{/etc/passwd}", "$x^2$ & \\\\ %",
    "| a | b |", "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "~root/x", "C:\\x",
    "http://me:secret@evil.test/", "x" * 100_000, "1e999", "-1e999", "NaN", "inf", "-inf", "9" * 5000, "1_000", "0x1f",
    "1,5", "1.000,5", "-0", "1e-400", "٣", "½", "²", "true", "null", "none", "NA", "#REF!", "%s%n", "${HOME}", "(1|x)",
    "*", "#", "a;b,c\td|e", "[]", "{}", "[" * 5000, '["a", ["b"]]', '{"a": 1, "a": 2}', "2024-13-45", "2024-01-01",
    "5f3c2a1b9d8e7f6a5b4c3d2e",
]  # fmt: skip
VALUES = [
    *TEXTS, None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 10**30, 1e308, -1e308, 5e-324, 0.1, float("nan"),
    float("inf"), float("-inf"), [], {}, ["a"], {"a": 1}, {"": None}, [None], _nested(60), _nested(600),
    {"a": {"b": {"c": [1, 2]}}}, [1] * 2000, {str(n): n for n in range(2000)}, date(2024, 1, 1), datetime(1, 1, 1),
    b"\xff\0",
]  # fmt: skip
OF_YAML = [
    "&a [*a]", "*a", "&a x", "!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!binary aGk=",
    "!!set {a}", "<<: {a: 1}", "<<: [*x]", "!!omap [a: 1]", "? [a]\n: 1", "? {a: 1}\n: 2", "|", ">-", "%YAML 9.9\n---",
    "---", "...", "!!int x", "!!float x", "!<tag:evil> x", "!!timestamp x", "!!merge x", "[" * 5000, "{a: " * 60,
    "- " * 300, "yes", "No", "~", "007", "1:30", ".inf", ".nan", "1e400", "0o17", "9" * 5000, '"\\ud800"', '"\\0"',
    '"\\x1b[31m"', "“x”", "\t", "\u00a0", "[a, b: c]", "@x", "`x`", "x: y: z", "{&a a: *a}", "&k {x: &v [*k, *v]}",
]  # fmt: skip
OF_JSON = [
    "[" * 100_000, '{"a":' * 5000, "1e999", "NaN", "-Infinity", '"\\ud800"', '"\\u0000"', '{"a":1,"a":2}', "9" * 5000,
    "null", "[]", "{}", "tru", "'x'", "// x", "\ufeff", '"a"', "1", ",", ":", "]", "}",
]  # fmt: skip
OF_FORMULAS = [
    "+", "*", ":", "-", "/", "(", ")", "|", "~", "**", "^", "**9", "^99999", "`", "1", "0", "-1", ".", "C(",
    "factor(temp)", "poly(temp, 2)", "I(", "np.log(temp)", "__import__('os').system('id')", "{temp + 1}", "Q('temp')",
    "%in%", "temp", "contact", "judge", "rating", "(1|judge)", "(1|`x`)", "(temp|judge)", "(1|judge:temp)",
    "(0 + 1|judge)", "'a'", '"', "é", "\0", "\ud800", "=1+1", "\n", "\\", "[", "]", "{", "}", "@", "$", "<",
    "Intercept", "a" * 5000, "(" * 500, "temp*" * 40 + "1", "temp:" * 200 + "1", "C(" * 100, "bs(temp, df=5)",
    "contact|temp", "lambda: 1", "temp if 1 else 2",
]  # fmt: skip


# ---- damage


def damaged(content: bytes, draw: random.Random, snippets: list[str]) -> bytes:
    """The content after one to three kinds of damage at random places."""
    for _ in range(draw.randint(1, 3)):
        content = draw.choice(DAMAGE)(content, draw, snippets)
    return content


def _flip(content: bytes, draw: random.Random, _: list[str]) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _lines(content: bytes, draw: random.Random, _: list[str]) -> bytes:
    lines = content.split(b"\n")
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            lines.insert(second, lines[first])
        case 1:
            del lines[first]
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case _:
            lines[first] = b"  " * draw.randint(1, 3) + lines[first].strip()
    return b"\n".join(lines)


def _cut(content: bytes, draw: random.Random, _: list[str]) -> bytes:
    at, after = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:at] + draw.choice([b"", content[after:], content[at:after] * 2 + content[after:]])


def _insert(content: bytes, draw: random.Random, snippets: list[str]) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + _encoded(draw.choice(snippets)) + content[at:]


def _replace(content: bytes, draw: random.Random, snippets: list[str]) -> bytes:
    words = list(re.finditer(rb"[^\s,:;{}\[\]\"']+", content))
    if not words:
        return content
    word = draw.choice(words)
    return content[: word.start()] + _encoded(draw.choice(snippets)) + content[word.end() :]


DAMAGE: list[Callable[[bytes, random.Random, list[str]], bytes]] = [
    _flip,
    _lines,
    _lines,
    _cut,
    _insert,
    _replace,
    _replace,
]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _changed(data: Any, draw: random.Random) -> Any:
    """Settings with a value replaced, a key renamed, an item doubled or a part moved elsewhere."""
    places = list(_places(data))
    parent, key = draw.choice(places)
    match draw.randrange(6):
        case 0 if isinstance(parent, dict):
            parent[draw.choice([key[:-1], key.upper(), f"{key} ", *TEXTS])] = parent.pop(key)
        case 1:
            del parent[key]
        case 2:
            other, at = draw.choice(places)
            with contextlib.suppress(KeyError, IndexError):
                parent[key] = other[at]
        case 3 if isinstance(parent, list):
            parent.append(parent[key])
        case _:
            parent[key] = draw.choice(VALUES)
    return data


def _places(data: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    for key in list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield data, key
        if depth < 12:
            yield from _places(data[key], depth + 1)


def hostile_yaml(text: str, draw: random.Random) -> bytes:
    """A settings file after damage to its text or to what it says."""
    if draw.random() < 0.5:
        return damaged(text.encode(), draw, [*OF_YAML, *TEXTS])
    data = yaml.safe_load(text)
    for _ in range(draw.randint(1, 3)):
        if data:
            data = _changed(data, draw)
    try:
        return _encoded(yaml.safe_dump(data, sort_keys=False, allow_unicode=draw.random() < 0.5))
    except (yaml.YAMLError, RecursionError, ValueError, AttributeError):  # what went in can't be said in YAML
        return damaged(text.encode(), draw, OF_YAML)


def hostile_table(path: Path, rows: Rows, draw: random.Random) -> None:
    """Write rows in the format of a file's name, after damage to cells, columns, rows and bytes."""
    rows = [dict(row) for row in rows]
    for _ in range(draw.randint(0, 3)):
        row, names = draw.choice(rows), list(rows[0])
        name = draw.choice(names)
        match draw.randrange(8):
            case 0:
                new = draw.choice([*TEXTS, *names, name.upper(), f" {name}"])
                rows = [{new if key == name else key: value for key, value in one.items()} for one in rows]
            case 1 if len(names) > 1:
                rows = [{key: value for key, value in one.items() if key != name} for one in rows]
            case 2:
                rows.append(dict(row))
            case 3 if len(rows) > 1:
                rows.remove(row)
            case 4:
                value = draw.choice(VALUES)
                rows = [one | {name: value} for one in rows]
            case _:
                row[name] = draw.choice(VALUES)
    content = WRITERS[path.suffix](rows, draw)
    snippets = OF_JSON + TEXTS if path.suffix.startswith(".json") else [*TEXTS, '"', ",", ";", "\n", "\r", "\t", "\0"]
    odds = {".parquet": 0.3, ".xlsx": 0.1}.get(path.suffix, 0.6)
    path.write_bytes(damaged(content, draw, snippets) if draw.random() < odds else content)


def _csv(rows: Rows, draw: random.Random) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=draw.choice(",,,;\t|"), lineterminator=draw.choice(["\n", "\n", "\r\n", "\r"]))
    writer.writerow(rows[0])
    writer.writerows([["" if value is None else str(value) for value in row.values()] for row in rows])
    return draw.choice([b"", b"", b"\xef\xbb\xbf"]) + _encoded(text.getvalue())


def _json(rows: Rows, draw: random.Random) -> bytes:
    named = {str(n): row for n, row in enumerate(rows)}
    return _encoded(json.dumps(draw.choice([rows, rows, named]), default=str, ensure_ascii=draw.random() < 0.5))


def _json_lines(rows: Rows, draw: random.Random) -> bytes:
    ascii = draw.random() < 0.5
    return b"".join(_encoded(json.dumps(row, default=str, ensure_ascii=ascii)) + b"\n" for row in rows)


KINDS_OF_COLUMNS: list[Callable[[list[Any]], pa.Array]] = [
    lambda cells: pa.nulls(len(cells), pa.string()),
    lambda cells: pa.array(list(map(_as_bytes, cells)), pa.binary()),
    lambda cells: pa.array(list(map(_as_text, cells))).dictionary_encode(),
    lambda cells: pa.array([[_as_text(cell)] for cell in cells]),
    lambda cells: pa.array([{"a": _as_text(cell), "b": None} for cell in cells]),
    lambda cells: pa.array([[("a", _as_text(cell))] for cell in cells], pa.map_(pa.string(), pa.string())),
    lambda cells: pa.array([Decimal(n) / 3 for n in range(len(cells))], pa.decimal128(38, 30), safe=False),
    lambda cells: pa.array([2**62] * len(cells)).cast(pa.timestamp("ns")),
    lambda cells: pa.array([2**62] * len(cells)).cast(pa.timestamp("s")),
    lambda cells: pa.array([timedelta(days=n) for n in range(len(cells))]),
    lambda cells: pa.array([2**64 - 1] * len(cells), pa.uint64()),
    lambda cells: pa.array([n % 2 == 0 for n in range(len(cells))]),
    lambda cells: pa.array([2**31 - 1] * len(cells), pa.int32()).cast(pa.date32()),
    lambda cells: pa.array([float("nan")] * len(cells), pa.float32()),
    lambda cells: pa.array(list(map(_as_bytes, cells)), pa.binary()).view(pa.string()),
]
"""Columns of Parquet that hold a column's cells, or others, in a type that no table of ratings has."""


def _as_bytes(cell: Any) -> bytes:
    return cell if isinstance(cell, bytes) else _encoded(str(cell))


def _as_text(cell: Any) -> str:
    return str(cell).encode(errors="replace").decode()


def _parquet(rows: Rows, draw: random.Random) -> bytes:
    odd = draw.choice(list(rows[0])) if draw.random() < 0.4 else None
    arrays = []
    for name in rows[0]:
        cells = [row.get(name) for row in rows]
        try:
            arrays.append(draw.choice(KINDS_OF_COLUMNS)(cells) if name == odd else pa.array(cells))
        except (pa.ArrowException, ValueError, OverflowError, TypeError):
            arrays.append(pa.array(list(map(_as_text, cells))))
    file = io.BytesIO()
    names = [_as_text(name) for name in rows[0]]
    try:
        pq.write_table(pa.table(arrays, names=names), file)
    except (pa.ArrowException, RecursionError):
        pq.write_table(
            pa.table([pa.array([_as_text(row.get(name)) for row in rows]) for name in rows[0]], names=names), file
        )
    return file.getvalue()


def _excel(rows: Rows, draw: random.Random) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
        book.active.append([_as_cell(cell) for cell in cells])
    book.save(file)
    return file.getvalue() if draw.random() < 0.5 else _damaged_zip(file.getvalue(), draw)


def _as_cell(cell: Any) -> Any:
    if isinstance(cell, (bool, int, date)) or cell is None or (isinstance(cell, float) and cell == cell):
        return cell if not isinstance(cell, date) or cell.year > 1900 else str(cell)
    return ILLEGAL_CHARACTERS_RE.sub("", _as_text(cell))[:32_000]


def _damaged_zip(content: bytes, draw: random.Random) -> bytes:
    """A ZIP with one of its members damaged."""
    source, file = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    chosen = draw.choice(
        [name for name in source.namelist() if "sheet" in name or draw.random() < 0.3] or source.namelist()
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            member = source.read(name)
            target.writestr(name, damaged(member, draw, TEXTS) if name == chosen else member)
    return file.getvalue()


WRITERS = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet, ".xlsx": _excel}


# ---- what is tried: a folder and a source of chance → the exit code


def _study(folder: Path, draw: random.Random) -> int:
    text = (SHIPPED / "studies" / f"{draw.choice(shipped('studies'))}.yaml").read_text()
    (folder / "study.yaml").write_bytes(hostile_yaml(text, draw))
    study = load_study(str(folder / "study.yaml"))
    for name in (study.name, study.ratings.collection, *(one.name for one in study.architectures)):
        assert name is None or not ({"/", "\\", ".."} & {name, *name}), f"a name that leads elsewhere: {name!r}"
    return 0


def _codebook(folder: Path, draw: random.Random) -> int:
    text = (SHIPPED / "codebooks" / f"{draw.choice(shipped('codebooks'))}.yaml").read_text()
    (folder / "book.yaml").write_bytes(hostile_yaml(text, draw))
    for file in load_codebook(str(folder / "book.yaml")).files:
        assert not {"..", "/"} & set(Path(file).parts), f"a file that lies elsewhere: {file!r}"
    return 0


def _export(folder: Path, draw: random.Random) -> int:
    """An export is read, and landed."""
    suffix, book = draw.choice(FORMATS), narrowed(load_codebook("survey-app-en"), ["toxicity", "emotional-awareness"])
    parts = {}
    hit = draw.randrange(3)
    for number, (name, rows) in enumerate(EXPORT.items()):
        table = getattr(book, name)
        file = Path(table.file).with_suffix(suffix if number == hit else ".csv")
        parts[name] = table.model_copy(update={"file": file.name})
        if number == hit:
            hostile_table(folder / file.name, rows, draw)
        else:
            (folder / file.name).write_bytes(_csv(rows, random.Random(0)))
    book = book.model_copy(update=parts)
    refused = None
    try:
        load_ratings(list(book.ratings.dimensions), [book], folder)
    except InputError as error:
        refused = error
    landing = land(Collection(folder / "landed"), [folder], [book], b"a key that is long enough")
    for line in landing.rows:
        assert line["read"] == sum(line[what] for what in ("kept", "repeated", "rejected", "dropped")), (
            f"a row is lost: {line}"
        )
    if refused:
        raise refused
    return 0


EXPORT: dict[str, Rows] = {
    "ratings": [
        {"participant_id": f"p-{n % 4}", "prompt_id": f"r{n // 4}", "question_id": "q1", "rating_toxicity": toxicity,
         "rating_emotional_awareness": "neutral"}
        for n, toxicity in enumerate(["agree", "disagree", "neutral", "strongly agree"] * 3)
    ],
    "participants": [
        {"participant_id": f"p-{n}", "age": "18-30", "gender_identity": "she/her/hers", "ethnicity": '["White"]',
         "country_of_residence": '["Germany"]', "political_spectrum": "Liberal"}
        for n in range(4)
    ],
    "responses": [
        {"prompt_id": f"r{n}", "question_id": "q1", "prompt": "a question", "response": f"a text {n}"} for n in range(3)
    ],
}  # fmt: skip


def _effects(folder: Path, draw: random.Random) -> int:
    file = folder / f"effects{draw.choice(FORMATS)}"
    rows = [
        {"contrast": f"c{n // 4}", "study": f"s{n}", "estimate": round(draw.gauss(0.1, 0.3), 3),
         "std_error": round(draw.uniform(0.05, 0.3), 3)}
        for n in range(12)
    ]  # fmt: skip
    hostile_table(file, rows, draw) if draw.random() < 0.9 else file.write_bytes(WRITERS[file.suffix](rows, draw))
    options = draw.sample(
        [["--by", "contrast"], ["--method", draw.choice(["fixed", "reml", "pm"])], ["--label", "study"],
         ["--tau-scale", "0.2"], ["--shares", "study"],
         ["--by", draw.choice(TEXTS[5:])[:999]], ["--estimate", draw.choice(TEXTS[5:])[:999]]],
        draw.choice([0, 1, 1, 2]),
    )  # fmt: skip
    if draw.random() < 0.05:
        options.append(["--output", str(folder / "out"), "--figures", "2"])
    return pluralign(["meta", str(file), *(part for option in options for part in option)])


def _formula(folder: Path, draw: random.Random) -> int:
    file = folder / f"table{draw.choice(FORMATS)}"
    rows = [
        {"rating": draw.randint(1, 5), "temp": draw.choice(["cold", "warm"]), "contact": draw.choice(["no", "yes"]),
         "age": draw.randint(18, 80), "judge": f"j{n % 9}"}
        for n in range(72)
    ]  # fmt: skip
    formula = draw.choice(FORMULAS)
    if draw.random() < 0.4:
        hostile_table(file, rows, draw)
    else:
        file.write_bytes(WRITERS[file.suffix](rows, random.Random(0)))
        for _ in range(draw.randint(1, 3)):
            at, after = sorted((draw.randrange(len(formula) + 1), draw.randrange(len(formula) + 1)))
            formula = formula[:at] + draw.choice(OF_FORMULAS) + formula[draw.choice([at, at, after]) :]
    return pluralign(["clmm", str(file), f" {formula}"])  # a formula that begins with - is no option


FORMULAS = [
    "rating ~ temp + contact + (1|judge)",
    "rating ~ temp*contact",
    "rating ~ age + C(temp)",
    "rating ~ (1|judge)",
]


def _init(folder: Path, draw: random.Random) -> int:
    file = folder / f"table{draw.choice(FORMATS)}"
    rows = [
        {"participant": f"p{n % 8}", "gender": ["woman", "man"][n % 2], "prompt": f"what is {n // 16}?",
         "response": f"an answer {n // 8}", "toxicity": draw.randint(1, 5)}
        for n in range(64)
    ]  # fmt: skip
    hostile_table(file, rows, draw)
    code = pluralign(["init", str(file), "--output", str(folder / "made"), *draw.choice([[], ["--survey"]])])
    if code == 0:
        load_study(str(folder / "made" / "study.yaml"))
        load_codebook(str(folder / "made" / "codebook.yaml"))
    return code


TRIALS: dict[str, tuple[float, Callable[[Path, random.Random], int]]] = {
    "study": (0.25, _study), "codebook": (0.15, _codebook), "export": (0.2, _export), "effects": (0.15, _effects),
    "formula": (0.15, _formula), "init": (0.1, _init),
}  # fmt: skip
"""Kind → its share of the trials, and how it is done."""


# ---- how it ends


class TooLong(BaseException):
    """A trial was at work for `SECONDS`."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended, what was said, and how long it took."""

    what: str
    said: str
    seconds: float

    @property
    def good(self) -> bool:
        return self.what in (RIGHT, REFUSED)


def trial(kind: str, seed: int, folder: Path) -> Ending:
    """One trial in an empty folder; the same seed gives the same trial. What is slow is tried once more, since the
    machine may have been busy with something else."""
    ending = _once(kind, seed, folder)
    if ending.what != SLOW:
        return ending
    shutil.rmtree(folder)
    folder.mkdir()
    return _once(kind, seed, folder)


def _once(kind: str, seed: int, folder: Path) -> Ending:
    draw = random.Random(f"{kind} {seed}")
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", how) for how in ("strict", "backslashreplace"))
    started, before = time.perf_counter(), signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), warnings.catch_warnings():
            code = TRIALS[kind][1](folder, draw)
            out.flush()
        what, said = "", ""
    except InputError as error:
        code, what, said = 2, "", str(error)
    except SystemExit as error:
        code, what, said = int(error.code or 0), "", "--"
    except TooLong:
        code, what, said = 1, SLOW, traceback.format_exc()
    except BaseException:
        code, what, said = 1, TRACEBACK, traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    seconds = time.perf_counter() - started
    said += "".join(_written(stream) for stream in (out, errors))
    what = what or (SLOW if seconds > SECONDS else _judged(kind, code, said, folder))
    return Ending(what, said, seconds)


def _too_long(*_: object) -> None:
    raise TooLong


def _written(stream: io.TextIOWrapper) -> str:
    with contextlib.suppress(UnicodeError):
        stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def _judged(kind: str, code: int, said: str, folder: Path) -> str:
    """How a trial that ended by itself counts."""
    if code not in (0, 2, 3) and not (kind == "formula" and "NOT CONVERGED" in said):
        return TRACEBACK
    if re.search(r"[\0-\x08\x0b-\x1f\x7f\u202a-\u202e]", said) or _live_cells(folder):
        return LIVE
    columns = (name for rows in EXPORT.values() for name in rows[0])
    studies = (f"{name}: line" for name in shipped("studies"))
    places = (folder.name, "formula", "--", "reference", "df_", *columns, *studies)
    return NO_PLACE if code == 2 and not any(place in said for place in places) else REFUSED if code == 2 else RIGHT


def _live_cells(folder: Path) -> list[str]:
    """Cells of tables for people that a spreadsheet would run."""
    tables = [*folder.glob("out/**/*.csv"), *folder.glob("landed/**/*.csv")]
    cells = [cell for table in tables for line in csv.reader(table.open(newline="", encoding="utf-8")) for cell in line]
    return [cell for cell in cells if LIVE_CELL.match(cell)]


# ---- many


def main() -> int:
    """Print how the trials ended; 1 where one did not end well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("trials", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial")
    parser.add_argument("--kind", choices=TRIALS, nargs="+", default=list(TRIALS))
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()) / "mutations", help="where faults are kept"
    )
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    whole = sum(TRIALS[kind][0] for kind in options.kind)
    endings: dict[str, Counter[str]] = {}
    longest: dict[str, float] = {}
    for kind in options.kind:
        count = endings[kind] = Counter[str]()
        for seed in range(options.seed, options.seed + round(options.trials * TRIALS[kind][0] / whole)):
            with tempfile.TemporaryDirectory(prefix="mutated-") as name:
                ending = trial(kind, seed, Path(name))
                longest[kind] = max(longest.get(kind, 0.0), ending.seconds)
                count[ending.what] += 1
                if not ending.good:
                    place = options.keep / f"{kind}-{seed}"
                    shutil.rmtree(place, ignore_errors=True)
                    shutil.copytree(name, place, symlinks=True)
                    (place / "ENDING.txt").write_text(f"{ending.what}\n{ending.said}", errors="backslashreplace")
                    print(f"{place}: {ending.what}: {ending.said.strip()[-300:]!a}", flush=True)
        print(f"{kind}: {dict(count)}, the longest {longest[kind]:.1f} s", flush=True)
    total = sum(endings.values(), Counter[str]())
    print(f"all {sum(total.values()):,}: {dict(total)}")
    return int(set(total) - {RIGHT, REFUSED} != set())


if __name__ == "__main__":
    sys.exit(main())
