"""Where everything that is kept lives; light enough to be asked before anything is imported."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Where artifacts, logs and local tracking live: `PLURALIGN_HOME`, or `.pluralign` here."""
    return Path(os.environ.get("PLURALIGN_HOME", ".pluralign"))
