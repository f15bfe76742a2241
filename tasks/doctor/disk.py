"""Room on disk: where results, artifacts and temporary files go, against what the study will write there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from configs.schema import CONTROL, Study
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings
from tasks.doctor.machine import slots_of
from tasks.doctor.places import Location
from tasks.planning.cells import cells
from tasks.planning.disk_use import HOME, HUB, STORE, DiskUse, amount, disk_use, files_of_all_cells
from tasks.planning.earlier_runs import History
from tasks.runtime.home import home
from tasks.runtime.store import FolderStore
from tasks.runtime.tracking import local_file, tracking_uri

LEAST = 1e9
"""Bytes below which a disk counts as full: ratings, databases and reports take tens of megabytes, caches more."""
PROMPTS_ASSUMED = 1000
"""Held-out prompts where only the ratings tell how many there are."""
CLEAR = "make room, or name another disk in PLURALIGN_HOME, PLURALIGN_STORE, --output or TMPDIR"


@dataclass
class Volume:
    """A file system, what is on it, and the bytes that a study will write there."""

    place: Location
    names: list[str] = field(default_factory=list)
    wanted: float = 0.0
    anew: float = 0.0
    """Of the wanted: what an earlier run of the study may have left."""


def disk_check(settings: Settings) -> Findings:
    use = estimated(settings) if settings.study and settings.study.experiments else None
    left = _made_before(settings.study, settings.store) if settings.study and use else 0.0
    volumes = dict[int, Volume]()
    for name, place, kind in _places(settings):
        if place.fault:
            yield Finding(BAD, "disk", f"{name} {place.folder}", f"{place.fault}; name another folder")
            continue
        volume = volumes.setdefault(place.device, Volume(place))
        volume.names.append(name)
        if use and kind:
            volume.wanted += use.still_to_write(kind)
            volume.anew += left * use.still_to_write(kind) if kind != HUB else 0.0
    for volume in volumes.values():
        yield _room(settings, volume)
    if use:
        assumed = f"; adapters of {', '.join(use.assumed)} by their number of parameters" if use.assumed else ""
        yield Finding(NOTE, "disk", f"an estimate of what {_name(settings)} writes in all, at most {use}{assumed}")


def estimated(settings: Settings) -> DiskUse:
    """What the whole study writes, whatever of it is there."""
    study = settings.study
    assert study is not None
    local = local_file(settings.environment.get("MLFLOW_TRACKING_URI") or tracking_uri(home())) is not None
    return disk_use(study, files_of_all_cells(study), prompts_of(study), slots_of(settings), local)


def prompts_of(study: Study) -> int:
    """Held-out prompts, as far as the settings tell."""
    simulated = study.ratings.simulate
    expected = round(simulated.prompts * study.evaluation.share) if simulated else PROMPTS_ASSUMED
    return min(study.evaluation.max_prompts or expected, expected)


def _places(settings: Settings) -> list[tuple[str, Location, str]]:
    """Name, place and what of a study goes there."""
    found = [
        ("home", Location.of(home()), HOME),
        ("outputs", Location.of(settings.output), ""),
        ("temporary files", Location.of(Path(tempfile.gettempdir())), ""),
    ]
    if "://" not in settings.store:
        found.append(("store", Location.of(Path(settings.store)), STORE))
    else:
        found.append(("the store's cache", Location.of(home() / "cache"), STORE))
    if settings.study and any(item.hub for item in settings.study.architectures):
        from huggingface_hub.constants import HF_HUB_CACHE

        found.append(("the hub's models", Location.of(Path(HF_HUB_CACHE)), HUB))
    return found


def _room(settings: Settings, volume: Volume) -> Finding:
    free = volume.place.free
    text = f"{amount(free)} free at {volume.place.there} ({', '.join(volume.names)})"
    if volume.wanted:
        text += f", and {_name(settings)} writes at most about {amount(volume.wanted)} there"
    if free < LEAST or free < volume.wanted - volume.anew:
        return Finding(BAD, "disk", text, CLEAR)
    if free < volume.wanted:
        return Finding(NOTE, "disk", f"{text}; an earlier run may have made enough of it: pluralign plan tells")
    return Finding(OK, "disk", text)


def _name(settings: Settings) -> str:
    return settings.study.name if settings.study else "a study"


def _made_before(study: Study, address: str) -> float:
    """The share of the study's cells that an earlier run finished, in a store that is a folder of this machine."""
    if "://" in address or not Path(address).is_dir():
        return 0.0
    wanted = [cell.name for cell in cells(study) if cell.condition != CONTROL]
    made = History(FolderStore(Path(address)), study.name).cells()
    return sum(name in made for name in wanted) / len(wanted) if wanted else 0.0
