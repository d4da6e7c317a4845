"""A tiny network, exported as training would: what the tests of the service load and ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.bundles.card import TrainingData
from pipelines.bundles.signature import input_schema
from pipelines.config import Network
from pipelines.features.fitted import FittedCategorical, FittedChannel, FittedHashed, FittedNumeric, FittedSpec, FittedTime
from schemas.contract import Column, Table

EXAMPLES = Table(
    name="examples",
    columns=(
        Column("distance", "double", unit="miles", nullable=False, minimum=1, maximum=6000),
        Column("seats", "int", unit="seats", minimum=1, maximum=900),
        Column("temp", "double", unit="degrees Fahrenheit", minimum=-60, maximum=130),
        Column("delay_1h", "double", unit="minutes", from_history=True),
        Column("holiday", "boolean"),
        Column("moment", "timestamp", unit="UTC", nullable=False),
        Column("origin", "string", nullable=False, allowed=("EWR", "JFK", "LGA")),
        Column("airline", "string", pattern="^[A-Z0-9]{2}$"),
        Column("label", "float"),
    ),
    key=("origin", "moment"),
)


def _scaled(name: str, fill: float, offset: float, scale: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "fill": fill, "clip": None, "log1p": False, "offset": offset, "scale": scale, **more}


FEATURES = (
    FittedNumeric(**_scaled("distance", 872, 1000, 700)),
    FittedNumeric(**_scaled("seats", 149, 140, 70)),
    FittedNumeric(**_scaled("temp", 57, 57, 18), indicator=True),
    FittedNumeric(**_scaled("delay_1h", 5, 12, 30)),
    FittedNumeric(**_scaled("holiday", 0, 0, 1)),
    FittedTime(name="moment", parts=("hour", "weekday"), zone="America/New_York", encode="cyclic"),
    FittedCategorical(name="origin", vocabulary=("EWR", "LGA", "JFK")),
    FittedCategorical(name="airline", vocabulary=("UA", "B6", "AA")),
    FittedChannel(**_scaled("past_temp", 57, 57, 18), sequence="past", of="temp", length=3),
)
SPEC = FittedSpec(features=FEATURES)
HASHED = FittedSpec(features=(*FEATURES, FittedHashed(name="tailnum", buckets=7)))
FLIGHT: dict[str, Any] = {
    "distance": 1400.0, "seats": 189.0, "temp": 40.0, "delay_1h": 12.5, "holiday": 0.0, "moment": 1372939200.0,
    "origin": "JFK", "airline": "B6", "past_temp": [38.0, 39.0, 40.0],
}  # fmt: skip
"""One row as a model takes it; the moment is noon of 4 July 2013, UTC."""


def export_tiny(folder: Path, spec: FittedSpec = SPEC, seed: int = 1, run_id: str = "run1") -> Path:
    """Publish a small network whose weights follow from the seed; return its folder."""
    import keras

    from pipelines.training.export import Description, export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import BinaryHead

    keras.utils.set_random_seed(seed)
    network = build_network(Network.model_validate({"hidden": [8, 4], "sequence": {"units": [2]}}), spec)
    facts = {
        "run_id": run_id,
        "pipeline": "tiny",
        "task": {"kind": "binary", "classes": ["on time", "late"]},
        "validation_loss": 0.5,
    }
    described = Description(input_schema(spec, EXAMPLES, [FLIGHT]), TrainingData(title="Tiny", rows={"train": 10}))
    export(network, spec, BinaryHead(), facts, str(folder), description=described)
    return folder


def arrays(*rows: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Rows as arrays by name: NaN or '' for none."""
    words = ("origin", "airline")
    return {
        name: np.array([row[name] or "" for row in rows], object)
        if name in words
        else np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)
        for name in SPEC.inputs
    }
