"""All that the processes of this machine do, by name: they read nothing else from who asks them."""

from __future__ import annotations

from typing import Any

from tasks.architectures.step import Dequantise, Pretrain
from tasks.generation.replicates import AnswerReplicates
from tasks.generation.step import Answer
from tasks.methods.replicates import TrainReplicates
from tasks.methods.step import Train
from tasks.runtime.job import Job

JOBS: dict[str, type[Job]] = {
    job.__name__: job for job in (Pretrain, Dequantise, Train, TrainReplicates, Answer, AnswerReplicates)
}


def as_order(job: Job) -> dict[str, Any]:
    """A job on its way to another process, as JSON has it."""
    return {"name": type(job).__name__, "job": job.model_dump(mode="json")}


def read_job(order: dict[str, Any]) -> Job:
    """The job of `as_order`."""
    return JOBS[order["name"]].model_validate(order["job"])
