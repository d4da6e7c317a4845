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
from pipelines.training.job import Raw, Sample

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
    numbers, ids = features_of(tf.saved_model.load(str(saved_model)), spec, [sample.raw for sample in samples])
    expected = _matrix(samples, spec.numbers, np.float32)
    difference = np.abs(numbers.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    difference[~np.isfinite(difference)] = np.inf
    unlike_ids = ids != _matrix(samples, spec.ids, np.int32)
    wrong = [
        *_wrong(samples, spec.numbers, difference > TOLERANCE, numbers),
        *_wrong(samples, spec.ids, unlike_ids, ids),
    ]
    if wrong:
        raise QualityError(
            f"parity: the model's own preprocessing makes other features of {len(samples):,} raw rows than Spark did, in "
            f"{len(wrong)} values; expected none of the ids to differ, and numbers by {TOLERANCE:g} at most. "
            f"{'; '.join(wrong[:SHOWN])}. No model was published."
        )
    return Parity(len(samples), float(difference.max(initial=0)))


def features_of(model: Any, spec: FittedSpec, rows: Sequence[Raw]) -> tuple[npt.NDArray[Any], ...]:
    """Numbers (n, numbers) and ids (n, words) that a loaded SavedModel makes of raw rows."""
    values = {}
    for name, kind in spec.inputs.items():
        column = [row.get(name) for row in rows]
        if kind == "string":
            values[name] = tf.constant([str(value or "") for value in column], tf.string)
        else:
            values[name] = tf.constant([np.nan if value is None else float(value) for value in column], tf.float64)
    made = model.features(values)
    return made["numbers"].numpy(), made["ids"].numpy()


def _matrix(samples: Sequence[Sample], names: tuple[str, ...], dtype: type) -> npt.NDArray[Any]:
    return np.array([[sample.features[name] for name in names] for sample in samples], dtype).reshape(len(samples), len(names))


def _wrong(
    samples: Sequence[Sample], names: tuple[str, ...], where: npt.NDArray[np.bool_], found: npt.NDArray[Any]
) -> list[str]:
    return [
        f"{names[column]}: Spark {samples[row].features[names[column]]}, model {found[row, column]}, of raw {samples[row].raw}"
        for row, column in np.argwhere(where)
    ]
