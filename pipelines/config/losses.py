"""The sections `train.loss` and `train.class_weights`: what training makes small, and which rows count for more."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipelines.config.task import Binary, Multiclass, Task
from pipelines.model import Model


class CrossEntropy(Model):
    """Minus the logarithm of the probability of a row's class."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """Names the loss. The default of tasks with classes."""


class Focal(Model):
    """Cross-entropy that counts a row for less, the surer of it the model is."""

    name: Literal["focal"]
    """Names the loss."""
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """How much less a row counts that the model is sure of. 0 is cross-entropy."""
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Weight of a binary task's second class; the first has 1 - `alpha`. Without it both weigh 1."""


class Squared(Model):
    """The square of the error, averaged over rows and steps."""

    name: Literal["squared"] = "squared"
    """Names the loss. The default of a regression."""


class Absolute(Model):
    """The size of the error, averaged over rows and steps."""

    name: Literal["absolute"]
    """Names the loss."""


class Huber(Model):
    """Half the square of small errors; linear in larger ones."""

    name: Literal["huber"]
    """Names the loss."""
    delta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Error from which the loss is linear, in the label's standard deviations on the train split."""


class Quantile(Model):
    """The pinball loss: the model predicts a quantile of the label."""

    name: Literal["quantile"]
    """Names the loss."""
    quantile: Annotated[float, Field(gt=0, lt=1)]
    """Probability with which the label is below the prediction."""


Loss = Annotated[CrossEntropy | Focal | Squared | Absolute | Huber | Quantile, Field(discriminator="name")]
LOSSES = {
    "binary": ("cross_entropy", "focal"),
    "multiclass": ("cross_entropy", "focal"),
    "regression": ("squared", "absolute", "huber", "quantile"),
}
"""The losses of each kind of task, the first of which is the one when none is named."""

# YAML reads the key 1 as a number; classes are words.
ClassName = Annotated[str, BeforeValidator(lambda key: str(key) if type(key) is int else key)]
ClassWeights = dict[ClassName, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


def check_loss(loss: Loss | None, task: Task) -> None:
    """Raise ValueError when a loss is none of the task's."""
    known = LOSSES[task.kind]
    if loss is not None and loss.name not in known:
        raise ValueError(f"train.loss: {loss.name} is no loss of a {task.kind} task; expected one of {', '.join(known)}")
    if isinstance(loss, Focal) and loss.alpha is not None and task.kind != "binary":
        raise ValueError("train.loss: alpha is that of two classes; expected train.class_weights for more")


def weights_by_label(weights: ClassWeights, task: Task) -> tuple[float, ...]:
    """The weight of each class, in the order of labels; 1 for one that is not named, and nothing at all where none is.

    Raises ValueError when a class is unknown or named twice, or the task has none.
    """
    if not weights:
        return ()
    if task.kind == "regression":
        raise ValueError("train.class_weights: a regression has no classes; expected none")
    labels = _labels_by_name(task)
    if unknown := sorted(set(weights) - set(labels)):
        raise ValueError(f"train.class_weights: unknown class {', '.join(unknown)}; expected some of {', '.join(labels)}")
    by_label = [1.0] * len(task.classes)
    for name, weight in weights.items():
        by_label[labels[name]] = weight
    if len({labels[name] for name in weights}) < len(weights):
        raise ValueError(f"train.class_weights: {', '.join(weights)} name a class twice; expected each class once")
    return tuple(by_label)


def _labels_by_name(task: Binary | Multiclass) -> dict[str, int]:
    names = {name: label for label, name in enumerate(task.classes)}
    # The labels of a binary task are 0 and 1, whatever it calls them; names that say otherwise win.
    return {**({"0": 0, "1": 1} if isinstance(task, Binary) and not {"0", "1"} & set(names) else {}), **names}
