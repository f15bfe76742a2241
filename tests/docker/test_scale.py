"""What is calculated for many GPUs: the page shows what the script prints, and the script schedules sensibly."""

from __future__ import annotations

from functools import cache

import pytest

from configs.load import load_study
from configs.schema import Study
from tests.benchmarks.scale import PAIRS, Job, jobs_of, loading, rows, scheduled, tables
from tests.docker.stack import DOCKER


@cache
def paper() -> Study:
    return load_study("paper")


def test_the_page_shows_what_the_script_prints() -> None:
    assert tables(paper()) in (DOCKER / "README.md").read_text()


def test_the_runs_are_the_papers() -> None:
    conditions = {name for key, experiment in paper().experiments.items() if key != "methods"
                  for name in experiment.conditions}  # fmt: skip
    assert conditions - set(PAIRS) == {"all", "dpo-toxicity", "grpo-toxicity-ea"}, "the first two are 5-point's run"
    assert len(PAIRS) + 1 == 16


def test_one_gpu_loads_every_base_once_and_is_never_idle() -> None:
    jobs = jobs_of(paper(), 0)
    alone = scheduled(jobs, 1)
    assert alone.loads == len(paper().architectures)
    fetched = sum(loading(base, False) for base in paper().architectures)
    assert alone.seconds == pytest.approx(sum(job.seconds for job in jobs) + fetched)


def test_more_gpus_are_never_slower_and_no_faster_than_the_longest_job() -> None:
    jobs = jobs_of(paper(), 8)
    seconds = [scheduled(jobs, gpus).seconds for gpus in (1, 8, 64)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] >= max(job.seconds for job in jobs)


def test_nobody_helps_where_loading_takes_longer_than_what_is_left() -> None:
    base = paper().architectures[0]
    assert scheduled([Job(base, 1.0), Job(base, 1.0)], 8).loads == 1


def test_replicates_come_on_top() -> None:
    small, large = (
        [row for row in rows(paper()) if row.replicates == number and row.gpus == 1] for number in (0, 8)
    )  # fmt: skip
    assert large[0].runs == 9 * small[0].runs == 9 * 7 * 16
