"""The store of artifacts: a real put and get, where the study's runs will do the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from configs.errors import InputError
from tasks.doctor.asking import NoReply, ask
from tasks.doctor.finding import OK, Finding, Findings, Settings, bad_line
from tasks.doctor.places import Location
from tasks.planning.disk_use import amount
from tasks.runtime.store import FolderStore
from tasks.runtime.stores import ADDRESS, open_store

NAME = "store"
ADVICE = f"correct {ADDRESS} or --store; credentials come from the environment"


def store_check(settings: Settings) -> Findings:
    address = settings.store
    try:
        if "://" in address:
            _hear_endpoint(settings, address)
            open_store(address).check()
            yield Finding(OK, NAME, f"{address}: put, read and removed; of two writers one wins")
        else:
            yield _folder(Path(address))
    except InputError as error:
        yield bad_line(NAME, str(error), ADVICE)


def _folder(folder: Path) -> Finding:
    """One that is not there yet is tried in the folder above it: only a run makes it, with the rights that it has."""
    place = Location.of(folder)
    if place.fault:
        raise InputError(f"{folder.absolute()}: {place.fault}; the store must be a folder that can be written")
    text = f"{folder.absolute()}, {amount(place.free)} free"
    if place.there == place.folder:
        FolderStore(folder).check()
        return Finding(OK, NAME, text)
    try:
        with tempfile.TemporaryDirectory(dir=place.there, prefix=".pluralign-check") as scratch:
            FolderStore(Path(scratch) / "store").check()
    except OSError as error:
        raise InputError(f"{place.there}: {error.strerror}; the store must be a folder that can be written") from None
    return Finding(OK, NAME, f"{text}; the first run makes it")


def _hear_endpoint(settings: Settings, address: str) -> None:
    """What the clock says where the store's objects are. Raises `InputError` where nothing answers."""
    endpoint = endpoint_of(address, settings.environment)
    if not endpoint:
        return
    try:
        settings.read_clock("the object store", ask(endpoint).ahead)
    except NoReply as error:
        raise InputError(f"{address}: {endpoint}: {error}") from None


def endpoint_of(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """The web address that the objects of a URL are asked for at; "" where there is none, or it is not known."""
    scheme = urlsplit(address).scheme
    if scheme == "s3":
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        return next((url for name in names if (url := environment.get(name))), f"https://s3.{region}.amazonaws.com")
    if scheme == "gs":
        return "https://storage.googleapis.com"
    return ""
