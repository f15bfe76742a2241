"""Benchmarks take hours or another machine; here they find what they import, and one runs on meaningless sizes."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda script: script.stem)
def test_what_a_benchmark_imports_is_there(script: Path):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("configs", "tasks", "flows")):
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], node.module


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu_with_tiny_sizes():
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "DPO step: " in run.stdout
    assert "2 conditions end to end: ours " in run.stdout
