"""What the ratings say, as a flow."""

from __future__ import annotations

from prefect import flow

from flows.outcome import run_name
from flows.parts import survey_alone

run_survey = flow(name="survey-only", flow_run_name=lambda: f"{run_name()} · survey")(survey_alone)
