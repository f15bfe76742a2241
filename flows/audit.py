"""Whose voice is in the data, and what each design choice does to it, as a flow."""

from __future__ import annotations

from prefect import flow

from flows.outcome import run_name
from flows.parts import audit_alone

run_audit = flow(name="audit-only", flow_run_name=lambda: f"{run_name()} · audit")(audit_alone)
