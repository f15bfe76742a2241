"""A small study over and over, with faults at random: each time its tables must be those of the undisturbed run.

    python tests/benchmarks/soak.py [--runs 50] [--minutes 60] [--seed 0]

Each time begins in a new home, on a small disk of its own where one may be mounted, with a part of what the undisturbed
run made already there. One to three faults strike while the study runs, at random seconds; what is stored is damaged
while nothing runs. A run that ends before it is done is begun again, as a person would, a few times at most. Then its
exit code must be 0, its tables equal to the undisturbed run's, nothing half-written, each training run once in MLflow.
Printed: a line each time, and how often each fault struck; the folder of a time that went wrong stays.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
os.environ["PLURALIGN_SECRET"] = "one key of the pseudonyms for all homes"

import pandas as pd
import psutil
import yaml

from tests.endpoint import NO_ANSWERS, OK, Endpoint
from tests.flows.conftest import STUDY, Place, new_place, results

MOST_STARTS = 8
DISK = "500m"
GOES = "resumed_from"
"""The column that says in how many goes a run was trained, which may differ."""


@dataclass
class Judge:
    """An endpoint that has good and bad times."""

    random: random.Random
    bad_until: float = 0.0

    def fault(self, number: int, text: str) -> str:
        return self.random.choice(NO_ANSWERS) if time.monotonic() < self.bad_until else OK


@dataclass
class Running:
    """One start of the study, and what strikes it."""

    place: Place
    random: random.Random
    judge: Judge
    process: subprocess.Popen[str]
    companions: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.place.folder / "home"

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def kill_parent(self) -> None:
        self.process.kill()

    def kill_child(self) -> None:
        """One of those that train, or Prefect's temporary server."""
        for child in self.random.sample(children := self.family(), min(1, len(children))):
            child.kill()

    def stop(self) -> None:
        self.process.send_signal(self.random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))

    def freeze(self) -> None:
        """Any of its processes stands still for some seconds."""
        with suppress(psutil.NoSuchProcess):
            one = self.random.choice([psutil.Process(self.process.pid), *self.family()])
            one.suspend()
            time.sleep(self.random.uniform(1, 8))
            one.resume()

    def lock_mlflow(self) -> None:
        self._lock(self.home / "mlflow.db")

    def lock_prefect(self) -> None:
        self._lock(self.place.folder / "prefect" / "prefect.db")

    def _lock(self, database: Path) -> None:
        if database.exists():
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database, timeout=10)) as held:
                held.execute("BEGIN EXCLUSIVE")
                time.sleep(self.random.uniform(2, 12))

    def fill_disk(self) -> None:
        """No byte is left for some seconds, if the disk is the study's own."""
        filler = self.place.folder / "filler"
        if os.path.ismount(self.place.folder):
            with suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(2**20))
                    file.flush()
            time.sleep(self.random.uniform(2, 8))
            filler.unlink(missing_ok=True)

    def trouble_judge(self) -> None:
        self.judge.bad_until = time.monotonic() + self.random.uniform(3, 15)

    def start_another(self) -> None:
        self.companions.append(start(self.place, "outputs/another", 1))


LIVE = [Running.kill_parent, Running.kill_child, Running.stop, Running.freeze, Running.lock_mlflow,
        Running.lock_prefect, Running.fill_disk, Running.trouble_judge, Running.start_another]  # fmt: skip


# ---- damage to what is stored, while nothing runs


def cut(file: Path, draw: random.Random) -> None:
    os.truncate(file, draw.randrange(file.stat().st_size))


def flip_a_byte(file: Path, draw: random.Random) -> None:
    with file.open("r+b") as opened:
        opened.seek(draw.randrange(file.stat().st_size))
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ (1 << draw.randrange(8))]))


def remove(file: Path, draw: random.Random) -> None:
    file.unlink()


DAMAGES = (cut, flip_a_byte, remove)
KEPT_WHOLE = (".lock", "secret")
"""What the product can't know to be damaged, or for which there is no other source."""


def damage(home: Path, draw: random.Random) -> str:
    """One file of the store: of an artifact, a checkpoint, the verdicts, or what is remembered."""
    files = [path for path in sorted((home / "store").rglob("*")) if path.is_file() and path.stat().st_size]
    files = [path for path in files if not path.name.endswith(KEPT_WHOLE)]
    if not files:
        return "nothing to damage"
    stage = draw.choice(sorted({path.relative_to(home / "store").parts[0] for path in files}))
    file = draw.choice([path for path in files if path.relative_to(home / "store").parts[0] == stage])
    kind = draw.choice(DAMAGES)
    kind(file, draw)
    return f"{kind.__name__} {file.relative_to(home / 'store')}"


# ---- one time


