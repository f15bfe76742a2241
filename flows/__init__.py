"""What runs when. Importing it sets what Prefect and MLflow should be unless the environment says otherwise."""

import logging
import os
from pathlib import Path

from tasks.runtime.home import caches, home

LOGGERS = ("configs", "flows", "tasks")
"""Whose lines are the product's own."""
for _name in LOGGERS:
    if logging.getLogger(_name).level == logging.NOTSET:  # else a run that a worker started would log warnings alone
        logging.getLogger(_name).setLevel(logging.INFO)

for _name, _value in {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(LOGGERS),
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # threads of a stage and `plan` log outside of a run, too
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # what the server answers while its database restarts
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",  # for a minute
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "DO_NOT_TRACK": "1",
    **caches(),
}.items():
    os.environ.setdefault(_name, _value)

if not os.environ.get("PREFECT_HOME"):
    os.environ["PREFECT_HOME"] = str(home().resolve() / "temporary-prefect")
    _profiles = Path(os.path.expanduser("~/.prefect/profiles.toml"))
    if _profiles.exists():  # the server that the user chose stays the one that is used
        os.environ.setdefault("PREFECT_PROFILES_PATH", str(_profiles))

import tasks.methods  # noqa: E402, F401 (settings of a study have a block for each training method)
