"""Random damage to what users give ends right, or with exit code 2 and a place.

Here some of the mutations of `tests/benchmarks/mutations.py`, always the same ones; the script makes as many as wanted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.benchmarks.mutations import TRIALS, trial


@pytest.mark.parametrize("kind", TRIALS)
def test_random_mutations_of_study_files_codebooks_exports_effect_tables_and_formulas(kind: str) -> None:
    """No traceback, no hang over ten seconds, exit code 2 with a place, or a right result."""

    @settings(max_examples=25, deadline=None, database=None, derandomize=True, phases=(Phase.generate,))
    @given(seed=st.integers(0, 10**9))
    def ends_well(seed: int) -> None:
        with tempfile.TemporaryDirectory(prefix="mutated-") as folder:
            ending = trial(kind, seed, Path(folder))
        assert ending.good, f"{kind} {seed}: {ending.what}: {ending.said}"

    ends_well()
