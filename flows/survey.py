"""What the ratings say."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from configs.schema import Study
from tasks.ratings.load import Data
from tasks.survey.step import survey_tables


@flow(name="survey", flow_run_name="survey", validate_parameters=False)
def survey_ratings(study: Study, data: Data) -> dict[str, pd.DataFrame]:
    """Participants, disagreement, co-occurrence, reliability, and differences between the strata that are compared."""
    return survey_tables(study, data)
