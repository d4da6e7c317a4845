"""The state of a training run between two calls: what a checkpoint holds beside the arrays, and what a run resumes from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pipelines.config import Model
from pipelines.messages import EpochReport, FeedReceipt
from pipelines.training.plan import Start


class TrainState(Model, allow_inf_nan=True):
    """The state of a run that is not in arrays; ranks hold the same, but for `history` and `receipts`, which rank 0 has.

    `start` is the position in the row plan; `iterations` the optimizer's steps so far; `loss` the sum
    of losses of the epoch so far; `score` that of the best epoch so far; `since_best` epochs since then; `history` and
    `receipts` the messages of epochs done, and of the part of an epoch that was taken.
    """

    start: Start = Start()
    iterations: int = 0
    loss: float = 0.0
    score: float | None = None
    since_best: int = 0
    best: dict[str, float] = Field(default_factory=dict)
    history: tuple[EpochReport, ...] = ()
    receipts: tuple[FeedReceipt, ...] = ()

    def after_epoch(self, report: EpochReport, score: float, receipts: list[FeedReceipt]) -> TrainState:
        """The state once an epoch is done, from the epoch's report, its score (more is better) and its receipts."""
        best = self.score is None or score > self.score
        changes: dict[str, Any] = {
            "start": Start(epoch=report.epoch + 1),
            "loss": 0.0,
            "since_best": 0 if best else self.since_best + 1,
            "history": (*self.history, report.model_copy(update={"best": best})),
            "receipts": (*self.receipts, *receipts),
        }
        if best:
            changes |= {"score": score, "best": {"epoch": report.epoch, **report.validation()}}
        return self.model_copy(update=changes)

    def within(self, start: Start, loss: float, receipts: list[FeedReceipt]) -> TrainState:
        """The state in the midst of an epoch, of which `start` says which steps are done."""
        return self.model_copy(update={"start": start, "loss": loss, "receipts": (*self.receipts, *receipts)})

    def name(self) -> str:
        """A name for its checkpoint, which sorts by age."""
        return f"{self.start.epoch:06d}-{self.iterations:012d}"
