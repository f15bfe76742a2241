"""The store of verdicts: append-only, by key, with several writers, through a kill, at once."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from configs.schema import LlmJudgeSettings
from tasks.judging.llm.verdicts import SCHEMA, Verdict, Verdicts, verdict_key


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def test_a_verdict_comes_back_as_it_was_and_what_is_unscored_with_its_reason(tmp_path: Path) -> None:
    made = {key(1): Verdict((1, 5), "", "m-1", 300, 12), key(2): Verdict((), "refused", "m-1", 600, 20)}
    Verdicts(tmp_path / "v.db").add("judge", made.items())
    assert Verdicts(tmp_path / "v.db").find([key(1), key(2), key(3)]) == made


def test_the_first_verdict_of_a_key_counts(tmp_path: Path) -> None:
    store = Verdicts(tmp_path / "v.db")
    store.add("judge", [(key(1), Verdict((1,))), (key(1), Verdict((2,)))])
    store.add("judge", [(key(1), Verdict((3,))), (key(2), Verdict((4,)))])
    assert store.find([key(1), key(2)]) == {key(1): Verdict((1,)), key(2): Verdict((4,))}


def test_only_what_lasts_is_kept(tmp_path: Path) -> None:
    store = Verdicts(tmp_path / "v.db")
    store.add("judge", [(key(1), Verdict((), "not JSON")), (key(2), Verdict((), "no answer: HTTP 500")),
                        (key(3), Verdict((), "refused")), (key(4), Verdict((2,)))])  # fmt: skip
    store.add("judge", [(key(1), Verdict((5,)))])
    assert set(store.find([key(n) for n in range(6)])) == {key(1), key(3), key(4)}


def test_failures_that_an_earlier_version_kept_are_forgotten_and_verdicts_are_not(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    rows = [(key(1), b"\1\5", ""), (key(2), b"", "not JSON"), (key(3), b"", "no answer: HTTP 500: later"),
            (key(4), b"", "refused"), (key(5), b"", "cut off")]  # fmt: skip
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        insert = "INSERT INTO verdicts VALUES (?, 'j', ?, ?, 'm', 1, 1, '2026')"
        connection.executemany(insert, rows)
    store = Verdicts(path)
    assert set(store.find([key(n) for n in range(6)])) == {key(1), key(4)}
    store.add("judge", [(key(2), Verdict((3,)))])
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="only added"):
        connection.execute("DELETE FROM verdicts")
    assert set(Verdicts(path).find([key(n) for n in range(6)])) == {key(1), key(2), key(4)}


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9])
def test_a_file_that_was_cut_short_is_put_away_and_what_can_be_read_of_it_is_kept(
    share: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, made = tmp_path / "v.db", {key(number): Verdict((1 + number % 5,)) for number in range(2000)}
    first = Verdicts(path)
    first.add("judge", made.items())
    first.close()
    os.truncate(path, int(path.stat().st_size * share))
    store = Verdicts(path)
    found = store.find(list(made))
    assert found.items() <= made.items()
    assert len(found) >= (share - 0.3) * len(made)  # about the share that is still there
    assert len([name for name in os.listdir(tmp_path) if name.startswith("v.db.damaged-")]) == 1
    (line,) = caplog.messages
    assert f"{len(found)} verdicts of it could be read, the others are asked for again" in line
    store.add("judge", made.items())  # as they are asked for
    store.close()
    assert Verdicts(path).find(list(made)) == made
    assert len(caplog.messages) == 1


def test_a_file_that_is_no_database_is_put_away(tmp_path: Path) -> None:
    (tmp_path / "v.db").write_text("something else, and enough of it to be taken for a file " * 20)
    store = Verdicts(tmp_path / "v.db")
    store.add("judge", [(key(1), Verdict((1,)))])
    assert set(store.find([key(1)])) == {key(1)}


@pytest.mark.parametrize("change", ["DELETE FROM verdicts", "UPDATE verdicts SET reason = 'other'"])
def test_verdicts_are_only_ever_added(tmp_path: Path, change: str) -> None:
    Verdicts(tmp_path / "v.db").add("judge", [(key(1), Verdict((1,)))])
    with sqlite3.connect(tmp_path / "v.db") as connection, pytest.raises(sqlite3.IntegrityError, match="only added"):
        connection.execute(change)


def test_a_key_knows_judge_rubric_decoding_and_both_texts_and_nothing_else() -> None:
    def made(rubric: str = "r", prompt: str = "p", answer: str = "a", **changes: object) -> bytes:
        return verdict_key(LlmJudgeSettings(**{"kind": "llm", "model": "m", **changes}), rubric, prompt, answer)

    others = [made(model="n"), made(temperature=0.5), made(max_tokens=50), made(rubric="s"), made(prompt="q"),
              made(answer="b"), made(prompt="pa", answer=""), made(answer="\ud800")]  # fmt: skip
    assert len({made(), *others}) == 9
    assert made(base_url="http://elsewhere", at_once=1, batch=True, retries=1) == made()


WRITER = """
import sys
from pathlib import Path
from tasks.judging.llm.verdicts import Verdict, Verdicts
from tests.tasks.judging.llm.test_verdicts import key

store, first = Verdicts(Path(sys.argv[1])), int(sys.argv[2])
for number in range(first, first + int(sys.argv[3])):
    store.add("judge", [(key(number), Verdict((1 + number % 5,)))])
    print(number, flush=True)
"""


def writer(path: Path, first: int, n: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(n)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip


def test_processes_and_threads_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Three processes with overlapping keys, and four threads of this one."""
    path = tmp_path / "v.db"
    writers, store = [writer(path, first, 60) for first in (0, 30, 60)], Verdicts(path)

    def add_some(first: int) -> None:
        for number in range(first, first + 20):
            store.add("judge", [(key(number), Verdict((3,)))])

    threads = [threading.Thread(target=add_some, args=[first]) for first in (1000, 1020, 1040, 1060)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    found = store.find([key(n) for n in [*range(120), *range(1000, 1080)]])
    assert len(found) == 200
    assert found[key(77)] == Verdict((1 + 77 % 5,))


def test_what_was_added_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    process = writer(path, 0, 100_000)
    told = [int(process.stdout.readline()) for _ in range(25)]  # type: ignore[union-attr]
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = Verdicts(path)
    assert set(store.find([key(number) for number in told])) == {key(number) for number in told}
    store.add("judge", [(key(-1), Verdict((1,)))])


def test_a_hundred_thousand_verdicts_are_read_in_two_seconds(tmp_path: Path) -> None:
    store, keys = Verdicts(tmp_path / "v.db"), [key(number) for number in range(100_000)]
    store.add("judge", [(one, Verdict((1, 5), "", "gpt-4o-mini-2024-07-18", 300, 12)) for one in keys])
    store.close()
    started = time.process_time()  # its own work, whatever else the machine does
    assert len(Verdicts(tmp_path / "v.db").find(keys)) == 100_000
    assert time.process_time() - started < 2.0


def test_batches_are_planned_then_submitted_then_collected(tmp_path: Path) -> None:
    store = Verdicts(tmp_path / "v.db")
    store.plan_batch("one", [key(1), key(2)])
    store.plan_batch("two", [key(3)])
    store.submit_batch("one", "batch-1")
    assert store.open_batches() == [("one", "batch-1", [key(1), key(2)]), ("two", None, [key(3)])]
    store.collect_batch("one")
    assert Verdicts(tmp_path / "v.db").open_batches() == [("two", None, [key(3)])]
