"""Progress: plain lines where there is no terminal, a moving one where there is."""

import io

import pytest
from rich.console import Console

from pipelines.flows.progress import TrainingProgress

STEP = {"kind": "step", "epoch": 0, "step": 5, "steps": 10, "rows_per_second": 1000.0, "loss": 0.5}
EPOCH = {
    "kind": "epoch", "epoch": 0, "train_loss": 0.4, "validation_loss": 0.3, "validation_auc": 0.8, "rows": 100,
    "seconds": 2.0, "best": True,
}  # fmt: skip


@pytest.mark.parametrize("terminal", [False, True])
def test_epoch_step_speed_loss_and_time_left_are_shown(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=140, highlight=False)
    with TrainingProgress(console, epochs=2, steps=10) as progress:
        for message in ({"kind": "ready"}, STEP, EPOCH):
            progress.show(message)
    shown = text.getvalue()
    assert "epoch 1/2 step 5/10  1,000 rows/s  loss 0.5000" in shown
    assert " s left" in shown
    assert "epoch  1/2  loss 0.4000  validation loss 0.3000  AUC 0.8000         50 rows/s  best" in shown
    assert ("\x1b[" in shown) == terminal
