"""Land what has come into the inbox."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, State
from pydantic import Field

from configs.errors import InputError
from configs.load import load_study
from flows.parameters import StudyName
from flows.ratings import land_ratings
from tasks.ratings.landing.inbox import DONE, REFUSED, put_away, waiting
from tasks.ratings.landing.landing import Landing
from tasks.ratings.landing.summary import lines
from tasks.runtime.files import try_lock

log = logging.getLogger(__name__)
QUIET_SECONDS = 30


@flow(name="sweep", flow_run_name="inbox")
def sweep_inbox(
    inbox: str = "inbox",
    study: StudyName | Annotated[None, Field(title="none yet")] = None,
    strict: bool = False,
    quiet_seconds: Annotated[int, Field(ge=0)] = QUIET_SECONDS,
) -> State:
    """Land each complete export in the inbox, one by one, and move it to done/ or refused/ in there, with the reason.

    Args:
        inbox: the folder; it is made where it is missing.
        study: the study whose codebooks read the exports.
        strict: whether one bad row is enough to refuse an export.
        quiet_seconds: how long an export must have been left alone to count as complete.
    """
    if study:
        load_study(study)  # a wrong one is no export's fault
    folder = Path(inbox)
    folder.mkdir(parents=True, exist_ok=True)
    held = try_lock(folder / ".sweep.lock")
    if held is None:
        return Completed(name="Skipped", message="another sweep of this inbox is under way")
    try:
        exports = waiting(folder, quiet_seconds)
        if exports and not study:
            raise InputError(f"{len(exports)} exports wait in {folder}; say with `study` whose codebooks read them")
        return _joined([(export.name, _land(export, str(study), strict)) for export in exports])
    finally:
        os.close(held)


def _land(export: Path, study: str, strict: bool) -> str:
    """Land an export and put it away: why it was refused, "" where it was not.

    Raises:
        Exception: what is not the export's fault; it stays where it is, for the next sweep.
    """
    state: State = land_ratings([str(export)], study, strict, return_state=True)
    result = state.result(raise_on_failure=False)
    if isinstance(result, Landing):
        put_away(export, DONE, "\n".join(lines(result)))
        log.info("%s: landed", export.name)
        return ""
    if isinstance(result, InputError):
        put_away(export, REFUSED, str(result))
        log.warning("%s: refused: %s", export.name, result)
        return str(result)
    cause = result if isinstance(result, BaseException) else None
    raise RuntimeError(f"{export.name} stays in the inbox: {state.name}") from cause


def _joined(landed: list[tuple[str, str]]) -> State:
    refused = [f"{name}: {reason}" for name, reason in landed if reason]
    if refused:
        message = f"{len(refused)} of {len(landed)} exports refused; {'; '.join(refused)}"
        return State(type=StateType.FAILED, name="Refused", message=message)
    return Completed(name="Landed" if landed else "Nothing new", message=f"{len(landed)} landed")
