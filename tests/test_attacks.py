"""What somebody may do on purpose with settings, tables and texts, each attack a test, beside those of the rooms.

Aliases that explode, nesting, tags, keys given twice and files that are too large: tests/configs/test_load.py and
test_faults.py. Links and pipes in exports: tests/tasks/ratings/test_landing.py and test_inbox.py. Cells that a
spreadsheet would run: tests/tasks/runtime/test_spreadsheet.py. Python in formulas: tests/tasks/survey/clmm/
test_formula.py. Files of an export that would lie elsewhere: tests/configs/test_codebook.py.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import Architecture, Encoder
from flows.artifacts import page_of
from flows.cli import main
from tasks.ratings.reading.delimited import read_delimited
from tests.configs.test_load import MINIMAL
from tests.tasks.reporting.made_up import FACTS, made_up, study, written

WIDE = 1_000_000
"""Columns."""
SECONDS = 60
"""Far more than an attack takes on an idle machine, far less than without a limit."""


def fault(folder: Path, text: str) -> str:
    (folder / "study.yaml").write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        load_study(str(folder / "study.yaml"))
    return str(caught.value)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_delimited(path, ["x"])
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message) < 2000
    return message


# ---- settings


def test_settings_of_a_hundred_megabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(MINIMAL)
    os.truncate(path, 100_000_000)
    started = time.process_time()
    with pytest.raises(InputError, match="100,000,000 bytes; settings take at most 2,000,000"):
        load_study(str(path))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "snippet",
    ["!!python/object/apply:os.system [touch HERE]", "!!python/object/new:subprocess.Popen [[touch, HERE]]",
     "!!python/name:os.system", "!<tag:yaml.org,2002:python/module:os> x", "!!binary x", "!!timestamp x", "!!bool x",
     '!!int ""', "!!omap [1]"],
)  # fmt: skip
def test_a_tag_in_settings_runs_nothing(tmp_path: Path, snippet: str) -> None:
    mark = tmp_path / "mark"
    message = fault(tmp_path, MINIMAL + f"survey: {snippet.replace('HERE', str(mark))}\n")
    assert "study.yaml: line 7" in message
    assert not mark.exists()


def test_a_pipe_in_place_of_settings_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.yaml")
    with pytest.raises(InputError, match=r"study\.yaml: not a regular file"):
        load_study(str(tmp_path / "study.yaml"))


def test_thousands_of_faults_are_told_in_seconds(tmp_path: Path) -> None:
    keys = "".join(f"key{number}: {{a: 007}}\n" for number in range(5000))
    started = time.process_time()
    message = fault(tmp_path, MINIMAL + keys)
    assert time.process_time() - started < SECONDS
    assert "line 7: unknown key 'key0'" in message
    assert len(message.splitlines()) < 110


@pytest.mark.parametrize("name", ["..", "../x", "/etc/x", "a/b", ".hidden", "a\\b", "file:///etc", "x" * 300, "~"])
@pytest.mark.parametrize(
    "place", ["name: NAME", "ratings: {collection: NAME, codebooks: [survey-app-en]}", "strata: {NAME: {}}"]
)
def test_a_name_in_settings_is_no_path(tmp_path: Path, place: str, name: str) -> None:
    key = place.partition(":")[0]
    kept = "".join(line + "\n" for line in MINIMAL.splitlines() if not line.startswith(f"{key}:"))
    assert f"{key}" in fault(tmp_path, kept + place.replace("NAME", json.dumps(name)) + "\n")


NO_HUB = ["file:///etc", "/etc", "../models/x", "a/../b", "http://evil.test/x", "a/b/c", "~/x", "a\\b", "", "s3://a/b"]


@pytest.mark.parametrize("hub", NO_HUB)
def test_a_hub_name_is_no_path_and_no_address(hub: str) -> None:
    with pytest.raises(ValueError, match="hub"):
        Architecture(name="a", title="A", family="a", parameters=1, hub=hub)
    with pytest.raises(ValueError, match="hub"):
        Encoder(hub=hub)


@pytest.mark.parametrize("file", ["../secret.gguf", "/etc/secret.gguf", "a/../../b.gguf", "file:///etc/x.gguf"])
def test_a_file_of_the_hub_can_not_lie_elsewhere(file: str) -> None:
    with pytest.raises(ValueError, match="gguf: expected the name of a file in the hub's repository"):
        Architecture(name="a", title="A", family="a", parameters=1, hub="org/name", gguf=file)
    with pytest.raises(ValueError, match="revision: expected a branch, a tag or a commit"):
        Architecture(name="a", title="A", family="a", parameters=1, hub="org/name", revision=file)


def test_a_hub_name_leads_to_no_folder_beside_the_models(tmp_path: Path) -> None:
    for folder in ("models", "secret"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secret" / "config.json").write_text("{}")
    (tmp_path / "secret" / "x.gguf").write_text("GGUF")
    for hub in (str(tmp_path / "secret"), "../secret"):
        model = f"{{name: a, title: A, family: a, parameters: 1, hub: {hub}}}"
        message = fault(tmp_path, MINIMAL + f"models: models\narchitectures:\n- {model}\n")
        assert "architectures.0.hub: expected ORG/NAME of the hub" in message


# ---- tables


def wide_csv(path: Path) -> None:
    path.write_text(",".join(f"c{number}" for number in range(WIDE)) + "\n" + "1," * (WIDE - 1) + "1\n")


def wide_separators(path: Path) -> None:
    path.write_text("x,y" + "," * (WIDE - 2) + "\n1,2\n")


def wide_json(path: Path) -> None:
    path.write_text(json.dumps([{f"c{number}": 1 for number in range(WIDE)}]))


def wide_parquet(path: Path) -> None:
    names = [f"c{number}" for number in range(20_000)]  # a million take the writer a minute
    pq.write_table(pa.table([pa.array([1])] * len(names), names=names), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("t.csv", wide_csv), ("t.csv", wide_separators), ("t.json", wide_json),
     ("t.parquet", wide_parquet)],
)  # fmt: skip
def test_a_million_columns_are_refused_in_seconds(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    started = time.process_time()
    assert refused(tmp_path / name).endswith(" columns; at most 16,384 can be read")
    assert time.process_time() - started < SECONDS


def test_names_of_a_thousand_columns_are_not_all_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",".join(f"c{number}" for number in range(1000)) + "\n")
    assert refused(tmp_path / "t.csv").endswith("c98, c99 and 900 more")


def test_init_looks_at_two_thousand_columns_at_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(",".join(f"c{n}" for n in range(2001)) + "\n" + ",".join(["1"] * 2001) + "\n")
    assert main(["init", str(tmp_path / "t.csv"), "--output", str(tmp_path / "out")]) == 2
    assert "t.csv: 2,001 columns, of which init looks at 2,000 at most" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_parquet_that_claims_more_than_memory_holds_is_refused_unread(tmp_path: Path) -> None:
    rows = 300_000_000
    with pq.ParquetWriter(tmp_path / "t.parquet", pa.schema([("x", pa.null())])) as writer:
        writer.write_table(pa.table({"x": pa.nulls(rows)}), row_group_size=rows)
    assert (tmp_path / "t.parquet").stat().st_size < 1_000_000
    assert refused(tmp_path / "t.parquet").endswith("more than 2,000,000,000 bytes when unpacked")


@pytest.mark.parametrize(
    "column",
    [pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), pa.array([2**62]).cast(pa.timestamp("ms")),
     pa.array([2**62]).cast(pa.duration("s"))],
)  # fmt: skip
def test_a_date_of_parquet_that_python_has_not_is_told(tmp_path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"x": column}), tmp_path / "t.parquet")
    assert refused(tmp_path / "t.parquet").endswith("not Parquet, or damaged")


def test_parquet_whose_names_are_no_text_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"secret": ["a"], "other": ["b"]}), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content.replace(b"secret", b"se\xd0ret"))
    assert refused(tmp_path / "t.parquet").endswith("not Parquet, or damaged")


def test_entities_of_a_workbook_do_not_explode(tmp_path: Path) -> None:
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["x"])
    book.active.append(["MARK"])
    book.save(file)
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    with zipfile.ZipFile(io.BytesIO(file.getvalue())) as source, zipfile.ZipFile(tmp_path / "t.xlsx", "w") as target:
        for name in source.namelist():
            text = source.read(name).decode()
            if "MARK" in text:
                text = text.replace("MARK", "&a9;").replace("<sst", f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><sst', 1)
            target.writestr(name, text)
    started = time.process_time()
    assert refused(tmp_path / "t.xlsx").endswith("not Excel (.xlsx), or damaged")
    assert time.process_time() - started < 10


def test_a_workbook_reads_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the key")
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["x"])
    book.active.append(["MARK"])
    book.save(file)
    with zipfile.ZipFile(io.BytesIO(file.getvalue())) as source, zipfile.ZipFile(tmp_path / "t.xlsx", "w") as target:
        for name in source.namelist():
            text = source.read(name).decode()
            if "MARK" in text:
                entity = f'<!DOCTYPE x [<!ENTITY s SYSTEM "{(tmp_path / "secret").as_uri()}">]><sst'
                text = text.replace("MARK", "&s;").replace("<sst", entity, 1)
            target.writestr(name, text)
    try:
        cells = read_delimited(tmp_path / "t.xlsx", ["x"]).frame["x"].tolist()
    except InputError as error:
        cells = [str(error)]
    assert "the key" not in " ".join(cells)


@pytest.mark.parametrize(
    "formula", ["rating ~ ] temp", "rating ~ [", "rating ~ temp + + * ", "rating ~ )temp(", "~", " ~ ~ "]
)
def test_a_formula_that_stumbles_a_library_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], formula: str
) -> None:
    (tmp_path / "t.csv").write_text("rating,temp\n" + "1,a\n2,b\n" * 9)
    assert main(["clmm", str(tmp_path / "t.csv"), formula]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "formula" in line


@pytest.mark.parametrize("name", ["[" * 5000, "x" * 100_000, "\ud800"])
def test_init_refuses_a_name_that_is_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({name: 1, "b": 2}) + "\n")
    assert main(["init", str(tmp_path / "t.jsonl"), "--output", str(tmp_path / "out")]) == 2
    assert "the name of column 1 is no text, or longer than 2,000 characters" in capsys.readouterr().err


def test_a_level_can_not_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("rating,temp\n" + "1,a\n2,a\n2,\u202eb\n1,\u202eb\n2,\u202eb\n" * 9, "utf-8")
    assert main(["clmm", str(tmp_path / "t.csv"), "rating ~ temp"]) == 0
    printed = capsys.readouterr().out
    assert "\\u202eb" in printed
    assert "\u202e" not in printed


# ---- texts stay text

EVIL = "{{7*7}} \\input{/etc/passwd} <script>alert(1)</script> <img src=x onerror=x()> | $x^2$ ](http://evil.test) %&#"


def test_texts_stay_text_in_html_markdown_latex_and_figures_wherever_they_stand(tmp_path: Path) -> None:
    """Titles, architectures, participants' values, errors, terms, notes, sources and versions."""
    models = [{"name": "a", "title": EVIL, "family": EVIL, "parameters": 1e9, "tiny": {}}]
    dimensions = {name: {"title": EVIL, "better": "lower", "definition": EVIL} for name in ("toxicity", "awareness")}
    hostile = study(title=EVIL, architectures=models, dimensions=dimensions)
    tables = {
        name: table.astype({key: object for key in table.columns if not pd.api.types.is_numeric_dtype(table[key])})
        for name, table in made_up(hostile).items()
    }
    columns = {
        "cells": "error", "health": "architecture", "drops": "reason", "effects": "architecture",
        "participants": "attribute value", "ordinal_regression": "term attribute value published_p",
        "ordinal_models": "reference notes", "audit": "condition stratum", "pooled": "contrast dimension",
    }  # fmt: skip
    for name, changed in columns.items():
        tables[name][changed.split()] = EVIL
    html, markdown = written(hostile, tables, tmp_path, replace(FACTS, sources=(EVIL,), versions={EVIL: EVIL}))
    for text in (html, markdown):
        assert not re.search(r"<(script|img src=x)", text, re.IGNORECASE)
        assert "49 \\input" not in text
    assert "{{7*7}}" in html
    assert not re.search(r"(?<!\\)\]\(http://evil", markdown.split("<summary>Settings")[0])
    files = list((tmp_path / "tables").glob("*.tex"))
    assert files
    for file in files:
        latex = file.read_text()
        assert not re.search(r"\\input|(?<!\\)\\(?:write18|openin)|\$x\^2\$", latex), file.name
        widths = {len(re.findall(r"(?<!\\)&", line)) for line in latex.splitlines() if line.endswith(r"\\")}
        assert len(widths) <= 1, file.name
    regression = (tmp_path / "tables" / "ordinal_regression.tex").read_text()
    assert r"\textbackslash{}input\{/etc/passwd\}" in regression
    figures = [base64.b64decode(one).decode() for one in re.findall(r"image/svg\+xml;base64,([^\"]*)\"", html)]
    assert figures
    for figure in figures:
        for element in ElementTree.fromstring(figure).iter():
            assert str(element.tag).rpartition("}")[2] not in ("script", "img", "foreignObject", "a")
            for name, value in element.attrib.items():
                assert not name.startswith("on")
                assert not name.endswith("href") or value.startswith(("#", "data:image/png"))


def test_texts_stay_text_in_a_page_of_prefect(tmp_path: Path) -> None:
    page = page_of(study(title=EVIL), [], tmp_path / "report.html")
    assert "\\<script\\>" in page
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(http://evil", page)


def test_what_mlflow_is_told_are_names_and_numbers() -> None:
    """Runs are called after names, which are no free text; no description, which its pages show as Markdown."""
    source = (Path(__file__).parents[1] / "tasks" / "runtime" / "tracking.py").read_text()
    assert not re.search(r"mlflow\.note|description=", source)
    with pytest.raises(ValueError, match="name"):
        Architecture(name="<script>", title="A", family="a", parameters=1, tiny={})
