"""The parity gate: what Spark made of sampled raw rows, against what the exported model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.errors import QualityError
from pipelines.fitted import FittedSpec
from pipelines.fitted import Raw as RawKind
from pipelines.training.job import Raw, Sample, Value

TOLERANCE = 1e-6
SHOWN = 5


class Parity(NamedTuple):
    """Rows that were compared, and the greatest difference: absolute below 1, relative above."""

    rows: int
    difference: float


def check_parity(saved_model: Path, spec: FittedSpec, samples: Sequence[Sample]) -> Parity:
    """Compare Spark's features with those of the SavedModel's own preprocessing.

    Raises QualityError, which names features and rows, when a number differs by more than 1e-6 or an id at all. (A float32
    above 1 has no place for 1e-6 of difference: there it is a share of the number.)
    """
    if not samples:
        return Parity(0, 0.0)
    made = features_of(tf.saved_model.load(str(saved_model)), spec, [sample.raw for sample in samples])
    greatest, wrong = 0.0, []
    for name, type_ in spec.columns.items():
        expected = np.array([sample.features[name] for sample in samples], np.float64).reshape(len(samples), -1)
        found = made[name].reshape(len(samples), -1).astype(np.float64)
        if "int" in type_:
            unlike = found != expected
        else:
            difference = np.abs(found - expected) / np.maximum(1, np.abs(expected))
            difference[~np.isfinite(difference)] = np.inf
            greatest = max(greatest, float(difference.max(initial=0)))
            unlike = difference > TOLERANCE
        wrong += [
            f"{name}: Spark {expected[row, place]:g}, model {found[row, place]:g}, of raw {samples[row].raw}"
            for row, place in np.argwhere(unlike)
        ]
    if wrong:
        raise QualityError(
            f"parity: the model's own preprocessing makes other features of {len(samples):,} raw rows than Spark did, in "
            f"{len(wrong)} values; expected none of the ids to differ, and numbers by {TOLERANCE:g} at most. "
            f"{'; '.join(wrong[:SHOWN])}. No model was published."
        )
    return Parity(len(samples), greatest)


def features_of(model: Any, spec: FittedSpec, rows: Sequence[Raw]) -> dict[str, npt.NDArray[Any]]:
    """What a loaded SavedModel makes of raw rows: each column's values (n,), of arrays (n, …)."""
    made = model.features({name: raw_tensor(raw, [row.get(name) for row in rows]) for name, raw in spec.inputs.items()})
    numbers, ids = made["numbers"].numpy(), made["ids"].numpy()
    columns = {name: numbers[:, at] for at, name in enumerate(spec.numbers)}
    columns |= {name: ids[:, at] for at, name in enumerate(spec.ids)}
    for wanted in spec.tensors:
        values = made[wanted.name].numpy()
        several = len(wanted.columns) > 1
        columns |= {name: values[..., at] if several else values for at, name in enumerate(wanted.columns)}
    return columns


def raw_tensor(raw: RawKind, column: Sequence[Value | None]) -> tf.Tensor:
    """Raw values as a model takes them: NaN or "" for what is missing."""
    if raw.dtype == "string":
        return tf.constant([str(value or "") for value in column], tf.string)
    filled = np.full((len(column), *raw.shape), np.nan)
    for row, value in enumerate(column):
        if value is not None:
            filled[row] = np.array(value, np.float64)  # None becomes NaN
    return tf.constant(filled, tf.float64)
