"""A small study on simulated raters, exported once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.exporting.export import export_study
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import Artifact
from tasks.runtime.stores import chosen_store
from tasks.simulation.step import simulated_export

SECRET = "a secret of more than sixteen letters"
TOXICITY, EA = "toxicity", "emotional-awareness"
ALL = {"dimensions": [TOXICITY], "scale": "5-point"}
STUDY = {
    "name": "small",
    "ratings": {
        "simulate": {"participants": 60, "prompts": 16, "responses_each": 3},
        "codebooks": ["survey-app-en", "survey-app-de"],
    },
    "evaluation": {"share": 0.3, "dimensions": [TOXICITY]},
    "placebo": 0,
    "raters": {},
    "strata": {
        "female": {"attribute": "gender", "values": ["she/her/hers"], "title": "women"},
        "male": {"attribute": "gender", "values": ["he/him/his"], "title": "men"},
        "rare": {"attribute": "gender", "values": ["they/them/theirs"]},
    },
    "survey": {"reference": {}},
    "experiments": {
        "ways": {
            "title": "Ways",
            "question": "Which?",
            "groups": ["female", "male"],
            "conditions": {
                "all": ALL,
                "both": ALL | {"dimensions": [TOXICITY, EA]},
                "kto": ALL | {"method": "kto"},
                "grpo": ALL | {"method": "grpo"},
                "female": ALL | {"stratum": "female"},
                "male": ALL | {"stratum": "male"},
                "named": ALL | {"voices": "named"},
                "merged": ALL | {"voices": "merged"},
                "rare": ALL | {"stratum": "rare"},
            },
            "contrasts": {"all - control": {}},
        }
    },
}


@dataclass(frozen=True)
class Exported:
    """The study, its ratings, and where its export is."""

    study: Study
    ratings: Artifact
    data: StudyData
    folder: Path
    lines: list[str]

    @property
    def home(self) -> Path:
        return self.folder.parent / "home"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """With a home of its own. Not to be changed."""
    place = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PLURALIGN_HOME", str(place / "home"))
        patch.setenv("PLURALIGN_SECRET", SECRET)
        study = load_study("demo", STUDY)
        lines = export_study(study, place / "export")
        store = chosen_store()
        ratings = read_ratings(study, store, simulated_export(study, store))
        return Exported(study, ratings, load_data(study, ratings), place / "export", lines)
