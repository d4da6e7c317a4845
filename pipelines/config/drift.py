"""The section `drift`: how far features may move from what was trained on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pipelines.model import Model


class Bounds(Model):
    """Above `warn` a feature is named in a warning; above `fail` the drift job fails. Without a bound, nothing is said."""

    warn: Annotated[float, Field(gt=0)] | None = None
    fail: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _warns_first(self) -> Bounds:
        if self.warn is not None and self.fail is not None and self.fail < self.warn:
            raise ValueError(f"fail ({self.fail}) is below warn ({self.warn}); expected at least that")
        return self


class DriftConfig(Model):
    """Bounds of each feature's population stability index (nats), Kolmogorov-Smirnov distance, and change of the missing
    share.
    """

    psi: Bounds = Bounds(warn=0.25)
    ks: Bounds = Bounds()
    missing: Bounds = Bounds(warn=0.1)
