"""The labels, pairs and rewards of every condition of an experiment, as a task."""

from __future__ import annotations

from tasks.preferences.experiment import keep_preferences
from tasks.runtime.step import step

prepare_experiment = step("preferences", "preferences · {name}")(keep_preferences)
