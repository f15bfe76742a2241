"""Whether each architecture's base, and the judge's encoder, can be had; and the study's ratings."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import constants, get_token

from configs.errors import InputError, lines_of
from configs.schema import Architecture, Encoder, Study
from tasks.architectures.faults import check_files
from tasks.architectures.gguf_file import check_gguf
from tasks.architectures.load import check_access
from tasks.architectures.sizes import weights_folder
from tasks.doctor.asking import NoReply, ask
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings, bad_line
from tasks.ratings.landing.snapshot import collection_of
from tasks.ratings.reading.load import files_of, fitting_codebooks
from tasks.runtime.home import home

DOWNLOAD = "download it elsewhere and name the folder in `models` of the study"
NO_GGUF = "the package gguf is not installed"
INSTALL_GGUF = "pip install 'pluralign[gguf]'"


def ratings_check(settings: Settings) -> Findings:
    study = settings.study
    if study is None:
        return
    try:
        codebooks = fitting_codebooks(study)
        if study.ratings.folder is not None:
            files_of(codebooks, Path(study.ratings.folder))
        if study.ratings.collection is not None:
            collection_of(study, home()).find(study.ratings.snapshot)
    except InputError as error:
        for line in lines_of(error):
            yield bad_line("ratings", line, "ratings in the study say where they are, codebooks how they are read")
        return
    where = study.ratings.folder or study.ratings.collection or "simulated"
    yield Finding(OK, "ratings", f"{where}, by {', '.join(study.ratings.codebooks)}")


def models_check(settings: Settings) -> Findings:
    study = settings.study
    if study is None or not study.experiments:
        return
    tiny = sum(bool(item.tiny) for item in study.architectures)
    if tiny:
        yield Finding(OK, "models", f"{tiny} tiny one{'s' if tiny > 1 else ''}, made here")
    try:
        check_access(study.architectures)
    except InputError as error:
        yield bad_line("models", str(error), "set HF_TOKEN")
    yield from _at_hand(study)
    yield from _of_hub(settings, study)


def _at_hand(study: Study) -> Findings:
    for item in study.architectures:
        if item.gguf and not find_spec("gguf"):
            yield Finding(BAD, "models", f"{item.name}: {NO_GGUF}", INSTALL_GGUF)
        if item.hub or item.tiny:
            continue
        place = Path(str(item.path or item.gguf))
        try:
            check_files(place) if item.path else check_gguf(place)
            yield Finding(OK, "models", f"{item.name}: {place}")
        except InputError as error:
            yield Finding(BAD, "models", f"{item.name}: {place}: {error}", "name the place of its base in the study")


def _of_hub(settings: Settings, study: Study) -> Findings:
    """Those in the hub's cache by their files; the hub is asked for the others, until it does not answer."""
    wanted: list[Architecture | Encoder] = [item for item in study.architectures if item.hub]
    wanted += [item for item in study.judge.encoders if item.hub]
    missing = []
    for item in wanted:
        folder = weights_folder(item) if isinstance(item, Architecture) else None
        if folder is None:
            missing.append(item)
            continue
        try:
            check_files(folder)
            yield Finding(OK, "models", f"{item.name}: {item.hub} is in the hub's cache")
        except InputError as error:
            yield Finding(BAD, "models", f"{item.name}: {item.hub} in the hub's cache: {error}", f"remove {folder}")
    for number, item in enumerate(missing):
        if constants.HF_HUB_OFFLINE:
            names = ", ".join(str(other.hub) for other in missing)
            yield Finding(BAD, "models", f"not in the hub's cache: {names}", f"unset HF_HUB_OFFLINE, or {DOWNLOAD}")
            return
        try:
            reply = ask(f"{constants.ENDPOINT}/api/models/{item.hub}", _token())
        except NoReply as error:
            names = ", ".join(str(other.hub) for other in missing[number:])
            yield Finding(BAD, "models", f"{constants.ENDPOINT}: {error}; not in its cache: {names}", DOWNLOAD)
            return
        settings.read_clock("the hub", reply.ahead)
        yield _of_reply(item, reply.status)


def _of_reply(item: Architecture | Encoder, status: int) -> Finding:
    name = f"{item.name}: {item.hub}"
    if status == 200:
        return Finding(OK, "models", f"{name} is on the hub")
    if status in (401, 403, 404):
        todo = "is that its id? If it is gated, accept its licence there and set HF_TOKEN"
        return Finding(BAD, "models", f"{name}: the hub does not give it (HTTP {status})", todo)
    return Finding(NOTE, "models", f"{name}: the hub answers HTTP {status}; ask again later")


def _token() -> dict[str, str]:
    token = os.environ.get("HF_TOKEN") or get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}
