"""Progress: plain lines where there is no terminal, a moving one where there is."""

import io

import pytest
from rich.console import Console

from pipelines.messages import Content, EpochReport, Heartbeat, Message, OnnxReport, ParityReport, Ready, StepReport
from pipelines.runtime.log_handler import JobHandler
from pipelines.steps.training.progress import TrainingProgress

Spent = tuple[float, float, float]


def of_rank(content: Content, rank: int = 0) -> Message:
    """A rank's message."""
    return Message(rank=rank, host="h", content=content)


def step(epoch: int = 0, step: int = 5, steps: int = 10) -> Message:
    """Where rank 0 is."""
    return of_rank(StepReport(epoch=epoch, step=step, steps=steps, loss=0.5, rows_per_second=1000))


def epoch(number: int = 0) -> Message:
    """An epoch that is done."""
    measured = {"train_loss": 0.4, "validation_loss": 0.3, "validation_auc": 0.8, "learning_rate": 0.1}
    report = EpochReport(epoch=number, rows=100, steps=10, seconds=2, rows_per_second=50, best=True, **measured)
    return of_rank(report)


def heartbeat(epoch: int = 0, step: int = 0, phase: str = "compute", rank: int = 0, spent: Spent = (0, 0, 0)) -> Message:
    """A rank's heartbeat; its seconds of compute, wait and feed."""
    seconds = dict(zip(("compute_seconds", "wait_seconds", "feed_seconds"), spent, strict=True))
    return of_rank(Heartbeat(epoch=epoch, step=step, phase=phase, **seconds), rank)


READY = of_rank(Ready(parameters=10))


@pytest.mark.parametrize("terminal", [False, True])
def test_epoch_step_speed_loss_and_time_left_are_shown(terminal: bool, job_log: JobHandler) -> None:
    text = io.StringIO()
    job_log.console = console = Console(file=text, force_terminal=terminal, width=140, highlight=False)
    with TrainingProgress(console, epochs=2, steps=10) as progress:
        for message in (READY, step(), epoch()):
            progress.show(message)
    output = text.getvalue()
    assert "epoch 1/2 step 5/10  1,000 rows/s  loss 0.5000" in output
    assert " s left" in output
    assert "epoch  1/2  loss 0.4000  validation loss 0.3000  AUC 0.8000         50 rows/s  best" in output
    assert ("\x1b[" in output) == terminal


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (OnnxReport(missing="no Igamma"), "no ONNX model: no Igamma"),
        (
            OnnxReport(features=1e-7, scores=2e-6),
            "ONNX model: features differ from Spark's by 1.0e-07 at most, scores from the SavedModel's by 2.0e-06",
        ),
        (
            OnnxReport(features=0, scores=2e-6, prepared="no operators for hashed words"),
            "ONNX model: features differ from Spark's by 0.0e+00 at most, scores from the SavedModel's by 2.0e-06; "
            "it takes prepared inputs: no operators for hashed words",
        ),
    ],
)
def test_what_became_of_the_onnx_model_is_shown(report: OnnxReport, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    with TrainingProgress(Console(quiet=True), epochs=1, steps=10) as progress:
        progress.show(of_rank(ParityReport(rows=256, difference=1e-7, onnx=report)))
    assert [line.strip() for line in caplog.messages][1:] == [expected]


def test_time_shares_are_shown_and_the_time_left_after_a_restart(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with TrainingProgress(Console(file=io.StringIO()), epochs=4, steps=10) as progress:
        progress.show(READY)
        for rank, seconds in enumerate(((6.0, 3.0, 1.0), (2.0, 2.0, 0.0))):
            progress.show(heartbeat(step=1, rank=rank, spent=seconds))
        clock[0] += 6  # six steps of the 40 are left of the third epoch; three of them took two seconds each
        progress.show(step(epoch=2, step=3, steps=6))
    assert "epoch 3/4 step 3/6" in caplog.text
    assert "26 s left" in caplog.text  # 13 steps
    assert "compute/wait/feed 60%/30%/10%, 50%/50%/0%" in caplog.text


SHOWN = [
    (READY, "ranks are starting"),
    (heartbeat(), "epoch 1/3 begins"),
    (step(), "epoch 1/3 step 5/10"),
    (heartbeat(step=6), "epoch 1/3 step 5/10"),
    (heartbeat(step=10, phase="validate"), "epoch 1/3 validates"),
    (epoch(), "epoch 2/3 begins"),
    (heartbeat(epoch=1), "epoch 2/3 begins"),
    (step(epoch=1), "epoch 2/3 step 5/10"),
    (heartbeat(rank=1, epoch=1, step=10, phase="validate"), "epoch 2/3 step 5/10"),
    (epoch(2), "epoch 2/3 step 5/10"),  # none follows it
    (heartbeat(epoch=2, phase="export"), "the best epoch's model is exported"),
]


def test_the_line_shows_the_epoch_that_runs_while_steps_are_silent() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140, highlight=False)
    with TrainingProgress(console, epochs=3, steps=10) as progress:
        assert progress._bar
        for message, shown in SHOWN:
            progress.show(message)
            assert progress._bar.tasks[0].description.startswith(shown), message
