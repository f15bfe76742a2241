"""A job is data: it is the same after a journey as JSON, and a worker does nothing but the jobs that it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from tasks.architectures.load import BaseRef
from tasks.architectures.step import Pretrain
from tasks.generation.step import Answer
from tasks.methods.step import Train
from tasks.runtime.in_process import InProcess
from tasks.runtime.job import Desk, Job, Result
from tasks.runtime.local.jobs import as_order, read_job
from tasks.runtime.runner import JobFailed
from tasks.runtime.store import MemoryStore, StoredFile
from tests.models import RECIPE, architecture

BASE = BaseRef(architecture=architecture("llama"), key="base")
FILE = StoredFile(stage="training-sets", key="abc", name="dpo.parquet")
JOBS = [
    Pretrain(architecture=architecture("llama"), recipe=RECIPE.pretraining, max_length=96, texts=FILE, seed=3),
    Train(base=BASE, method="dpo", data=FILE, digest="d", recipe=RECIPE, seed=1, steps=7, card="# Über"),
    Train(base=BASE, method="grpo", data=FILE, digest="d", recipe=RECIPE, seed=1),
    Answer(base=BASE, run_key=None, prompts="p", recipe=RECIPE),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.title)
def test_a_job_is_the_same_after_a_journey_as_json(job: Job) -> None:
    again = read_job(json.loads(json.dumps(as_order(job))))
    assert again == job
    assert (again.stage, again.key, again.near, again.gpus) == (job.stage, job.key, job.near, job.gpus)


def test_where_its_data_lie_and_what_its_card_says_are_no_part_of_a_run_s_identity() -> None:
    moved = JOBS[1].model_copy(update={"data": FILE.model_copy(update={"key": "other"}), "card": "another"})
    assert moved.key == JOBS[1].key
    assert JOBS[1].model_copy(update={"seed": 2}).key != JOBS[1].key
    assert JOBS[1].key != JOBS[2].key


def test_a_worker_does_no_job_that_it_does_not_know() -> None:
    with pytest.raises(KeyError, match="os"):
        read_job({"name": "os.system", "job": {}})


class Counted(Result):
    letters: int


class Count(Job[Counted]):
    """Counts the letters of a file."""

    stage: ClassVar[str] = "counts"
    result: ClassVar[type[Result]] = Counted
    text: StoredFile

    @property
    def key(self) -> str:
        return self.text.key

    @property
    def title(self) -> str:
        return "count"

    def run(self, desk: Desk) -> Counted:
        (desk.folder / "copy.txt").write_text(self.text.fetch(desk.store).read_text())
        return Counted(letters=len(self.text.fetch(desk.store).read_text()))


def test_a_job_done_in_this_process_gives_its_typed_result_and_is_then_found() -> None:
    store = MemoryStore()
    runner = InProcess(store)
    job = Count(text=StoredFile(stage="texts", key="one", name="text.txt"))
    with pytest.raises(JobFailed, match="FileNotFoundError: texts/one: no such artifact"):
        runner.run(job)
    store.make("texts", "one", lambda folder: (folder / "text.txt").write_text("four") and None)
    done = runner.run(job)
    assert (done.fresh, done.record.letters, Path(done.path, "copy.txt").read_text()) == (True, 4, "four")
    assert done.record.seconds > 0
    runner.close()
    assert not runner.run(job).fresh  # what is there needs no runner
    with pytest.raises(JobFailed, match="the study was stopped"):
        runner.run(Count(text=StoredFile(stage="texts", key="two", name="text.txt")))
