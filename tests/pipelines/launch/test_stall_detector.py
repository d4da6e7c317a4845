"""Which rank delays the others, from heartbeats alone."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import RankError
from pipelines.launch.stall_detector import StallDetector
from pipelines.messages import Heartbeat, Message, Ready, SlowRank

STALL = 60.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def heartbeat(rank: int, step: int = 10, phase: str = "compute", epoch: int = 0, **more: Any) -> Message:
    """A rank's heartbeat, in its first epoch unless given."""
    spent = {"feed_seconds": 0.1, "compute_seconds": 1.0, "wait_seconds": 0.1, **more}
    return Message(rank=rank, host=f"host{rank}", content=Heartbeat(epoch=epoch, step=step, phase=phase, **spent))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wait_and_update(clock: Clock, detector: StallDetector, *beats: Message) -> None:
    """Let time pass while these heartbeats still arrive."""
    for _ in range(6):
        clock.now += STALL / 4
        for each in beats:
            detector.update(each)


def test_a_rank_that_is_silent_is_named_with_its_last_position(clock: Clock) -> None:
    detector = StallDetector(STALL, STALL, clock)
    detector.update(heartbeat(0))
    detector.update(heartbeat(1, step=7))
    wait_and_update(clock, detector, heartbeat(0))
    with pytest.raises(RankError, match=r"rank 1 on host1 hangs: not a word for \d+ seconds, after epoch 1, step 7, compute"):
        detector.check()


def test_a_rank_that_stops_before_its_first_heartbeat_is_named(clock: Clock) -> None:
    detector = StallDetector(STALL, 600, clock)
    detector.update(Message(rank=1, host="host1", content=Ready(parameters=1)))
    wait_and_update(clock, detector, heartbeat(0, step=0))
    detector.check()  # as long as no rank has done a step, it may be about to begin
    detector.update(heartbeat(0, step=64))
    detector.check()
    wait_and_update(clock, detector, heartbeat(0, step=64))
    with pytest.raises(RankError, match=r"rank 1 on host1 hangs: not a word for 90 seconds, after it was ready\."):
        detector.check()


def test_of_stalled_ranks_the_one_that_waits_for_no_other_is_named(clock: Clock) -> None:
    detector = StallDetector(STALL, STALL, clock)
    wait_and_update(clock, detector, heartbeat(0), heartbeat(1, phase="feed"), heartbeat(2))
    with pytest.raises(RankError, match=r"rank 1 on host1 hangs: nothing has moved .* at epoch 1, step 10, feed \(rank 0: "):
        detector.check()


def test_ranks_that_get_on_are_left_alone_and_one_that_is_done_is_not_waited_for(clock: Clock) -> None:
    detector = StallDetector(STALL, STALL, clock)
    for step in range(8):
        clock.now += STALL / 4
        detector.update(heartbeat(0, step=step))
        if step == 0:
            detector.update(heartbeat(1))
            detector.remove(1)
        detector.check()


def test_the_first_step_may_take_as_long_as_the_start(clock: Clock) -> None:
    detector = StallDetector(STALL, 600, clock)
    wait_and_update(clock, detector, heartbeat(0, step=0), heartbeat(1, step=0))
    detector.check()


def test_a_slow_rank_is_reported_once_by_its_own_work_a_step() -> None:
    detector = StallDetector(STALL, STALL)
    for rank in range(2):
        assert detector.update(heartbeat(rank, step=10)) is None
    assert detector.update(heartbeat(0, step=20, compute_seconds=2.0, wait_seconds=2.0)) is None
    report = detector.update(heartbeat(1, step=20, compute_seconds=4.0, wait_seconds=0.0))
    assert report is not None
    assert (report.rank, report.host) == (1, "host1")
    assert isinstance(report.content, SlowRank)
    assert "300.0 ms a step" in report.content.message
    assert "100.0 ms" in report.content.message
    assert "compute 98%" in report.content.message
    assert detector.update(heartbeat(1, step=30, compute_seconds=9.0)) is None


def test_a_rank_that_works_as_the_others_do_is_not_slow() -> None:
    detector = StallDetector(STALL, STALL)
    for rank in range(3):
        detector.update(heartbeat(rank, step=0, compute_seconds=9.0))
    detector.update(heartbeat(0, step=2))
    detector.update(heartbeat(1, step=2))
    detector.update(heartbeat(0, step=12, compute_seconds=4.0))
    assert detector.update(heartbeat(1, step=16, compute_seconds=5.2)) is None  # more steps, more seconds
    assert detector.update(heartbeat(2, step=0, compute_seconds=20.0)) is None  # not one step done: it compiles


def test_the_call_that_is_traced_makes_no_rank_slow() -> None:
    detector = StallDetector(STALL, STALL)
    assert detector.update(heartbeat(0, step=10)) is None
    assert detector.update(heartbeat(1, step=10, compute_seconds=9.0)) is None
    assert detector.update(heartbeat(0, step=40, compute_seconds=4.0)) is None
    assert detector.update(heartbeat(1, step=40, compute_seconds=12.0)) is None


def test_the_work_of_the_epoch_before_is_not_counted_to_this_one() -> None:
    detector = StallDetector(STALL, STALL)
    for rank in range(2):
        detector.update(heartbeat(rank, step=10))
    detector.update(heartbeat(0, step=10, epoch=1))
    detector.update(heartbeat(0, step=20, compute_seconds=2.0, epoch=1))
    assert detector.update(heartbeat(1, step=10, compute_seconds=9.0, epoch=1)) is None


@pytest.mark.parametrize("phase", ["compute", "validate"])
def test_a_call_that_goes_on_gets_on_by_the_steps_that_it_has_computed(phase: str, clock: Clock) -> None:
    detector = StallDetector(STALL, STALL, clock)
    for computed in range(8):
        clock.now += STALL / 4
        detector.update(heartbeat(0, phase=phase, computed=computed))
        detector.check()


@pytest.mark.parametrize("phase", ["export", "compute"])
def test_an_export_may_take_as_long_as_the_start_and_a_step_may_not(phase: str, clock: Clock) -> None:
    detector = StallDetector(STALL, 600, clock)
    wait_and_update(clock, detector, heartbeat(0, phase=phase))
    if phase == "export":
        detector.check()
    else:
        with pytest.raises(RankError, match="nothing has moved"):
            detector.check()


def test_the_first_step_of_a_resumed_run_may_take_as_long_as_the_start(clock: Clock) -> None:
    detector = StallDetector(STALL, 600, clock)
    wait_and_update(clock, detector, heartbeat(0, step=0, epoch=3))
    detector.check()
