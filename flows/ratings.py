"""Land exports of ratings as a new snapshot, and announce it."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.states import Completed, State

from flows.artifacts import careful, key
from flows.outcome import run_name
from flows.parameters import StudyName
from flows.parts import land_exports
from tasks.ratings.landing.landing import Landing
from tasks.ratings.landing.summary import changed, page

LANDED = "pluralign.ratings.landed"


@flow(name="land-ratings", flow_run_name=lambda: f"{run_name()} · land")
def land_ratings(exports: list[str], study: StudyName, strict: bool = False) -> State:
    """Validate exports, add them to the study's collection as a snapshot, and announce that; the `Landing`.

    Args:
        exports: folders with the files of the study's codebooks, or single files.
        study: whose codebooks read them. They land in its collection, or in one of the study's name.
        strict: whether one bad row is enough to refuse everything.
    """
    landing = land_exports(exports, study, strict)
    name = landing.snapshot.manifest["collection"]
    careful(lambda: create_markdown_artifact(page(landing), key=key(name, "landing")))
    if landing.fresh:
        _announce(landing, study)
    return Completed(message=changed(landing), data=landing)


def _announce(landing: Landing, study: str) -> None:
    name, manifest = landing.snapshot.manifest["collection"], landing.snapshot.manifest
    emit_event(
        LANDED,
        resource={"prefect.resource.id": f"pluralign.collection.{name}", "prefect.resource.name": name},
        payload={
            "collection": name,
            "snapshot": landing.snapshot.id,
            "parents": manifest["parents"],
            "added": landing.changes["ratings"].added,
            "superseded": landing.changes["ratings"].superseded,
            "rejected": len(landing.rejected),
            "study": study,
        },
    )
