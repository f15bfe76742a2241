"""Keys that are secret: of this environment, or kept by Prefect."""

from __future__ import annotations

import os

from flows.server import address_of_server


def find_secret(name: str) -> str | None:
    """The variable `OPENAI_API_KEY` of the environment, else Prefect's Secret block `openai-api-key`."""
    return os.environ.get(name) or find_block(name)


def find_block(name: str) -> str | None:
    """What Prefect keeps under a variable's name, written as a block's; None where no server is set, or it has none."""
    if not address_of_server():
        return None
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(name.lower().replace("_", "-")).get())  # type: ignore[union-attr]
    except ValueError:
        return None
