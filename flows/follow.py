"""Run the studies that follow a collection of ratings, when a snapshot of it has landed."""

from __future__ import annotations

import logging

from prefect import flow
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Completed, State

from configs.errors import InputError
from configs.load import load_study, shipped
from flows.study import run_study
from tasks.ratings.landing.snapshot import Collection
from tasks.runtime.home import home

log = logging.getLogger(__name__)


@flow(name="follow", flow_run_name=lambda: f"{flow_run.parameters['collection'] or 'nothing'} · follow")
def follow_latest(
    collection: str = "",
    snapshot: str = "",
    study: str = "",
    studies: list[str] = [],  # noqa: B006 (never changed)
) -> State:
    """Run the studies that read the collection's latest snapshot, with this one.

    Looked at are the shipped studies, the one that the export was landed for, and `studies`. A snapshot that is the
    latest no more runs nothing: the one that is has a run of its own.

    Args:
        collection: the collection that has a new snapshot.
        snapshot: its id.
        study: the study that the export was landed for.
        studies: YAML files of your own studies to look at, beside the shipped ones.
    """
    if not collection or not snapshot:
        raise InputError(f"expected a collection and a snapshot, got {collection!r} and {snapshot!r}")
    latest = Collection(home() / "collections" / collection).latest()
    if latest is not None and latest.id != snapshot:
        return Completed(name="Superseded", message=f"{latest.id} has landed since")
    following = [name for name in dict.fromkeys([*shipped("studies"), study, *studies]) if _follows(name, collection)]
    states = {name: run_study(name, {"ratings.snapshot": snapshot}, return_state=True) for name in following}
    failed = [name for name, state in states.items() if not state.is_completed()]
    if failed:
        return State(type=StateType.FAILED, message=f"of {', '.join(following)} failed: {', '.join(failed)}")
    nothing = f"nothing: no study has ratings.collection {collection}"
    return Completed(message=f"ran {', '.join(following) or nothing}")


def _follows(name: str, collection: str) -> bool:
    """Whether a study reads the collection's latest snapshot; one that can't be read is told and left out."""
    if not name:
        return False
    try:
        ratings = load_study(name).ratings
    except InputError as error:
        log.warning("left out: %s", error)
        return False
    return ratings.collection == collection and ratings.snapshot == "latest"
