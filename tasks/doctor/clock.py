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
    ahead = dict[str, float]()
    for found in settings.clocks:  # a server that is busy may tell a time that is past, but none that is to come
        ahead[found.name] = max(found.ahead, ahead.get(found.name, found.ahead))
    off = {name: seconds for name, seconds in ahead.items() if abs(seconds) > MOST}
    for name, seconds in off.items():
        side = "ahead of" if seconds > 0 else "behind"
        yield Finding(BAD, NAME, f"{name} is {abs(seconds):,.0f} s {side} this machine",
                      "let both keep time (NTP): object stores refuse what is signed 15 minutes off")  # fmt: skip
    if not off:
        yield Finding(OK, NAME, f"within {MOST:.0f} s of {', '.join(ahead)}")
