"""What a check finds, and what it may look at."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

from configs.errors import without_credentials
from configs.paths import SUFFIXES
from configs.schema import Study
from tasks.planning.bench import LOCAL, RUNNER
from tasks.runtime.home import home
from tasks.runtime.stores import ADDRESS

OK: Final = "ok"
BAD: Final = "bad"
NOTE: Final = "note"
Level = Literal["ok", "bad", "note"]
SECRET_NAME = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|AUTH_STRING|SAS)(_|$)(?!.*(PATH|FILE|URL|URI|ID)$)")
"""How variables are called that hold a secret."""
LOGIN = re.compile(r"://[^:/\s]*:(\S*)@")
"""The password of an address."""
SHORTEST_SECRET = 8
"""Of characters; what is shorter stands in too many words to be taken out of them."""
HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Finding:
    """One line: `ok`, `bad` (then `todo` says what to do), or `note`, which is neither."""

    level: Level
    name: str
    """Which check, such as disk."""
    text: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.level:<4} {self.name}: {self.text}{f': {self.todo}' if self.todo else ''}"


Findings = Iterator[Finding]


def bad_line(name: str, line: str, todo: str) -> Finding:
    """What an error says, which may say itself after a semicolon what to do; else `todo` does."""
    text, semicolon, own = line.rpartition("; ")
    return Finding(BAD, name, text, own) if semicolon else Finding(BAD, name, line, todo)


def as_json(found: Sequence[Finding]) -> str:
    """All findings, and how many there are of each level."""
    counts = {level: sum(finding.level == level for finding in found) for level in (OK, BAD, NOTE)}
    return json.dumps(counts | {"findings": [asdict(finding) for finding in found]}, indent=1, ensure_ascii=False)


def texts_of(study: str | None, overrides: Sequence[str]) -> dict[str, str]:
    """What the user wrote of a study: its file, where it is not a shipped one, and settings of the command line."""
    written = {f"--set {item.partition('=')[0]}": item for item in overrides}
    path = Path(study or "")
    if path.suffix in SUFFIXES and path.is_file():
        written[str(path)] = path.read_text(encoding="utf-8", errors="replace")
    return written


@dataclass
class ServerFound:
    """A server whose clock was read: seconds that it is ahead of this machine."""

    name: str
    ahead: float


@dataclass
class Settings:
    """What the checks look at. Several threads read it; they add only to `clocks`."""

    study: Study | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name → text of what the user wrote of the study, in which no key should stand."""
    output: Path = Path("outputs")
    workers: int | None = None
    server: str = ""
    """The address of Prefect's API, "" where none is named."""
    server_headers: Mapping[str, str] = field(default_factory=dict)
    """What lets this user in there."""
    server_fault: str = ""
    """What is wrong with Prefect's own settings."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    mounts: Path = Path("/proc/mounts")
    clocks: list[ServerFound] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def runner(self) -> str:
        """Where jobs are done."""
        return self.environment.get(RUNNER) or LOCAL

    @property
    def store(self) -> str:
        """The store's address."""
        return self.environment.get(ADDRESS) or str(home() / "store")

    def read_clock(self, name: str, ahead: float | None) -> None:
        """Keep what a server's answer said of its clock, if it did."""
        if ahead is not None:
            with self._lock:
                self.clocks.append(ServerFound(name, ahead))

    def cleaned(self, finding: Finding) -> Finding:
        """Without users and passwords of addresses, what is asked of them, and what variables hold that are secret."""
        return Finding(finding.level, finding.name, self._clean(finding.text), self._clean(finding.todo))

    @cached_property
    def _secrets(self) -> list[str]:
        """What variables hold that is secret: keys, passwords in addresses; the longest first."""
        found = {value for name, value in self.environment.items() if SECRET_NAME.search(name)}
        passwords = [match[1] for value in self.environment.values() if (match := LOGIN.search(value))]
        found |= {form for password in passwords for form in (password, unquote(password))}
        return sorted((secret for secret in found if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = re.sub(r"(\w://[^\s?#]*)[?#]\S*", r"\1", re.sub(r"://\S*@", "://", text))
        return " ".join(without_credentials(text).split())
