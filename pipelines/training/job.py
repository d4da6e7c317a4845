"""The description of a training run as JSON, which is all that a rank gets."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

from pipelines.bundles.card import TrainingData
from pipelines.bundles.signature import InputField
from pipelines.config import Model, Task, TrainConfig
from pipelines.features.fitted import FittedSpec
from pipelines.training.plan import RowPlan, Start
from pipelines.training.train_state import TrainState

Value = float | str | list[float | None]
Raw = dict[str, Value | None]

FREE = {
    "ranks", "tensorboard", "timeline", "mlflow", "checkpoint_steps", "retries", "launcher", "allow_plain_transport",
    "encrypted_interface", "channel_port", "start_timeout_seconds", "stall_timeout_seconds",
}  # fmt: skip
"""Of section `train`, what changes how training runs, and not what is trained."""


def _source_of(path: str) -> str | None:
    """A digest of the file that a dotted `module:name` path is in, so that a function that was edited is another; None where
    there is no such file, which ranks will say.
    """
    try:
        spec = find_spec(path.partition(":")[0])
    except (ImportError, ValueError):
        return None
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest() if spec and spec.has_location and spec.origin else None


class Sample(Model, allow_inf_nan=True):
    """A row before and after Spark's transformation: raw values by feature (none where missing), features by column."""

    raw: Raw
    features: dict[str, float | list[float]]


class TrainingJob(Model, allow_inf_nan=True):
    """A whole training run: configuration, fitted features, sampled rows that the model must make the same features of, its
    inputs and data as its folder describes them, the row plans of both splits, and where files go. With `resume` it continues
    from that checkpoint, in `state`.
    """

    run_id: str
    pipeline: str
    config: TrainConfig
    task: Task
    horizon: int | None = None
    spec: FittedSpec
    samples: tuple[Sample, ...] = ()
    inputs: tuple[InputField, ...] = ()
    data: TrainingData = TrainingData()
    train: RowPlan
    validation: RowPlan
    checkpoints: str
    model: str
    tensorboard: str | None = None
    timeline: str | None = None
    resume: str | None = None
    state: TrainState = TrainState()

    @property
    def schedule_steps(self) -> int:
        """Steps over which the learning rate's schedule runs: those of a whole run by this number of ranks."""
        return self._whole_steps * self.config.epochs

    @property
    def schedule_shift(self) -> int:
        """What the optimizer's own count of steps lacks to be the place in that schedule: none but after a change of ranks."""
        if not self.resume:
            return 0
        epoch = self.state.start.epoch
        remaining = self.train.steps(epoch) if epoch < self.config.epochs else self._whole_steps
        return (epoch + 1) * self._whole_steps - remaining - self.state.iterations

    @property
    def _whole_steps(self) -> int:
        return self.train.model_copy(update={"start": Start()}).steps(0)

    def resumed(self, uri: str, state: TrainState) -> TrainingJob:
        """The same run, going on from a checkpoint."""
        train = self.train.model_copy(update={"start": state.start})
        return self.model_copy(update={"resume": uri, "state": state, "train": train})

    def fingerprint(self, code: str) -> str:
        """SHA-256 of this and the code's version: all that decides what is trained, but not by how many ranks, or where."""
        groups = [group.model_dump() for group in (*self.train.groups, *self.validation.groups)]
        content = [
            code,
            _source_of(self.config.network.build) if self.config.network.build else None,
            self.config.model_dump(mode="json", exclude=FREE),
            self.task.model_dump(mode="json"),
            self.spec.fingerprint,
            groups,
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
