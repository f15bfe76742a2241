"""Where everything that is kept lives; light enough to be asked before anything is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from configs.errors import InputError

PARTS = ("store", "slots", "collections", "mlflow", "prefect", "temporary-prefect", "caches", "serve")
"""The folders at the top of the home."""


def home() -> Path:
    """Where artifacts, logs and local tracking live: `PLURALIGN_HOME`; unset or empty, it is `.pluralign` here."""
    return Path(os.environ.get("PLURALIGN_HOME") or ".pluralign")


def prepare_home() -> Path:
    """The home, made where it is missing; what is made here is its owner's alone, whatever the umask.

    Raises:
        InputError: it can't be made or written into, such as on a read-only file system, or it is a file.
    """
    place = home()
    try:
        for folder in (place, *(place / part for part in PARTS)):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=folder == place)
                folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=place):
            pass
        earlier, now = place / "history", place / "store" / "documents" / "history"
        if earlier.is_dir() and not now.exists():  # where earlier versions kept it
            now.parent.mkdir(exist_ok=True)
            earlier.rename(now)
        return place
    except OSError as error:
        raise InputError(f"{place}: {error.strerror}; PLURALIGN_HOME names a folder that can be written") from None


def caches() -> dict[str, str]:
    """Variables that send the libraries' caches into our home, where the user's HOME can't be written.

    Models that the user has downloaded are read from where they are.
    """
    if os.access(os.path.expanduser("~"), os.W_OK):
        return {}
    own, models = home().resolve() / "caches", os.path.expanduser("~/.cache/huggingface")
    drawing = {"MPLCONFIGDIR": str(own / "matplotlib")}
    return drawing if os.path.exists(models) else drawing | {"HF_HOME": str(own / "huggingface")}
