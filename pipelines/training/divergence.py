"""A loss or gradient that is no number: which rank, step and columns it came from."""

from __future__ import annotations

import horovod.tensorflow as hvd
import numpy as np

from pipelines.errors import DataError, EchoError, QualityError, RingmillError
from pipelines.features.fitted import FittedSpec
from pipelines.model import Model
from pipelines.training.feed import Chunk
from pipelines.training.gather import gathered
from pipelines.training.loop import ValidationMetrics


class _StepInputs(Model, allow_inf_nan=True, ser_json_inf_nan="constants"):
    """A rank's inputs of a step: columns that hold what is no number, and the greatest magnitude."""

    broken: list[str]
    size: float


def diverged(chunk: Chunk, step: int, spec: FittedSpec, where: str) -> RingmillError:
    """The error of a step whose gradient was no number on all ranks alike; all of them have to call this.

    DataError, naming columns, on the first rank whose inputs hold what is no number; where all are numbers QualityError on the
    one with the greatest; an echo on the others.
    """
    broken, largest, size = _columns(chunk, step, spec)
    reports = gathered(_StepInputs(broken=broken, size=size))
    culprit = max(range(len(reports)), key=lambda rank: (bool(reports[rank].broken), reports[rank].size))
    if culprit != hvd.rank():
        return EchoError(f"rank {culprit} met a gradient that is no number")
    prefix = f"{where}: the gradient is no number. The last good state is the newest checkpoint. "
    if broken:
        return DataError(
            f"{prefix}Of this rank's rows, {', '.join(broken)} hold what is no number. Run jobs/features.py again."
        )
    return QualityError(
        f"{prefix}All inputs of this step are numbers, the greatest in {largest} ({size:.3g}): training diverged. Lower "
        f"train.optimizer.learning_rate, clip gradients (options: {{global_clipnorm: 1.0}}), or clip the feature."
    )


def unusable(validation: ValidationMetrics, epoch: int) -> RingmillError:
    """The error of an epoch by whose validation no best one can be chosen: its loss, or the metric that is monitored, is no
    finite number.
    """
    where = f"epoch {epoch + 1}: the validation loss is {validation.loss}, {validation.metric} {validation.value}"
    if np.isfinite(validation.loss) and validation.metric == "validation_auc":
        return DataError(
            f"{where}: AUC is undefined where the validation split has one class; expected rows of both. Change "
            f"features.split, or set train.monitor: validation_loss."
        )
    if np.isfinite(validation.loss) and validation.metric == "validation_mae":
        return QualityError(
            f"{where}: some predictions are larger than a 32-bit float holds. Set task.clip: true, which keeps them within the "
            f"train split's labels, lower train.optimizer.learning_rate, or set train.monitor: validation_loss."
        )
    return QualityError(
        f"{where}: training diverged, though no gradient did. The last good state is the newest checkpoint. Lower "
        f"train.optimizer.learning_rate, or clip gradients (options: {{global_clipnorm: 1.0}})."
    )


def _columns(chunk: Chunk, step: int, spec: FittedSpec) -> tuple[list[str], str, float]:
    """The columns of a step that hold what is no number, and the one that holds the greatest, with that value."""
    numbers, _, *tensors = (values[step] for values in chunk.inputs)
    named = dict(zip(spec.numbers, numbers.T, strict=True))
    named |= {tensor.name: values for tensor, values in zip(spec.tensors, tensors, strict=True)}
    named["label"] = chunk.labels[step]
    broken = [name for name, values in named.items() if not np.isfinite(values).all()]
    sizes = {name: float(np.abs(np.nan_to_num(values)).max(initial=0)) for name, values in named.items()}
    name = max(sizes, key=lambda column: sizes[column])
    return broken, name, sizes[name]
