"""What tests of the report share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are composed and named, but not rendered, on which a report spends most of its time.

    For tests of what a report says: they show nothing of how a figure looks.
    """

    def leave_empty(canvas: Any, place: Path) -> Path:
        svg, png = (place.parent / f"{place.name}.{kind}" for kind in ("svg", "png"))
        svg.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        png.write_bytes(b"")
        return svg

    monkeypatch.setattr("tasks.reporting.house.drawing.write_canvas", leave_empty)
