"""Finds pickles by their content, whatever the file is called and whatever zip file it lies in."""

from __future__ import annotations

import io
import pickletools
import zipfile
from itertools import islice
from pathlib import Path

PROTOCOLS = {bytes([0x80, number]) for number in range(2, 6)}
"""What pickles begin with since Python 2.3; those before it have no beginning of their own."""
NUMPY = b"\x93NUMPY"


def pickles_below(folder: Path) -> list[str]:
    """Every file with a pickle in it, below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{file.relative_to(folder)}: {kind}" for file in files if (kind := pickled(file.read_bytes()))]


def pickled(content: bytes) -> str:
    """What kind of pickle it is or has in it; empty if it is none."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl") or pickled(archive.read(name)):
                    return f"a zip file with the pickle {name}"
        return ""
    if content.startswith(NUMPY) and b"'descr': '|O'" in content[:200]:
        return "an array of pickled objects"
    # raw arrays may follow, or lie within, so that a pickle is not one to its end
    beginning, steps = content[:2] in PROTOCOLS, _steps(content)
    return "a pickle" if (beginning and steps >= 3) or steps == -1 else ""


def _steps(content: bytes) -> int:
    """How many steps of a pickle's program can be read, no more than five at its beginning; -1 if it is all one."""
    operations, stream = 0, io.BytesIO(content)
    most = 5 if content[:2] in PROTOCOLS else None
    try:
        for _ in islice(pickletools.genops(stream), most):
            operations += 1
    except (ValueError, UnicodeError, OverflowError):
        return operations
    return -1 if content and stream.tell() == len(content) else operations
