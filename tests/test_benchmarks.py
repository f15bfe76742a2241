"""Benchmarks that need another machine at least run here, on sizes that mean nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu_with_tiny_sizes():
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "DPO step: " in run.stdout
    assert "4 conditions end to end: ours " in run.stdout
