"""The section `train.optimizer`: by which rule, and at which rate, weights move."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.model import Model, Share


class Plateau(Model):
    """After `patience` epochs without a better one by what `train.monitor` names, the rate is multiplied by `factor`, and never
    goes below `minimum`, a share of what the schedule says.
    """

    patience: Annotated[int, Field(ge=1)] = 3
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    minimum: Share = 0.0


class Optimizer(Model):
    """A Keras optimizer by its class name, its learning rate, and how that decays over the run, once it has risen from 0 over
    `warmup`, a share of the run's steps, to the share `final` of itself (by default 0 for a cosine, 0.01 for an exponential).

    With `reference_batch` the rate is that of so many rows a step; other steps have it in proportion to their rows.
    """

    name: str = "Adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    reference_batch: Annotated[int, Field(ge=1, description="rows a step of all ranks together")] | None = None
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    final: Annotated[float, Field(gt=0, le=1)] | None = None
    reduce_on_plateau: Plateau | None = None
    options: dict[str, float | bool] = {}

    @model_validator(mode="after")
    def _decays_to_its_end(self) -> Optimizer:
        if self.final is not None and self.schedule == "constant":
            raise ValueError("a constant rate has no final share; expected schedule: cosine or exponential, or no final")
        return self
