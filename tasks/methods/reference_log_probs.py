"""log π_ref(response | prompt) of a base: computed once, kept on disk, read by every condition.

Each response goes through the base alone, so that its value depends on nothing that happens to stand beside it: the
same whichever condition asks first, to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.architectures.chat import SYSTEM, Dialogue, Encoded, encode
from tasks.architectures.load import Base
from tasks.runtime.files import locked
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.progress import Progress, Report, told_of

if TYPE_CHECKING:
    import pandas as pd

KEPT_AFTER = 256
"""So many new values are written at once; a kill loses no more."""


def dialogues_of(table: pd.DataFrame, responses: Iterable[str]) -> list[Dialogue]:
    """The prompt of each row with its one of `responses`, after the row's system turn where rows have one."""
    naming = [table[SYSTEM]] if SYSTEM in table else []
    return list(zip(table["prompt"], responses, *naming, strict=True))


def encoded_with_reference(
    base: Base, dialogues: Sequence[Dialogue], max_length: int, path: Path, progress: Progress
) -> tuple[dict[Dialogue, Encoded], dict[Dialogue, float]]:
    """Every dialogue as token ids, and its response's reference log-probability, which `path` has from then on."""
    unique = list(dict.fromkeys(dialogues))
    encoded = dict(zip(unique, encode(base.tokenizer, unique, max_length), strict=True))
    log_probs = reference_log_probs(base, list(encoded.values()), path, progress)
    return encoded, dict(zip(unique, log_probs, strict=True))


def reference_log_probs(base: Base, encoded: Sequence[Encoded], path: Path, progress: Progress) -> list[float]:
    """Of each response, summed over its tokens; those that `path` has are read, the others are added to it.

    A line is a digest of the token ids (so also of tokenizer, chat template and length limit) and the value. The file
    belongs to one base. Writers wait for each other; a line that a killed one left unfinished counts for nothing.
    """
    keys = [fingerprint([item.prompt, item.response]) for item in encoded]
    progress(Report("reference log-probabilities"))  # a job that has the same base may be at them already
    with locked(path.with_suffix(".lock")):
        known = _read(path)
        missing = {key: item for key, item in zip(keys, encoded, strict=True) if key not in known}
        for start in range(0, len(missing), KEPT_AFTER):
            part = list(missing.items())[start : start + KEPT_AFTER]
            told = told_of(part, start, len(missing), "reference log-probabilities", "responses", progress)
            values = {key: response_log_prob(base, item) for key, item in told}
            _append(path, values)
            known |= values
    return [known[key] for key in keys]


def response_log_prob(base: Base, item: Encoded) -> float:
    """log π_ref of one response, summed over its tokens, under the base as it is."""
    import torch

    ids = torch.tensor([item.prompt + item.response], device=base.model.device)
    n = len(item.response)
    with torch.no_grad():
        logits = base.model(input_ids=ids, use_cache=False, logits_to_keep=n + 1).logits[0, -n - 1 : -1].float()
    return float(logits.log_softmax(-1).gather(1, ids[0, -n:, None]).sum()) if n else 0.0


def _read(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    lines = (line.split(" ") for line in path.read_text().splitlines(keepends=True) if line.endswith("\n"))
    return {parts[0]: float(parts[1]) for parts in lines if len(parts) == 2}


def _append(path: Path, values: dict[str, float]) -> None:
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write((" torn\n" if torn else "") + "".join(f"{key} {value!r}\n" for key, value in values.items()))
        file.flush()
        os.fsync(file.fileno())
