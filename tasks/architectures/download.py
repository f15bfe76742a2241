"""How far a download from the hub is: what its library would draw as bars, told as progress."""

from __future__ import annotations

from typing import Any

from tasks.runtime.progress import Progress, Report

MEGABYTE = 1e6


def bars_that_tell(progress: Progress) -> type:
    """A class of tqdm's kind for the hub's `tqdm_class`: it draws nothing, and tells megabytes.

    The hub counts the same bytes as received and as written; the bar that has most of them is told.
    """
    from tqdm import tqdm

    bars: list[Any] = []

    class TellingBar(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings | {"disable": True})
            if settings.get("unit") == "B":
                bars.append(self)

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if any(bar is self for bar in bars):  # tqdm has an equality of its own
                most = max(bars, key=lambda bar: bar.n)
                progress(Report("download", most.n / MEGABYTE, (most.total or 0) / MEGABYTE, "MB"))
            return None

    return TellingBar
