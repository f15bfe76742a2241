"""Logs of Inspect: as its own library wrote them, by hand, and damaged. `logs/` was written with inspect_ai 0.3.285."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from tasks.exporting import inspect_log
from tasks.exporting.inspect_log import LogScore, read_log, values_of

LOGS = Path(__file__).parent / "logs"


def a_log(samples: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"version": 2, "status": "success", "eval": {"task": "kindness", "model": "one"}, "samples": samples} | more


def written(folder: Path, samples: list[dict[str, Any]], name: str = "log.json", **more: Any) -> Path:
    (folder / name).write_text(json.dumps(a_log(samples, **more)))
    return folder / name


def zipped(folder: Path, members: dict[str, Any], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "log.eval"
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


HEADER = {"header.json": {"status": "success", "eval": {"task": "kindness", "model": "one"}}}
SAMPLE = {"id": 1, "epoch": 1, "input": "hello", "scores": {"graded": {"value": "C"}}}


def test_what_inspect_wrote_reads_the_same_in_its_three_shapes() -> None:
    logs = {name: read_log(LOGS / name) for name in ("one.json", "one.eval", "large.eval")}
    for log in logs.values():
        assert (log.task, log.model, log.status) == ("kindness", "made-up/one", "success")
        samples = {str(sample.id): sample for sample in log.samples}
        assert set(samples) == {"1", "two", "three", "four"}
        assert samples["1"].metadata == {"topic": "a"}
        assert samples["1"].input == "question 1"
        assert samples["four"].error is not None
        assert {name: list(values_of(name, score)) for name, score in (samples["1"].scores or {}).items()} == {
            "graded": [("graded", 1.0, "")],
            "kind": [("kind", 0.8, "")],
            "both": [("both/polite", 1.0, ""), ("both/short", 0.25, "")],
        }


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_earlier_eval_files_are_deflated(compression: int, tmp_path: Path) -> None:
    log = read_log(zipped(tmp_path, {**HEADER, "samples/1_epoch_1.json": SAMPLE}, compression))
    assert [sample.id for sample in log.samples] == [1]


def test_of_a_running_evaluation_what_is_there_is_read(tmp_path: Path) -> None:
    start = {"_journal/start.json": {"version": 2, "eval": {"task": "kindness", "model": "one"}}}
    assert read_log(zipped(tmp_path, {**start, "samples/1_epoch_1.json": SAMPLE})).status == "started"


@pytest.mark.parametrize(
    ("value", "number"),
    [("C", 1), ("P", 0.5), ("I", 0), ("N", 0), (0.25, 0.25), (3, 3), (True, 1), (False, 0), ("yes", 1), ("No", 0),
     ("2.5", 2.5)],
)  # fmt: skip
def test_a_value_is_the_number_that_inspect_makes_of_it(value: object, number: float) -> None:
    assert list(values_of("s", LogScore(value=value))) == [("s", number, "")]


@pytest.mark.parametrize(
    ("score", "why"),
    [
        ({"value": math.nan}, "unscored"),
        ({"value": math.nan, "reason": "refusal"}, "unscored: 'refusal'"),
        ({"value": math.nan, "metadata": {"unscored_reason": "parse"}}, "unscored: 'parse'"),
        ({"value": math.nan, "explanation": "no grade"}, "unscored: 'no grade'"),
        ({"value": None}, "no value"),
        ({"value": "B"}, "not a number: 'B'"),
        ({"value": [1, 0]}, "not a number, but a list"),
        ({"value": math.inf}, "not a finite number"),
        ({"value": 10**400}, "not a finite number"),
    ],
)
def test_what_is_no_number_is_unscored_and_says_why(score: dict[str, Any], why: str) -> None:
    [(name, value, reason)] = values_of("s", LogScore(**score))
    assert (name, reason) == ("s", why)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no log of Inspect: neither JSON nor a .eval file"),
        (b"a,b\n1,2\n", "no log of Inspect: neither JSON nor a .eval file"),
        (b"{", "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"{}", "no log of Inspect: eval: Field required"),
        (b'{"eval": {"task": "t"}}', "no log of Inspect: eval.model: Field required"),
        (b'{"eval": {"task": "t", "model": "m"}, "samples": [{"epoch": 1}]}', "samples.0.id"),
        (b'{"eval": {"task": "t", "model": "m"}, "status": "error"}', r"no samples in it \(status 'error'\)"),
        (b'{"version": 9, "eval": {"task": "t", "model": "m"}}', "a log of version 9; version 2 is read"),
        (b"PK\x03\x04 and then nothing", "a damaged .eval file"),
    ],
)
def test_what_is_no_log_is_one_clear_line(content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(InputError, match=what) as error:
        read_log(tmp_path / "log")
    assert str(error.value).startswith(f"{tmp_path / 'log'}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_zip_of_something_else_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.eval: No such file"):
        read_log(tmp_path / "gone.eval")
    with pytest.raises(InputError, match=r"no log of Inspect: it has no header\.json"):
        read_log(zipped(tmp_path, {"word/document.xml": "x"}))


@pytest.mark.parametrize("name", ["one.eval", "large.eval"])
def test_a_changed_byte_of_a_member_is_found(name: str, tmp_path: Path) -> None:
    content = bytearray((LOGS / name).read_bytes())
    with zipfile.ZipFile(LOGS / name) as file:
        member = next(info for info in file.infolist() if info.filename.startswith("samples/1_epoch_1"))
    content[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0xFF
    (tmp_path / "log.eval").write_bytes(content)
    with pytest.raises(InputError, match=r"samples/1_epoch_1.*: (damaged|not JSON)"):
        read_log(tmp_path / "log.eval")


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path, {**HEADER, "samples/1_epoch_1.json": SAMPLE | {"input": "x" * 100_000}})
    monkeypatch.setattr(inspect_log, "LARGEST", 10_000)
    with pytest.raises(InputError, match=r"samples/1_epoch_1\.json: 100,\d+ bytes; at most 10,000 are read"):
        read_log(path)


def test_a_member_that_is_larger_than_it_says_is_damaged(tmp_path: Path) -> None:
    path = zipped(tmp_path, {**HEADER, "samples/1_epoch_1.json": SAMPLE | {"input": "x" * 5_000}})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        size = file.getinfo("samples/1_epoch_1.json").file_size
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (size - 1_000).to_bytes(4, "little")))
    with pytest.raises(InputError, match=r"samples/1_epoch_1\.json: damaged"):
        read_log(path)
