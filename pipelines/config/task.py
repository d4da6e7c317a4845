"""The section `task`: what is predicted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.model import Model

Transform = Literal["none", "log1p"]


class Binary(Model):
    """One of two classes: the label is 1 for the second, 0 for the first. The model gives the probability of the second."""

    kind: Literal["binary"] = "binary"
    classes: tuple[str, str] = ("negative", "positive")


class Multiclass(Model):
    """One of several classes: the label is its place among them, from 0. The model gives each one's probability."""

    kind: Literal["multiclass"]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=10_000)]


class Regression(Model):
    """A number, or with `features.windows.label` as many as its horizon has steps, in `unit`.

    With `transform: log1p` the network learns log(1 + label), and the loss is that of this scale; predictions, and with them
    all metrics, are in the label's own unit. With `clip` predictions stay within the least and the greatest label of the train
    split.
    """

    kind: Literal["regression"]
    unit: str = ""
    transform: Transform = "none"
    clip: bool = False


Task = Annotated[Binary | Multiclass | Regression, Field(discriminator="kind")]
