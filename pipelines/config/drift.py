"""The section `drift`: how far features may move from what was trained on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pipelines.model import Model


class DriftBounds(Model):
    """How far one measure may move. Without a bound nothing is reported."""

    warn: Annotated[float, Field(gt=0)] | None = None
    """Above it the feature is named in a warning."""
    fail: Annotated[float, Field(gt=0)] | None = None
    """Above it the drift job fails (exit 4). At least `warn`."""

    @model_validator(mode="after")
    def _warns_first(self) -> DriftBounds:
        if self.warn is not None and self.fail is not None and self.fail < self.warn:
            raise ValueError(f"fail ({self.fail}) is below warn ({self.warn}); expected at least that")
        return self


class DriftConfig(Model):
    """Bounds of how far each feature may move from the train split. A `fail` without `warn` keeps the default of `warn`, or
    stands for it too where it is lower.
    """

    psi: DriftBounds = DriftBounds(warn=0.25)
    """Bounds of the population stability index over ten bins of train, in nats."""
    ks: DriftBounds = DriftBounds()
    """Bounds of the Kolmogorov-Smirnov distance, from 0 to 1. Words have none."""
    missing: DriftBounds = DriftBounds(warn=0.1)
    """Bounds of the change of the share of missing values, up or down, from 0 to 1."""

    @model_validator(mode="after")
    def _keep_warnings(self) -> DriftConfig:
        for name, field in type(self).model_fields.items():
            given: DriftBounds = getattr(self, name)
            default = field.default.warn
            if default is not None and "warn" not in given.model_fields_set:
                warn = default if given.fail is None else min(default, given.fail)
                object.__setattr__(self, name, given.model_copy(update={"warn": warn}))
        return self
