"""Messages between the ranks and the driver: one model each, used at both ends and by the tables that keep them.

On the wire a message is one line of JSON: who sends it (rank and host), and its content, which `kind` tells apart.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field

from pipelines.model import Model

ACTIVITIES = ("compute", "wait", "feed")


class _Content(Model):
    """Losses that diverge are numbers too, which Python's JSON writes and reads."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")


class Spent(_Content):
    """Seconds of an epoch so far by activity: `feed` waits for rows, `wait` for other ranks in the all-reduce."""

    feed_seconds: float
    compute_seconds: float
    wait_seconds: float

    @property
    def own_seconds(self) -> float:
        """Seconds of the rank's own work, in which others may wait for it."""
        return self.feed_seconds + self.compute_seconds

    def shares(self) -> Shares:
        """The share of each activity, from 0 to 1; all 0 before the first step."""
        total = self.own_seconds + self.wait_seconds
        return Shares(*(getattr(self, f"{name}_seconds") / total if total else 0.0 for name in ACTIVITIES))


class Shares(NamedTuple):
    """Shares of a rank's time, from 0 to 1; their sum is 1."""

    compute: float
    wait: float
    feed: float


class Handshake(_Content):
    """A rank has started, and called the driver."""

    kind: Literal["hello"] = "hello"
    pid: int


class Imported(_Content):
    """A rank has imported TensorFlow and Horovod."""

    kind: Literal["imported"] = "imported"
    seconds: float


class Ready(_Content):
    """A rank holds the network, of so many parameters, and begins to train."""

    kind: Literal["ready"] = "ready"
    parameters: int


class Heartbeat(Spent):
    """Where a rank is: epoch and step, both counted from 0, and the phase of its work.

    `step` is what whole calls have done. `computed` counts every step that the process has computed, of training and of
    validation, those of a call that goes on included: while it grows, the rank gets on.
    """

    kind: Literal["beat"] = "beat"
    epoch: int
    step: int
    phase: str
    computed: int = 0


class StepReport(_Content):
    """Rank 0's position in an epoch of `steps` steps, the mean loss of the epoch's rows so far, and all ranks' speed."""

    kind: Literal["step"] = "step"
    epoch: int
    step: int
    steps: int
    loss: float
    rows_per_second: float


class EpochReport(_Content):
    """An epoch that is done, as the table training_history has it; of the three metrics it holds the one of its task."""

    kind: Literal["epoch"] = "epoch"
    epoch: int
    train_loss: float
    validation_loss: float
    validation_auc: float | None = None
    validation_accuracy: float | None = None
    validation_mae: float | None = None
    learning_rate: float
    rows: int
    steps: int
    seconds: float
    rows_per_second: float
    best: bool = False

    def validation(self) -> dict[str, float]:
        """The loss and the metric of the validation split, by name."""
        names = ("validation_loss", "validation_auc", "validation_accuracy", "validation_mae")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def row(self) -> dict[str, Any]:
        """The report as a row of training_history."""
        return self.model_dump(exclude={"kind"})


class FeedReceipt(Spent):
    """What one rank has read of an epoch, or of a part of it: rows, and the sum of their ids modulo 2^31 - 1."""

    kind: Literal["receipt"] = "receipt"
    rank: int
    host: str
    epoch: int
    part: int
    rows: int
    checksum: int

    def row(self) -> dict[str, Any]:
        """The receipt as a row of feed_receipts."""
        return self.model_dump(exclude={"kind"})


class OnnxReport(_Content):
    """How far the ONNX model is from the SavedModel, in features and in scores; or why there is none.

    `prepared` says why it takes prepared inputs in the place of raw values, where it does.
    """

    features: float | None = None
    scores: float | None = None
    missing: str | None = None
    prepared: str | None = None


class ParityReport(_Content):
    """The parity gate's result: rows compared, the greatest difference, rows that were generated, and the ONNX model's."""

    kind: Literal["parity"] = "parity"
    rows: int
    difference: float
    generated: int = 0
    onnx: OnnxReport


class RankFailure(_Content):
    """An exception that ended a rank, with the exit code that it stands for."""

    kind: Literal["error"] = "error"
    type: str
    message: str
    traceback: str
    exit_code: int


class Done(_Content):
    """A rank has done all its work."""

    kind: Literal["done"] = "done"


class Gone(_Content):
    """A rank's connection has ended. The driver says so itself."""

    kind: Literal["gone"] = "gone"
    message: str


class SlowRank(_Content):
    """A rank holds the others up. The driver says so itself, from the heartbeats."""

    kind: Literal["slow"] = "slow"
    epoch: int
    step: int
    message: str


Content = (
    Handshake | Imported | Ready | Heartbeat | StepReport | EpochReport | FeedReceipt | ParityReport | RankFailure | Done | Gone
    | SlowRank
)  # fmt: skip


class Message(_Content):
    """One message, and who it is from."""

    rank: int
    host: str
    content: Annotated[Content, Field(discriminator="kind")]
