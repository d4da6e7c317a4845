"""Spark with the settings of conf/spark-secure, on two executors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.launch.secure import GROUPS, ROWS
from tests.processes import environment
from tests.root import ROOT


@pytest.mark.slow
def test_executors_authenticate_and_nothing_lies_on_disk_in_plain(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipelines.launch.secure", str(tmp_path)]
    completed = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    result = json.loads(completed.stdout.splitlines()[-1])
    assert result.pop("bytes") > ROWS * 20
    assert result == {"rows": ROWS, "groups": GROUPS, "encrypts": True, "plain": [], "leaks": []}
