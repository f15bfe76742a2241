"""The labels, pairs and rewards of every condition of an experiment, as a task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.preferences.experiment import keep_preferences

prepare_experiment = task(name="preferences", task_run_name="preferences · {name}", cache_policy=NO_CACHE)(
    keep_preferences
)
