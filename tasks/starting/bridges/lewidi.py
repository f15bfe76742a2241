"""LeWiDi: the data sets of the shared tasks on learning with disagreements, of 2023 and 2025, in their common JSON.

A file is an object of items. An item has `annotators` ("Ann1,Ann2"), `annotations` (2023: "0,1"; 2025: {"Ann1": "0"}),
`annotation task`, `text` (a text, or an object of parts; ConvAbuse has the object as a text), `lang`, `split`, and
`other_info`. 2025 has annotators' answers about themselves in `…_annotators_meta.json`, by annotator; MultiPICo writes
"0" there for Ann0. 2023 has groups of annotators in `other_info`, in the order of the annotators. Source:
LeWiDi_2-2023/readme.md and LeWiDi_3-2025/readme.md of Le-Wi-Di/le-wi-di.github.io, and the files beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import takewhile
from typing import Any, NamedTuple

from configs.codebook import normal, tidy
from tasks.ratings.reading.formats import KEY
from tasks.ratings.reading.shape import ABSENT, resolve
from tasks.starting.bridges.exported import NOT_DECLARED, attributes_of, language_of, not_read, rows_of, slugs, texts
from tasks.starting.draft import Draft, UserTable

COLUMNS = {KEY, "annotators", "annotations", "annotation task", "text"}
PARTS = (("context", "response"), ("post", "reply"), ("Question1", "Question2"), ("context", "statement"))
PARTS_OF_CONVERSATIONS = ("agent", "user")
"""ConvAbuse: what the chatbot said last, and what the person said then, which is rated."""
META = {
    "age": "Age",
    "gender": "Gender",
    "nationality": "Nationality",
    "education": "Education",
    "ethnicity": "Ethnicity simplified",
    "country-of-birth": "Country of birth",
    "country": "Country of residence",
    "student": "Student status",
    "employment": "Employment status",
}
GROUPS = ("Annotators_group", "Annotators group")
LANGUAGES = {"English": "en", "Arabic": "ar"}
ENTAILMENT = {"contradiction": 1, "neutral": 2, "entailment": 3}


class Task(NamedTuple):
    """scale: the lowest and highest label; None where labels are words. better: as in `Draft`, where it is plain."""

    dimension: str
    scale: tuple[int, int] | None
    better: str = ""


TASKS = {
    "sarcasm detection": Task("sarcasm", (1, 6)),
    "irony detection": Task("irony", (0, 1)),
    "paraphrase detection": Task("paraphrase", (-5, 5)),
    "natural language inference": Task("entailment", None),
    "abusive language detection": Task("acceptability", (-3, 1), "higher"),
    "offensiveness detection": Task("offensiveness", (0, 1), "lower"),
    "hate speech detection": Task("hate-speech", (0, 1), "lower"),
    "misogyny and sexism detection": Task("misogyny", (0, 1), "lower"),
}


class LeWiDi:
    title = "LeWiDi"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        items = [table for table in tables if set(table.rows.names) >= COLUMNS]
        if not items:
            return None
        first, others = items[0], [table for table in tables if all(table is not item for item in items)]
        file = {"file": _pattern([item.name for item in items], [table.name for table in others]) or first.name}
        read = items if file["file"] != first.name or len(items) == 1 else [first]
        named = {tidy(text) for table in read for (text,) in texts(table, rows_of(table), "annotation task")}
        task = _task(named)
        rows, ratings, unclear = _rows(read, file, task)
        split = all("split" in table.rows.names for table in read)
        response = ["split", KEY] if split else KEY
        codebook: dict[str, Any] = {"source": "LeWiDi", "ratings": rows | {"response": response} | ratings}
        codebook["responses"] = file | {"response": response} | _texts(first)
        people, used = _participants(read, rows, ratings["participant"], others)
        codebook |= {"participants": people} if people else {}
        language, several = language_of(read, "lang")
        unclear += several
        if not task.better:
            unclear += (f"whether more {task.dimension} is better is for you to say",)
        return Draft(
            codebook,
            better={task.dimension: task.better} if task.better else {},
            titles={task.dimension: task.dimension.replace("-", " ").capitalize()},
            language=LANGUAGES.get(language, language),
            assumed=not_read(tables, [*read, *used]),
            unclear=unclear,
        )


def _task(named: set[str]) -> Task:
    """The task by its name; where it is another, or there are several, labels are left to be looked at."""
    known = [task for name, task in TASKS.items() if any(normal(one).startswith(name) for one in named)]
    if len(named) == 1 and known:
        return known[0]
    return Task(next(iter(slugs(sorted(named)).values()), "rating"), None)


def _rows(
    tables: Sequence[UserTable], file: dict[str, Any], task: Task
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """The shape of the ratings' table, its other keys, and what is unclear."""
    if _by_annotator(tables[0]):
        rows, participant = file | {"each": ["annotations"]}, f"annotations.{KEY}"
    else:
        lists = ["annotators", "annotations"]
        rows, participant = file | {"each": [lists], "separators": dict.fromkeys(lists, ",")}, "annotators"
    ratings: dict[str, Any] = {"participant": participant, "dimensions": {task.dimension: "annotations"}}
    if task.scale:
        low, high = task.scale
        return rows, ratings | {"numbers": {"low": low, "high": high}}, ()
    labels = {tidy(text) for table in tables for (text,) in texts(table, rows, "annotations")} - {""}
    if not {normal(label) for label in labels} & set(ENTAILMENT):
        return rows, ratings, ()
    several = sorted(label for label in labels if normal(label) not in ENTAILMENT)
    left_out = (f"annotations of several labels count as no answer: {', '.join(several)}",) if several else ()
    ordered = "the labels contradiction, neutral, entailment are taken for a scale, which they need not be"
    return rows, ratings | {"labels": ENTAILMENT, "missing": several}, (ordered, *left_out)


