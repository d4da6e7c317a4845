"""Signals become one exception, which waits where work must not be cut in two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pipelines.interruption import GRACE_SECONDS, Interrupted, Interruption
from tests.root import ROOT

TWICE = """
import os, pipelines.interruption as i
i.GRACE_SECONDS = -1
process = i.Interruption(); process.begin()
with process.shielded():
    for _ in range(2):
        os.kill(os.getpid(), 15)
"""


@pytest.fixture
def process() -> Iterator[Interruption]:
    """Signals of this process; what handled them before does so again afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interruption = Interruption()
    interruption.begin()
    yield interruption
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_is_raised_with_its_exit_code(process: Interruption, number: int, code: int, name: str) -> None:
    with pytest.raises(Interrupted, match=f"^interrupted by {name}$") as raised:
        os.kill(os.getpid(), number)
    assert raised.value.exit_code == code
    assert not isinstance(raised.value, Exception)  # so that no handler of errors swallows it


def test_within_shields_it_waits_for_the_end_of_the_outermost(process: Interruption) -> None:
    done, stopped = list[str](), list[list[str]]()
    process.listen(lambda: stopped.append(list(done)))
    with pytest.raises(Interrupted), process.shielded():  # noqa: PT012
        with process.shielded():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert (done, stopped) == (["inner", "outer"], [["inner", "outer"]])


def test_later_signals_are_ignored_while_the_run_records_itself(process: Interruption, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    with pytest.raises(Interrupted):
        process.handle(signal.SIGINT)
    clock[0] += GRACE_SECONDS
    process.handle(signal.SIGINT)
    assert ended == []
    clock[0] += 0.1
    process.handle(signal.SIGTERM)
    assert ended == [143]


def test_one_more_signal_after_that_ends_the_process_with_one_line() -> None:
    completed = subprocess.run([sys.executable, "-c", TWICE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stdout, completed.stderr.splitlines()) == (143, "", [Interruption().last_words])


def test_when_all_is_done_a_signal_changes_nothing(process: Interruption) -> None:
    process.over()
    os.kill(os.getpid(), signal.SIGTERM)
    assert process.number is None


def test_other_threads_are_not_interrupted(process: Interruption) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with process.shielded():
                process.handle(signal.SIGTERM)
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (raised, process.number) == ([], signal.SIGTERM)


def test_errors_that_follow_an_interruption_are_its_own(process: Interruption) -> None:
    assert process.cause(ValueError("before")) is None
    with pytest.raises(Interrupted) as raised:
        process.handle(signal.SIGTERM)
    assert process.cause(ValueError("a job was cancelled")) is raised.value
    plain = Interruption().cause(KeyboardInterrupt())
    assert plain is not None
    assert plain.exit_code == 130


ENDS_AT_ONCE = """
import atexit, pipelines.interruption as i
atexit.register(print, "torn down")
print("x", end="")
i.end_process(3)
"""


def test_the_process_ends_at_once_with_what_was_printed_and_its_code() -> None:
    command = ["env", "-u", "PYTHONUNBUFFERED", sys.executable, "-c", ENDS_AT_ONCE]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (completed.returncode, completed.stdout, completed.stderr) == (3, "x", "")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as unread:
        assert unread.stdout is not None and unread.stderr is not None
        unread.stdout.close()
        assert (unread.stderr.read(), unread.wait(60)) == (b"", 3)
    closed = subprocess.run(["bash", "-c", '"$@" >&-', "bash", *command], capture_output=True, check=False, cwd=ROOT)
    assert (closed.returncode, closed.stderr) == (3, b"")
