"""This machine's clock against those of the servers that the other checks have asked."""

from __future__ import annotations

from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings

NAME = "clock"
MOST = 60.0
"""Seconds that it may be off. Object stores refuse signatures from 15 minutes on; claims go by no clock."""


def clock_check(settings: Settings) -> Findings:
    if not settings.clocks:
        yield Finding(NOTE, NAME, "no server told its time, so this machine's was not compared")
        return
    off = [found for found in settings.clocks if abs(found.ahead) > MOST]
    for found in off:
        side = "ahead of" if found.ahead > 0 else "behind"
        yield Finding(BAD, NAME, f"{found.name} is {abs(found.ahead):,.0f} s {side} this machine",
                      "let both keep time (NTP): object stores refuse what is signed 15 minutes off")  # fmt: skip
    if not off:
        names = ", ".join(dict.fromkeys(found.name for found in settings.clocks))
        yield Finding(OK, NAME, f"within {MOST:.0f} s of {names}")
