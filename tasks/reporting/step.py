"""Write a study's outputs: tables, figures, report, facts."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from configs.schema import Study
from tasks.reporting.report import write_report
from tasks.reporting.run_facts import Facts
from tasks.runtime.files import write_atomically
from tasks.runtime.spreadsheet import as_csv
from tasks.runtime.step import step

VERSIONS = (
    "pluralign",
    "torch",
    "transformers",
    "trl",
    "peft",
    "prefect",
    "mlflow",
    "pandas",
    "scikit-learn",
    "statsmodels",
)


@step("report")
def write_outputs(study: Study, tables: dict[str, pd.DataFrame], facts: Facts, folder: Path) -> Path:
    """`tables/*.csv`, `figures/`, `report.html`, `report.md` and `study.json`; returns the report's path."""
    facts = replace(facts, versions={name: version(name) for name in VERSIONS})
    for name, table in tables.items():
        write_atomically(folder / "tables" / f"{name}.csv", as_csv(table))
    report = write_report(study, tables, facts, folder)
    everything = {"settings": study.model_dump(mode="json"), **facts.as_json()}
    write_atomically(folder / "study.json", json.dumps(everything, indent=1, ensure_ascii=False))
    return report
