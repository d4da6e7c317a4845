"""Attempts that are killed, fail or are overtaken while they write features to S3 add no row, and their files are orphans."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.pipelines.features.lost_attempts import FAILED, KILLED, OVERTAKEN, ROWS, SPLITS, UNDISTURBED
from tests.processes import environment, temporary_files_in
from tests.root import ROOT
from tests.standalone import cluster
from tests.stores import s3_server, s3_variables

pytestmark = pytest.mark.slow
TASKS = UNDISTURBED + 1
HOSTS = ("127.0.0.1", "127.0.0.2")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the table and the store hold once three attempts were lost."""
    folder = tmp_path_factory.mktemp("lost")
    with s3_server() as s3:
        given = {**temporary_files_in(folder / "tmp"), **s3_variables(s3)}
        with cluster(folder, given, HOSTS) as master:
            command = [sys.executable, "-m", "tests.pipelines.features.lost_attempts", str(folder), master, s3]
            env = {**environment(), **given}
            completed = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert completed.returncode == 0, completed.stderr[-3000:]
    written: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return written


def test_every_row_is_there_once(result: dict[str, Any]) -> None:
    assert result["rows"] == TASKS * ROWS
    assert result["features"] == [[row, SPLITS[row % 3], (row - 1) / 2] for row in range(TASKS * ROWS)]
    assert result["samples"] == list(range(0, TASKS * ROWS, 100))


def test_the_files_of_lost_attempts_are_in_no_snapshot_and_go_as_orphans(result: dict[str, Any]) -> None:
    assert len(result["committed"]) == TASKS * len(SPLITS)
    assert result["orphans"] == sorted(set(result["stored"]) - set(result["committed"]))
    by_task = Counter(path.rpartition("/")[2].partition("-")[0] for path in result["orphans"])
    assert by_task == {f"{task:05d}": len(SPLITS) for task in (KILLED, FAILED, OVERTAKEN)}
    assert result["left"] == result["committed"]
