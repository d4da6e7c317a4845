"""What goes wrong on real executors ends as an undisturbed run would, or in one clear error that names rank, host and cause."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.pipelines.launch.faults import BATCH, ROWS, ranks_of
from tests.processes import environment, left_since, running, temporary_files_in
from tests.root import ROOT

HOST = socket.gethostname()
MENDED = ("rank", "executor", "hang", "corrupt_checkpoint")
REFUSED = {
    "nan": (
        "DataError",
        rf"rank [01] on {HOST}: epoch 1, step \d+ of 125: the gradient is no number.* x hold what",
    ),
    "disk_full": ("ExternalError", rf"rank 0 on {HOST}: checkpoint .*\.npz: can't be written .*The one before it is whole"),
    "corrupt_file": ("DataError", rf"rank [01] on {HOST}: features file .*features\.parquet: row group \d+ can't be read"),
    "missing_file": ("DataError", rf"rank [01] on {HOST}: features file .*features\.parquet: row group \d+ can't be read"),
    "two_ranks": ("RankError", rf"rank 1 on {HOST} died: its process ended without a word"),
}
ALIVE = ("none", *MENDED, *REFUSED, "other_ranks", "slow")
pytestmark = pytest.mark.slow


def start(folder: Path, faults: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start an application that tries faults."""
    own = temporary_files_in(folder / "tmp")
    with (folder / f"{faults[0]}.out").open("wb") as output:
        command = [sys.executable, "-m", "tests.pipelines.launch.faults", str(folder), *faults]
        return subprocess.Popen(command, cwd=ROOT, env={**environment(), **own}, stdout=output, stderr=output)


def results(folder: Path, faults: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What each fault came to."""
    return {fault: json.loads((folder / f"{fault}.json").read_text()) for fault in faults}


class Killed(NamedTuple):
    """What is left of an application whose last fault killed its driver."""

    folder: Path
    ranks: set[int]  # the process ids of that fault's ranks
    left: set[psutil.Process]  # its processes that outlived the driver by half a minute


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """The undisturbed run and all faults, in one application; the last kills the driver."""
    folder, before, faults = tmp_path_factory.mktemp("faults"), running(), (*ALIVE, "driver")
    driver, ranks = start(folder, faults), set[int]()
    deadline = time.monotonic() + 1200
    while driver.poll() is None and time.monotonic() < deadline:
        if (folder / "driver").exists():  # all before it has ended
            ranks |= {process.pid for process in ranks_of(driver.pid).values()}
        time.sleep(0.2)
    assert driver.poll() == -9, (folder / f"{faults[0]}.out").read_text()[-3000:]
    return Killed(folder, ranks, left_since(before, seconds=30))


@pytest.fixture(scope="module")
def tried(killed: Killed) -> dict[str, dict[str, Any]]:
    """What the undisturbed run and each fault that leaves the driver alive came to."""
    return results(killed.folder, ALIVE)


def events_of(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind and message of a run's events, but for ranks that were slow: among other work on the same cores they are."""
    return [(kind, message) for _, kind, message in result["events"] if kind != "slow"]


def kinds(result: dict[str, Any]) -> list[str]:
    """The kinds of those events."""
    return [kind for kind, _ in events_of(result)]


def test_an_undisturbed_run_has_nothing_to_tell(tried: dict[str, dict[str, Any]]) -> None:
    assert tried["none"]["error"] is None
    assert events_of(tried["none"]) == []
    assert len(tried["none"]["losses"]) == 3


@pytest.mark.parametrize("fault", MENDED)
def test_training_goes_on_by_itself_and_ends_in_the_same_bits(tried: dict[str, dict[str, Any]], fault: str) -> None:
    result = tried[fault]
    assert result["error"] is None
    assert result["losses"] == tried["none"]["losses"]
    assert result["steps"] == tried["none"]["steps"]  # also of an epoch that was interrupted
    assert kinds(result)[0] == "failed"
    assert kinds(result)[-1] == "resumed"
    assert events_of(result)[0][1].startswith(f"rank 1 on {HOST} {'hangs' if fault == 'hang' else 'died'}")
    assert ("damaged" in kinds(result)) == (fault == "corrupt_checkpoint")
    for epoch in range(3):
        assert sum(rows for at, _, _, rows in result["receipts"] if at == epoch) == ROWS


@pytest.mark.parametrize("fault", REFUSED)
def test_the_error_names_rank_host_and_cause_within_a_minute(tried: dict[str, dict[str, Any]], fault: str) -> None:
    result, (kind, message) = tried[fault], REFUSED[fault]
    assert result["error"][0] == kind
    assert re.match(f"(?s){message}", result["error"][1]), result["error"][1]
    assert result["seconds_after"] is None or result["seconds_after"] < 60


def test_another_number_of_ranks_goes_on_with_the_rows_that_are_left(tried: dict[str, dict[str, Any]]) -> None:
    result = tried["other_ranks"]
    assert result["error"] is None
    assert kinds(result) == ["resumed"]
    taken = [(rank, rows) for epoch, part, rank, rows in result["receipts"] if (epoch, part) == (0, 0)]
    rest = [(rank, rows) for epoch, part, rank, rows in result["receipts"] if (epoch, part) == (0, 1)]
    assert [rank for rank, _ in taken] == [0, 1]  # two ranks before, one since
    assert [rank for rank, _ in rest] == [0]
    assert sum(rows for _, rows in [*taken, *rest]) == ROWS
    assert result["steps"][0] == taken[0][1] // BATCH + -(-rest[0][1] // BATCH)
    assert result["losses"][-1][1] == pytest.approx(tried["none"]["losses"][-1][1], abs=0.01)


def test_a_slow_rank_is_named_with_its_share_of_time(tried: dict[str, dict[str, Any]]) -> None:
    result = tried["slow"]
    assert result["error"] is None
    assert events_of(result) == []
    (message,) = [message for _, _, message in result["events"] if message.startswith(f"rank 1 on {HOST} is slow: ")]
    assert "compute" in message


def test_a_killed_driver_leaves_no_rank_and_the_next_run_goes_on(killed: Killed, tried: dict[str, dict[str, Any]]) -> None:
    assert len(killed.ranks) == 2
    assert killed.left == set()
    code = start(killed.folder, ("after_the_driver",)).wait(timeout=600)
    assert code == 0, (killed.folder / "after_the_driver.out").read_text()[-3000:]
    result = results(killed.folder, ("after_the_driver",))["after_the_driver"]
    assert result["error"] is None
    assert kinds(result) == ["resumed"]
    assert result["losses"] == tried["none"]["losses"]
