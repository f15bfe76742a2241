"""What each Python process that a test starts does first, since tests/conftest.py has this folder on their path.

bitsandbytes is not installed, as for who does not ask for it: PEFT would import it, which is a fifth of what a worker
takes to start.

Something bad happens to a process at a named moment, once. `PLURALIGN_TEST_MOMENTS` is FOLDER and then the moments,
each MODULE:NAME@N=WHAT: where a process calls NAME of MODULE for the Nth time, it is killed as the call begins
("kill"), or with it who started it ("cut", as of the power), or there is no room left on the disk of its working folder
("fill", by a file named filler). A file in FOLDER, named as the moment, says that it has happened.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import wraps
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
FOLDER, *MOMENTS = os.environ.get("PLURALIGN_TEST_MOMENTS", "").split("|")


class AtImport:
    """Lets a module be found as ever, and wraps what moments name once it has been executed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        own = [moment for moment in MOMENTS if moment.startswith(f"{name}:")]
        if not own:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)  # type: ignore[arg-type]
        loader: Any = spec.loader if spec else None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for moment in own:
                wrap(module, moment)

        loader.exec_module = exec_module
        return spec


def wrap(owner: Any, moment: str) -> None:
    names, _, rest = moment.partition(":")[2].partition("@")
    number, _, what = rest.partition("=")
    *outer, last = names.split(".")
    for name in outer:
        owner = getattr(owner, name)
    function, calls = getattr(owner, last), [0]

    @wraps(function)
    def ends(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == int(number):
            try:
                (Path(FOLDER) / moment).touch(exist_ok=False)
            except FileExistsError:  # it has happened
                pass
            else:
                HAPPENINGS[what]()
        return function(*arguments, **named)

    setattr(owner, last, ends)


def fill_disk() -> None:
    with suppress(OSError), open("filler", "wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def kill(*processes: int) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


HAPPENINGS = {
    "kill": lambda: kill(os.getpid()),
    "cut": lambda: kill(os.getppid(), os.getpid()),
    "fill": fill_disk,
}
if FOLDER:
    sys.meta_path.insert(0, AtImport())  # type: ignore[arg-type]
