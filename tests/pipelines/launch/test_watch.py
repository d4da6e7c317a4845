"""Who holds the others up, told from beats alone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pipelines.errors import RankError
from pipelines.launch.channel import Message
from pipelines.launch.watch import Watch

STALL = 0.2


def beat(rank: int, step: int = 10, phase: str = "compute", **seconds: float) -> Message:
    """A rank's beat in its first epoch."""
    spent: dict[str, Any] = {"feed_seconds": 0.1, "compute_seconds": 1.0, "wait_seconds": 0.1, **seconds}
    return {"kind": "beat", "rank": rank, "host": f"host{rank}", "epoch": 0, "step": step, "phase": phase, **spent}


def wait_and_hear(watch: Watch, *beats: Message) -> None:
    """Time goes by, and these are still heard."""
    for _ in range(6):
        time.sleep(STALL / 4)
        for each in beats:
            watch.hear(each)


def test_a_rank_that_is_silent_is_named_with_its_last_place() -> None:
    watch = Watch(STALL, STALL)
    watch.hear(beat(0))
    watch.hear(beat(1, step=7))
    wait_and_hear(watch, beat(0))
    with pytest.raises(RankError, match=r"rank 1 on host1 hangs: not a word for \d+ seconds, after epoch 1, step 7, compute"):
        watch.check()


def test_of_ranks_that_all_stand_still_the_one_that_does_not_wait_for_others_is_named() -> None:
    watch = Watch(STALL, STALL)
    wait_and_hear(watch, beat(0), beat(1, phase="feed"), beat(2))
    with pytest.raises(RankError, match=r"rank 1 on host1 hangs: nothing has moved .* at epoch 1, step 10, feed \(rank 0: "):
        watch.check()


def test_ranks_that_get_on_are_left_alone_and_one_that_is_done_is_not_waited_for() -> None:
    watch = Watch(STALL, STALL)
    for step in range(8):
        time.sleep(STALL / 4)
        watch.hear(beat(0, step=step))
        if step == 0:
            watch.hear(beat(1))
            watch.leave(1)
        watch.check()


def test_the_first_step_may_take_as_long_as_the_start() -> None:
    watch = Watch(STALL, 60)
    wait_and_hear(watch, beat(0, step=0), beat(1, step=0))
    watch.check()


def test_a_slow_rank_is_told_once_by_its_own_work_a_step() -> None:
    watch = Watch(60, 60)
    for rank in range(2):
        assert watch.hear(beat(rank, step=10)) is None
    assert watch.hear(beat(0, step=20, compute_seconds=2.0, wait_seconds=2.0)) is None
    found = watch.hear(beat(1, step=20, compute_seconds=4.0, wait_seconds=0.0))
    assert found is not None
    assert (found["kind"], found["rank"], found["host"]) == ("slow", 1, "host1")
    assert "300.0 ms a step" in found["message"]
    assert "100.0 ms" in found["message"]
    assert "compute 98%" in found["message"]
    assert watch.hear(beat(1, step=30, compute_seconds=9.0)) is None


def test_a_rank_that_works_as_the_others_do_is_not_slow() -> None:
    watch = Watch(60, 60)
    for rank in range(3):
        watch.hear(beat(rank, step=0, compute_seconds=9.0))
    watch.hear(beat(0, step=2))
    watch.hear(beat(1, step=2))
    watch.hear(beat(0, step=12, compute_seconds=4.0))
    assert watch.hear(beat(1, step=16, compute_seconds=5.2)) is None  # more steps, more seconds
    assert watch.hear(beat(2, step=0, compute_seconds=20.0)) is None  # not one step done: it compiles


def test_the_call_that_is_traced_makes_no_rank_slow() -> None:
    watch = Watch(60, 60)
    assert watch.hear(beat(0, step=10)) is None
    assert watch.hear(beat(1, step=10, compute_seconds=9.0)) is None
    assert watch.hear(beat(0, step=40, compute_seconds=4.0)) is None
    assert watch.hear(beat(1, step=40, compute_seconds=12.0)) is None


def test_the_work_of_the_epoch_before_is_not_counted_to_this_one() -> None:
    watch = Watch(60, 60)
    for rank in range(2):
        watch.hear(beat(rank, step=10))
    watch.hear({**beat(0, step=10), "epoch": 1})
    watch.hear({**beat(0, step=20, compute_seconds=2.0), "epoch": 1})
    assert watch.hear({**beat(1, step=10, compute_seconds=9.0), "epoch": 1}) is None


def test_validation_gets_on_by_what_it_has_validated() -> None:
    watch = Watch(STALL, STALL)
    for validated in range(8):
        time.sleep(STALL / 4)
        watch.hear({**beat(0, phase="validate"), "validated": validated})
        watch.check()


@pytest.mark.parametrize("phase", ["export", "compute"])
def test_an_export_may_take_as_long_as_the_start_and_a_step_may_not(phase: str) -> None:
    watch = Watch(STALL, 60)
    wait_and_hear(watch, beat(0, phase=phase))
    if phase == "export":
        watch.check()
    else:
        with pytest.raises(RankError, match="nothing has moved"):
            watch.check()


def test_the_first_step_of_a_run_that_goes_on_may_take_as_long_as_the_start() -> None:
    watch = Watch(STALL, 60)
    wait_and_hear(watch, {**beat(0, step=0), "epoch": 3})
    watch.check()
