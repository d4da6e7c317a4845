"""The section `train.optimizer`: by which rule, and at which rate, weights move."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.model import Model, Share


class Plateau(Model):
    """How the rate shrinks when epochs get no better."""

    patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without a better one by `train.monitor` after which the rate shrinks."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor of the rate each time."""
    minimum: Share = 0.0
    """Least share of the scheduled rate."""


class Optimizer(Model):
    """A Keras optimizer, its learning rate, and how that rises and decays over the run."""

    name: str = "Adam"
    """Class name of a Keras optimizer."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Rate at which the schedule begins, after `warmup`."""
    reference_batch: Annotated[int, Field(ge=1)] | None = None
    """Rows a step, of all ranks together, for which `learning_rate` holds; steps of more rows have it in proportion. Without it
    the rate is as given.
    """
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    """How the rate goes from there to `final` over the run."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the run's steps in which the rate rises from 0."""
    final: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the rate that is left at the end. Without it 0 of a cosine, 0.01 of an exponential. A constant rate has none."""
    reduce_on_plateau: Plateau | None = None
    """Shrinks the rate when epochs get no better. Without it nothing does."""
    options: dict[str, float | bool] = {}
    """Further arguments of the optimizer's class, such as `weight_decay` or `clipnorm`."""

    @model_validator(mode="after")
    def _decays_to_its_end(self) -> Optimizer:
        if self.final is not None and self.schedule == "constant":
            raise ValueError("a constant rate has no final share; expected schedule: cosine or exponential, or no final")
        return self
