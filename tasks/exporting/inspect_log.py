"""Logs of the evaluation framework Inspect (inspect_ai): `.json`, one EvalLog, and `.eval`, a ZIP of JSON files.

Of a log's version 2 is read: `eval.task`, `eval.model`, `status`, and of each sample id, epoch, input, scores, error,
invalidation and metadata. In an `.eval` file these stand in `header.json` (`_journal/start.json` while the evaluation
runs) and in `samples/ID_epoch_N.json`, or of large samples in `samples/ID_epoch_N/sample.json` and `metadata.json`. Its
members are deflated or, since 2026, in Zstandard, which Python's zipfile reads from 3.14 on; here pyarrow does.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.errors import InputError, short
from tasks.ratings.reading.files import read_file

LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""What Inspect's `value_to_float` makes of correct, partial, incorrect and no answer."""
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""And of these, in any case."""
SAMPLE = re.compile(r"(samples/.+_epoch_\d+)(/sample)?\.json", re.DOTALL)
ZSTANDARD = 93
"""The number of this compression in a ZIP file."""
LARGEST = 2**30
"""Bytes of a member; one that says or turns out to be larger is not unpacked."""
LOCAL_HEADER = struct.Struct("<26xHH")
"""Of a member: the lengths of its name and of its extra field, which stand before its bytes."""


Part = TypeVar("Part", bound="_Part")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class LogScore(_Part):
    """A score as it stands: `value` is a letter, a word, a number, true or false, a list or a dictionary of these."""

    value: Any
    explanation: str | None = None
    reason: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def why_unscored(self) -> str:
        """What the scorer says of a sample that it left unscored."""
        told = self.reason or (self.metadata or {}).get("unscored_reason") or self.explanation
        return f"unscored: {short(told)}" if told else "unscored"


class LogSample(_Part):
    """One sample in one epoch."""

    id: int | str
    epoch: int = 1
    input: Any = None
    scores: dict[str, LogScore] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    error: Any = None
    invalidation: Any = None


class _Spec(_Part):
    task: str
    model: str


class _Header(_Part):
    version: int = 2
    status: str = "started"
    eval: _Spec
    samples: list[LogSample] | None = None


@dataclass(frozen=True)
class InspectLog:
    """What is read of a log."""

    path: Path
    task: str
    model: str
    status: str
    samples: tuple[LogSample, ...]


def read_log(path: Path) -> InspectLog:
    """Read a log.

    Raises:
        InputError: the file can't be read, is no log of Inspect, or is damaged; the message names the part.
    """
    content = read_file(path)
    if content[:1] == b"{":
        header = _parsed(_Header, content, f"{path}")
        samples = header.samples or []
    elif content[:2] == b"PK":
        header, samples = _read_zip(path, content)
    else:
        raise InputError(f"{path}: no log of Inspect: neither JSON nor a .eval file")
    if header.version > 2:
        raise InputError(f"{path}: a log of version {header.version}; version 2 is read")
    if not samples:
        raise InputError(f"{path}: no samples in it (status {short(header.status)})")
    return InspectLog(path, header.eval.task, header.eval.model, header.status, tuple(samples))


def _read_zip(path: Path, content: bytes) -> tuple[_Header, list[LogSample]]:
    try:
        members = {info.filename: info for info in zipfile.ZipFile(io.BytesIO(content)).infolist()}  # the last counts
    except zipfile.BadZipFile:
        raise InputError(f"{path}: a damaged .eval file") from None

    def unpacked(name: str) -> bytes:
        return _unpacked(content, members[name], f"{path}: {name}")

    first = next((name for name in ("header.json", "_journal/start.json") if name in members), None)
    if first is None:
        raise InputError(f"{path}: no log of Inspect: it has no header.json")
    samples = []
    for name in members:
        match = SAMPLE.fullmatch(name)
        if match:
            sample = _parsed(LogSample, unpacked(name), f"{path}: {name}")
            apart = f"{match[1]}/metadata.json"
            if match[2] and apart in members:
                sample.metadata = _json(unpacked(apart), f"{path}: {apart}")
            samples.append(sample)
    return _parsed(_Header, unpacked(first), f"{path}: {first}"), samples


def _unpacked(content: bytes, member: zipfile.ZipInfo, place: str) -> bytes:
    """The bytes of a member, at most as many as it says."""
    if member.file_size > LARGEST:
        raise InputError(f"{place}: {member.file_size:,} bytes; at most {LARGEST:,} are read")
    try:
        lengths = LOCAL_HEADER.unpack_from(content, member.header_offset)
        start = member.header_offset + LOCAL_HEADER.size + sum(lengths)
        packed = content[start : start + member.compress_size]
        if member.compress_type == ZSTANDARD:
            import pyarrow as pa

            with pa.input_stream(pa.BufferReader(packed), compression="zstd") as stream:
                found = stream.read(member.file_size + 1)
        elif member.compress_type == zipfile.ZIP_DEFLATED:
            found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)
        elif member.compress_type == zipfile.ZIP_STORED:
            found = packed
        else:
            raise InputError(f"{place}: compressed in a way ({member.compress_type}) that is not read")
    except (struct.error, OSError, zlib.error):
        raise InputError(f"{place}: damaged") from None
    if len(found) != member.file_size or zlib.crc32(found) != member.CRC:
        raise InputError(f"{place}: damaged")
    return found


def _json(content: bytes, place: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{place}: not JSON") from None


def _parsed(kind: type[Part], content: bytes, place: str) -> Part:
    try:
        return kind.model_validate(_json(content, place))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        raise InputError(f"{place}: no log of Inspect: {'; '.join(faults[:8])}") from None


# ---- what a score is worth


def values_of(scorer: str, score: LogScore) -> Iterator[tuple[str, float, str]]:
    """Name, value and reason of each value of a score: one, or `SCORER/KEY` for each key of a dictionary.

    value is NaN where there is none, and reason is "" where there is one. What Inspect would warn of and take for 0, a
    text that is none of its letters and words and no number, or a list, is left unscored.
    """
    if isinstance(score.value, dict):
        for key, value in score.value.items():
            yield f"{scorer}/{key}", *_as_number(value, score)
    else:
        yield scorer, *_as_number(score.value, score)


def _as_number(value: Any, score: LogScore) -> tuple[float, str]:
    if value is None:
        return math.nan, "no value"
    if isinstance(value, str):
        number = LETTERS.get(value, WORDS.get(value.casefold()))
        if number is not None:
            return number, ""
        try:
            value = float(value)
        except ValueError:
            return math.nan, f"not a number: {short(value)}"
    if not isinstance(value, int | float):
        return math.nan, f"not a number, but a {type(value).__name__}"
    if isinstance(value, float) and math.isnan(value):
        return math.nan, score.why_unscored
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return (number, "") if math.isfinite(number) else (math.nan, "not a finite number")
