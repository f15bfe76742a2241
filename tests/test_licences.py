"""Every distribution that is locked has a licence that we know and allow."""

from __future__ import annotations

from email.message import Message

import pytest

from tests import licences


def test_every_locked_distribution_has_a_licence_that_is_allowed() -> None:
    found, faults = licences.licences(licences.locked())
    assert faults == []
    assert found["prefect"] == "Apache-2.0"
    assert len(found) == len(licences.locked()) > 100


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"License-Expression": "MIT AND (Apache-2.0 OR MPL-2.0)"}, ""),
        ({"License": "BSD 3-Clause License"}, ""),
        ({"License": "Copyright\nthe whole text", "Classifier": "License :: OSI Approved :: MIT License"}, ""),
        ({"License-Expression": "AGPL-3.0-only"}, "some: AGPL-3.0-only: not among the licences allowed"),
        ({"License-Expression": "MIT AND GPL-2.0-only"}, "some: GPL-2.0-only: not among the licences allowed"),
        ({"License": "Ours alone"}, "some: Ours alone: not among the licences allowed"),
        ({"Classifier": "License :: Other/Proprietary License"}, "some: Other/Proprietary License: not among"),
        ({"License": "all rights reserved " * 9}, "some: declares no licence"),
        ({}, "some: declares no licence"),
    ],
)
def test_what_is_unknown_or_not_allowed_is_a_fault(
    said: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = Message()
    for name, value in said.items():
        message[name] = value
    monkeypatch.setattr(licences, "metadata", lambda name: message)
    fault = licences.fault("some", licences.declared("some"))
    assert fault.startswith(expected) if expected else fault == ""


def test_what_is_named_and_no_longer_locked_is_a_fault() -> None:
    faults = licences.licences(["huey", "not-there-at-all"])[1]
    assert "not-there-at-all: not installed, so its licence can't be read; make setup" in faults
    assert "skops: named in NAMED, and no longer locked" in faults
    assert not any(fault.startswith("huey") for fault in faults)
