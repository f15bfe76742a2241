"""What the demo's cells spend on neither loading, training, generation nor judging.

    python tests/benchmarks/orchestration.py [ARCHITECTURE …]      # default: tiny-llama tiny-qwen3

Runs the demo from nothing on one slot, and holds the wall time of its cells (Prefect, MLflow, the store, waiting)
against the seconds in which the slot's process worked or started, or a judge did.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))


class Watch:
    """Seconds in which at least one of the watched functions was at work."""

    def __init__(self) -> None:
        self.busy, self._running, self._since, self._lock = 0.0, 0, 0.0, threading.Lock()

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                self._running += 1
                self._since = time.monotonic() if self._running == 1 else self._since
            try:
                return function(*arguments, **named)
            finally:
                with self._lock:
                    self._running -= 1
                    self.busy += time.monotonic() - self._since if self._running == 0 else 0.0

        return watched


def main(architectures: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        os.environ["PLURALIGN_HOME"] = f"{place}/home"
        import flows.cells
        from flows.study import run_study
        from tasks.runtime.local.slot import Slot

        watch = Watch()
        Slot.run = watch.over(Slot.run)  # type: ignore[method-assign]
        flows.cells.score_outputs = watch.over(flows.cells.score_outputs)
        run_study("demo", {"architectures": architectures}, f"{place}/out", workers=1)
        seconds = json.loads(Path(place, "out", "study.json").read_text())["seconds"]["cells"]
    print(f"cells {seconds:.1f} s, of which loading, training, generation and judging {watch.busy:.1f} s: "
          f"orchestration {1 - watch.busy / seconds:.1%}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:] or ["tiny-llama", "tiny-qwen3"])
