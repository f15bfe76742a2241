"""Keys that are secret: of this environment, or kept by Prefect."""

from __future__ import annotations

import os

from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL


def find_secret(name: str) -> str | None:
    """The variable `OPENAI_API_KEY` of the environment, else Prefect's Secret block `openai-api-key`."""
    return os.environ.get(name) or find_block(name)


def find_block(name: str) -> str | None:
    """What Prefect keeps under a variable's name, written as a block's; None where no server is set, or it has none."""
    if not PREFECT_API_URL.value():
        return None
    try:
        return str(Secret.load(name.lower().replace("_", "-")).get())  # type: ignore[union-attr]
    except ValueError:
        return None
