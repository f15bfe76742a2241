"""How fast the judge asks and reads: `python tests/benchmarks/judge.py [throughput|limit|silent|read …]`.

Against a local server in a process of its own. throughput: 50 ms a call and no limits, 64 calls in flight, against the
ideal of 64 / 0.05 a second. limit: 600 calls a minute, at most ten at once, told in OpenAI's headers; silent: the same,
told by refusals alone. read: 100,000 verdicts from disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from configs.schema import Dimension, LlmJudgeSettings
from tasks.judging.llm.judge import LlmJudge
from tasks.judging.llm.rubric import make_rubric
from tasks.judging.llm.verdicts import Verdict, Verdicts

AT_ONCE, DELAY, RATE = 64, 0.05, 10.0
IDEAL, OF_LIMIT, REFUSED, SECONDS = 0.85, 0.95, 0.02, 2.0
"""Targets."""
DIMENSIONS = {
    "toxicity": Dimension(title="Toxicity", better="lower", definition="offensive and harmful language"),
    "emotional-awareness": Dimension(title="Awareness", better="higher", definition="emotional support and empathy"),
}


def main(names: list[str]) -> int:
    """Print what each takes; 1 where one misses its target."""
    parts = {"throughput": throughput, "limit": limit, "silent": lambda: limit("silent"), "read": read}
    return max(int(not parts[name]()) for name in names or parts)


def throughput() -> bool:
    n = 8000
    seconds, _, cpu = ask(n)
    share = n / seconds / (AT_ONCE / DELAY)
    print(
        f"throughput: {n:,} calls in {seconds:.2f} s, {n / seconds:,.0f} a second, {share:.1%} of the ideal (target "
        f"{IDEAL:.0%}); {1000 * cpu / n:.2f} ms of this process's CPU a call"
    )
    return share >= IDEAL


def limit(*how: str) -> bool:
    n = 1800 if how else 900  # without headers the first refusals teach, and weigh the less the longer it goes on
    seconds, calls, _ = ask(n, f"{60 * RATE:g}", *how)
    share, refused = (n / seconds) / RATE, 1 - n / calls
    print(
        f"limit of {60 * RATE:g} a minute{', told by refusals alone' if how else ''}: {n} verdicts in {seconds:.1f} s, "
        f"{share:.1%} of the limit (target {OF_LIMIT:.0%}), {refused:.1%} of {calls} calls refused (target "
        f"{REFUSED:.0%})"
    )
    return share >= OF_LIMIT and refused <= REFUSED


def read() -> bool:
    keys = [hashlib.sha256(str(number).encode()).digest() for number in range(100_000)]
    with tempfile.TemporaryDirectory() as folder:
        store = Verdicts(Path(folder) / "verdicts.db")
        store.add("judge", [(key, Verdict((1, 5), "", "gpt-4o-mini-2024-07-18", 300, 12)) for key in keys])
        store.close()
        started = time.perf_counter()
        found = Verdicts(Path(folder) / "verdicts.db").find(keys)
        seconds = time.perf_counter() - started
    print(f"read: {len(found):,} verdicts in {seconds:.2f} s (target {SECONDS:g} s)")
    return seconds <= SECONDS


def ask(n: int, *limited: str) -> tuple[float, int, float]:
    """Seconds for n verdicts, calls that the server saw for it, CPU seconds of this process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.endpoint", str(port), str(DELAY), *limited], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    settings = LlmJudgeSettings(kind="llm", model="m", base_url=f"http://127.0.0.1:{port}/v1", at_once=AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        store = Verdicts(Path(folder) / "verdicts.db")
        judge = LlmJudge(settings, make_rubric(settings, DIMENSIONS, 5), store, lambda: "a key")
        judge.verdicts([("is it up?", "yes")])
        started, cpu = time.perf_counter(), time.process_time()
        judge.verdicts([("a prompt of a few words", f"answer {number} {'of some words ' * 20}") for number in range(n)])
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        judge.close()
    said, _ = server.communicate("")
    return seconds, json.loads(said)["calls"] - 1, cpu


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main(sys.argv[1:]))
