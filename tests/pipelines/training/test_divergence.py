"""What is said of an epoch by whose validation no best one can be chosen."""

from __future__ import annotations

import math

import pytest

from pipelines.errors import DataError, QualityError, RingmillError
from pipelines.training.divergence import unusable
from pipelines.training.loop import ValidationMetrics as Measured


@pytest.mark.parametrize(
    ("validation", "kind", "message"),
    [
        (
            Measured(0.59, "validation_auc", math.nan),
            DataError,
            "epoch 3: .*0.59, validation_auc nan: AUC is undefined where",
        ),
        (
            Measured(2.5, "validation_mae", math.inf),
            QualityError,
            "predictions are larger than .* Set task.clip: true",
        ),
        (Measured(math.nan, "validation_auc", math.nan), QualityError, "loss is nan, .*: training diverged"),
        (
            Measured(math.inf, "validation_mae", 3.0),
            QualityError,
            "loss is inf, validation_mae 3.0: training diverged",
        ),
    ],
)
def test_the_cause_is_named(validation: Measured, kind: type[RingmillError], message: str) -> None:
    with pytest.raises(kind, match=message):
        raise unusable(validation, 2)
