"""Parameters that several flows share, typed so that the form of a run in Prefect's UI offers what is allowed."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import Field

from configs.load import OWN_STUDY, shipped

OFFERED = list(dict.fromkeys([*shipped("studies"), *filter(None, [os.environ.get(OWN_STUDY)])]))
"""The studies that a form lists; a file that is not among them can be given all the same."""

StudyName = (
    Annotated[str, Field(title="in the list", json_schema_extra={"enum": OFFERED})]
    | Annotated[str, Field(title="a YAML file", pattern=r"\.ya?ml$")]
)
"""A study by name or path. A wrong one is refused by `configs.load`."""

Overrides = Annotated[dict[str, Any], Field(title="settings")] | Annotated[None, Field(title="as they are")]
"""Settings to change, by their path: {"recipe.dpo.epochs": 2}."""

Folder = Annotated[str, Field(title="folder")] | Annotated[None, Field(title="default")]

File = Annotated[str, Field(title="file")] | Annotated[None, Field(title="default")]

ColumnName = Annotated[str, Field(title="column")] | Annotated[None, Field(title="none")]

Number = Annotated[float, Field(title="number")] | Annotated[None, Field(title="default")]

RunnerAddress = (
    Annotated[str, Field(title="local, ray, or ray://HOST:PORT")] | Annotated[None, Field(title="this worker's own")]
)
"""Where jobs are done; by default what `PLURALIGN_RUNNER` says where the flow runs, else on that machine."""

StoreAddress = Annotated[str, Field(title="a folder or a URL")] | Annotated[None, Field(title="this worker's own")]
"""Where artifacts are kept; by default at `PLURALIGN_STORE` where the flow runs, else in its home."""

Workers = Annotated[int, Field(title="number", ge=1)] | Annotated[None, Field(title="one a core")]
