"""The kinds of stores there are, by their addresses."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.runtime.home import home
from tasks.runtime.store import FolderStore, Store

ADDRESS = "PLURALIGN_STORE"
"""The variable with the store's address, if that is not the home's own folder."""


def open_store(address: str, owner: str = "") -> Store:
    """The store at an address: a folder's path, or a URL such as `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, `file://…`.

    owner: of the run that a worker process works for, where the store is to know that they are one.

    Raises:
        InputError: it is no such URL.
    """
    if "://" in address:
        from tasks.runtime.object_store import ObjectStore

        return ObjectStore(address, owner)
    return FolderStore(Path(address))


def chosen_store(address: str | None = None) -> Store:
    """The store at an address, else at `PLURALIGN_STORE`, else the one of the home, which this user's studies share."""
    return open_store(address or os.environ.get(ADDRESS) or str(home() / "store"))
