"""Progress: plain lines where there is no terminal, a moving one where there is."""

import io
from typing import Any

import pytest
from rich.console import Console

from pipelines.flows.progress import TrainingProgress

STEP = {"kind": "step", "epoch": 0, "step": 5, "steps": 10, "rows_per_second": 1000.0, "loss": 0.5}
EPOCH = {
    "kind": "epoch", "epoch": 0, "train_loss": 0.4, "validation_loss": 0.3, "validation_auc": 0.8, "rows": 100,
    "seconds": 2.0, "rows_per_second": 50.0, "best": True,
}  # fmt: skip


@pytest.mark.parametrize("terminal", [False, True])
def test_epoch_step_speed_loss_and_time_left_are_shown(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=140, highlight=False)
    with TrainingProgress(console, epochs=2, steps=10) as progress:
        for message in ({"kind": "ready", "rank": 0}, STEP, EPOCH):
            progress.show(message)
    shown = text.getvalue()
    assert "epoch 1/2 step 5/10  1,000 rows/s  loss 0.5000" in shown
    assert " s left" in shown
    assert "epoch  1/2  loss 0.4000  validation loss 0.3000  AUC 0.8000         50 rows/s  best" in shown
    assert ("\x1b[" in shown) == terminal


def test_each_ranks_shares_of_its_time_are_shown_and_after_a_restart_the_time_left_is_that_of_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    text = io.StringIO()
    with TrainingProgress(Console(file=text, width=140, highlight=False), epochs=4, steps=10) as progress:
        progress.show({"kind": "ready", "rank": 0})
        for rank, seconds in enumerate(((6.0, 3.0, 1.0), (2.0, 2.0, 0.0))):
            named = dict(zip(("compute_seconds", "wait_seconds", "feed_seconds"), seconds, strict=True))
            progress.show({"kind": "beat", "rank": rank, **named})
        clock[0] += 6  # six steps of the 40 are left of the third epoch; three of them took two seconds each
        progress.show({**STEP, "epoch": 2, "step": 3, "steps": 6})
    assert "epoch 3/4 step 3/6" in text.getvalue()
    assert "26 s left" in text.getvalue()  # 13 steps
    assert "compute/wait/feed 60%/30%/10%, 50%/50%/0%" in text.getvalue()


SHARES = dict.fromkeys(("compute_seconds", "wait_seconds", "feed_seconds"), 0.0)
BEAT = {"kind": "beat", "rank": 0, "epoch": 0, "step": 0, "phase": "compute", **SHARES}
SHOWN: list[tuple[dict[str, Any], str]] = [
    ({"kind": "ready", "rank": 0}, "ranks are starting"),
    (BEAT, "epoch 1/3 begins"),
    (STEP, "epoch 1/3 step 5/10"),
    ({**BEAT, "step": 6}, "epoch 1/3 step 5/10"),
    ({**BEAT, "step": 10, "phase": "validate"}, "epoch 1/3 validates"),
    (EPOCH, "epoch 2/3 begins"),
    ({**BEAT, "epoch": 1}, "epoch 2/3 begins"),
    ({**STEP, "epoch": 1}, "epoch 2/3 step 5/10"),
    ({**BEAT, "rank": 1, "epoch": 1, "step": 10, "phase": "validate"}, "epoch 2/3 step 5/10"),
    ({**EPOCH, "epoch": 2}, "epoch 2/3 step 5/10"),  # none follows it
    ({**BEAT, "epoch": 2, "phase": "export"}, "the best epoch's model is exported"),
]


def test_the_line_shows_the_epoch_that_runs_while_steps_are_silent() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140, highlight=False)
    with TrainingProgress(console, epochs=3, steps=10) as progress:
        assert progress._bar
        for message, shown in SHOWN:
            progress.show(message)
            assert progress._bar.tasks[0].description.startswith(shown), message
