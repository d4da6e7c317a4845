"""The section `task`: what is predicted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.model import Model

Transform = Literal["none", "log1p"]


class Binary(Model):
    """One of two classes: the label is 1 for the second, 0 for the first. The model gives the probability of the second."""

    kind: Literal["binary"] = "binary"
    """Names the task."""
    classes: tuple[str, str] = ("negative", "positive")
    """Names of the class with label 0 and of the one with label 1."""


class Multiclass(Model):
    """One of several classes: the label is its position among them, from 0. The model gives each one's probability."""

    kind: Literal["multiclass"]
    """Names the task."""
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=10_000)]
    """Names of the classes with the labels 0, 1, 2 and so on."""


class Regression(Model):
    """A number, or with `features.windows.label` as many as its horizon has steps."""

    kind: Literal["regression"]
    """Names the task."""
    unit: str = ""
    """Unit of the label, as reports and the model's output schema show it."""
    transform: Transform = "none"
    """With `log1p` the network learns log(1 + label), and the loss is that of this scale. Predictions and metrics are in the
    label's own unit.
    """
    clip: bool = False
    """Whether predictions stay between the least and the greatest label of the train split."""


Task = Annotated[Binary | Multiclass | Regression, Field(discriminator="kind")]