def start(place: Place, output: str, workers: int) -> subprocess.Popen[str]:
    arguments = ["run", "small.yaml", "--workers", str(workers), "--output", output]
    with (place.folder / f"{Path(output).name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments], cwd=place.folder, env=place.environment(), text=True,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def write_study(place: Place, judge: Endpoint) -> None:
    """Six training runs on two architectures, with checkpoints as often as can be."""
    study = yaml.safe_load(STUDY)
    study["experiments"].pop("demographics")
    study["recipe"]["checkpoint_seconds"] = 0.5
    study["judge"] = {"kind": "llm", "model": "m", "base_url": judge.url, "timeout": 5.0, "retries": 12}
    Path(place.study).write_text(yaml.safe_dump(study))


def with_part_of(store: Path, place: Place, draw: random.Random) -> None:
    """Some of what the undisturbed run made; what is costly and is in every study is mostly there."""
    for record in sorted(store.glob("*/*/record.json")):
        stage, key = record.parent.parent.name, record.parent.name
        if draw.random() < (0.9 if stage in ("bases", "ratings", "surveys") else 0.3):
            shutil.copytree(record.parent, place.folder / "home" / "store" / stage / key)


def strike(running: Running, usual: float, struck: list[str]) -> None:
    """One to three faults, at random seconds of a run that usually takes so long."""
    moments = sorted(running.random.uniform(0, usual) for _ in range(running.random.randint(1, 3)))
    began = time.monotonic()
    for moment in moments:
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(max(moment - (time.monotonic() - began), 0))
            return
        fault = running.random.choice(LIVE)
        struck.append(fault.__name__)
        fault(running)


def once(place: Place, usual: float, judge: Judge, draw: random.Random) -> tuple[list[str], list[int]]:
    """The study, to its end and all of it in MLflow: what struck, and the exit codes of each start."""
    struck: list[str] = []
    codes: list[int] = []
    said = place.folder / "small.log"
    before = 0
    while len(codes) < MOST_STARTS and (
        not codes or codes[-1] != 0 or "next run catches up" in said.read_text()[before:]
    ):
        before = len(said.read_text()) if said.exists() else 0
        if draw.random() < 0.5:
            struck.append(damage(place.folder / "home", draw).partition("/")[0])
        running = Running(place, draw, judge, start(place, "outputs/small", draw.randint(1, 2)))
        if len(codes) < 3:  # then it is left in peace
            strike(running, usual, struck)
        codes.append(running.process.wait(900))
        for companion in running.companions:
            companion.wait(900)
    return struck, codes


def faults_of(place: Place, wanted: dict[str, pd.DataFrame], codes: list[int]) -> Iterator[str]:
    if codes[-1] != 0:
        yield f"it did not come to its end: exit codes {codes}"
        return
    found = results(place.tables, GOES)
    if found.keys() != wanted.keys():
        yield f"tables {sorted(found.keys() ^ wanted.keys())}"
    for name in found.keys() & wanted.keys():
        try:
            pd.testing.assert_frame_equal(found[name], wanted[name], check_exact=True)
        except AssertionError as error:
            yield f"{name}: {' '.join(str(error).split())[:300]}"
    if partial := list((place.folder / "home" / "store").glob("*/*.partial")):
        yield f"half-written: {[path.name for path in partial]}"
    with closing(sqlite3.connect(place.folder / "home" / "mlflow.db")) as database:
        query = (
            "SELECT value, COUNT(*) FROM tags JOIN runs USING (run_uuid) WHERE key = 'pluralign.training_run' "
            "AND lifecycle_stage = 'active' AND status = 'FINISHED' GROUP BY value"
        )
        logged = dict(database.execute(query).fetchall())
    runs = set(pd.read_csv(place.tables / "cells.csv")["training_run"].dropna())
    if doubled := {run: count for run, count in logged.items() if count > 1}:
        yield f"more than once in MLflow: {doubled}"
    if missing := runs - logged.keys():
        yield f"not in MLflow: {sorted(missing)}"
    said = (place.folder / "small.log").read_text()
    if "Traceback" in said:
        yield "a traceback in what it says"


@contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """A small disk at the folder, if one may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield
    finally:
        if mounted:
            shutil.copytree(folder, kept := folder.with_name(f"{folder.name}-kept"), symlinks=True)
            subprocess.run(["umount", "-l", str(folder)], check=False)
            folder.rmdir()
            kept.rename(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60.0, help="no new time begins after so many")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    judge, counted, wrong = Judge(random.Random(options.seed)), Counter[str](), 0
    began, times = time.monotonic(), 0
    grade: Callable[[str, str], int] = lambda text, dimension: 1 + (len(text.split()) + len(dimension)) % 5  # noqa: E731
    with Endpoint(fault=judge.fault, grade=grade) as endpoint:
        undisturbed = new_place(root / "undisturbed")
        write_study(undisturbed, endpoint)
        assert start(undisturbed, "outputs/small", 2).wait(900) == 0, (undisturbed.folder / "small.log").read_text()
        usual, wanted = time.monotonic() - began, results(undisturbed.tables, GOES)
        print(f"undisturbed: {usual:.0f} s, {len(wanted)} tables, {len(wanted['cells'])} cells", flush=True)
        for number in range(options.runs):
            if time.monotonic() - began > 60 * options.minutes:
                break
            draw, since = random.Random(f"{options.seed}/{number}"), time.monotonic()
            folder = root / f"{number:03d}"
            with own_disk(folder):
                place = new_place(folder)
                write_study(place, endpoint)
                with_part_of(undisturbed.folder / "home" / "store", place, draw)
                struck, codes = once(place, usual, judge, draw)
                faults = list(faults_of(place, wanted, codes))
            judge.bad_until, times = 0.0, times + 1
            counted.update(name.split()[0] for name in struck)
            wrong += bool(faults)
            said = f"{number:3d}  {time.monotonic() - since:4.0f} s  exit codes {codes}  {', '.join(struck)}"
            print(said, *(f"\n     WRONG: {fault}" for fault in faults), flush=True)
            if not faults:
                shutil.rmtree(folder)
    print(f"{times} times in {(time.monotonic() - began) / 60:.0f} min, {wrong} wrong; struck: {dict(counted)}")
    if wrong:
        print(f"what went wrong lies in {root}")
    else:
        shutil.rmtree(root)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