def _by_annotator(table: UserTable) -> bool:
    place = table.rows.names.index("annotations")
    return any(isinstance(values[place], dict) for values in table.rows.values)


def _texts(table: UserTable) -> dict[str, str]:
    """Where a response's text and its prompt's are."""
    record = dict(zip(table.rows.names, table.rows.values[0], strict=True)) if table.rows.values else {}
    for prompt, response in (*PARTS, PARTS_OF_CONVERSATIONS):
        if all(resolve(record, f"text.{part}") is not ABSENT for part in (prompt, response)):
            return {"prompt_text": f"text.{prompt}", "response_text": f"text.{response}"}
    return {"response_text": "text"}


def _participants(
    read: Sequence[UserTable], rows: dict[str, Any], annotator: str, others: Sequence[UserTable]
) -> tuple[dict[str, Any], list[UserTable]]:
    """The participants' table and the files that it comes from; empty where nobody says who they are."""
    raters = {name for table in read for (name,) in texts(table, rows, annotator)}
    for table in others:
        if KEY not in table.rows.names or not {"Age", "Gender"} & set(table.rows.names):
            continue
        keys = {name for (name,) in texts(table, rows_of(table), KEY)}
        for participant, ids in ((KEY, keys), (f"Ann{KEY}", {f"Ann{key}" for key in keys})):
            if raters & ids:
                named = {"participant": participant, "not_declared": [*NOT_DECLARED]}
                columns = {name: column for name, column in META.items() if column in table.rows.names}
                return rows_of(table) | named | {"attributes": attributes_of(table, columns)}, [table]
    for name in GROUPS:
        group = f"other_info.{name}"
        lists: dict[str, Any] = {
            "each": [["annotators", group]],
            "separators": {"annotators": ",", group: ","},
        }
        if all(tidy(text) for table in read for (text,) in texts(table, rows_of(table), group)):
            of_groups: dict[str, Any] = {"participant": "annotators", "attributes": {"group": {"column": group}}}
            return {"file": rows["file"]} | lists | of_groups, []
    return {}, []


def _pattern(names: Sequence[str], others: Sequence[str]) -> str:
    """A pattern that all of the names fit and none of the others; empty where there is none."""
    if len(names) == 1:
        return names[0]
    start, end = _same_start(names), _same_start([name[::-1] for name in names])[::-1]
    letters = "".join(sorted({name[len(start)] for name in names if len(name) > len(start)}))
    for pattern in (f"{start}*{end}", f"{start}[{letters}]*{end}"):
        if all(fnmatch(name, pattern) for name in names) and not any(fnmatch(name, pattern) for name in others):
            return pattern if not any(letter in start + end for letter in "*?[") else ""
    return ""


def _same_start(names: Sequence[str]) -> str:
    together = zip(*names, strict=False)
    return "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, together))
