"""Memory stays flat over loads of models and over requests. benchmarks/serving_memory.py measures many more of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.serving_load import LoadTarget, python_load
from tests.pipelines.serving.running import ROW, Running
from tests.root import ROOT


def test_loads_and_unloads_leave_memory_flat(published: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.serving_memory", "--only-loads", "--model", str(published), "--loads", "80"]
    completed = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
    resident = json.loads(completed.stdout.splitlines()[-1])  # MiB after each tenth of the loads
    # A model of this size takes about a MiB: of the last 56, that many would be left.
    assert resident[-1] - resident[2] < 8, resident


def test_requests_leave_memory_flat(service: Running, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps([ROW] * 3))
    target, process = LoadTarget(service.port, "/predict", tmp_path / "body.json"), psutil.Process(service.process.pid)
    python_load(target, connections=8, seconds=1)
    before = process.memory_info().rss
    requests = 0
    while requests < 1000:
        requests += python_load(target, connections=8, seconds=1).requests
    # A thousand requests that left 4 KiB each would be 4 MiB.
    assert (process.memory_info().rss - before) / requests < 2048
