"""The parity gate: what Spark made of sampled raw rows, against what the exported models make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.errors import QualityError
from pipelines.features.fitted import FittedSpec
from pipelines.features.fitted import Raw as RawKind
from pipelines.training.job import Raw, Sample, Value

TOLERANCE = 1e-6
SCORE_TOLERANCE = 1e-5  # of float32 sums that two runtimes take in another order
SHOWN = 5

Arrays = Mapping[str, npt.NDArray[Any]]
Compute = Callable[[Arrays], Arrays]


class Parity(NamedTuple):
    """Sampled rows that were compared, and the greatest difference: absolute below 1, relative above; generated rows too."""

    rows: int
    difference: float
    generated: int = 0


def check_parity(compute: Compute, spec: FittedSpec, samples: Sequence[Sample], model: str = "the SavedModel") -> Parity:
    """Compare Spark's features with those that `compute` makes of raw values, by the names of the network's inputs.

    Raises QualityError, which names features and rows, when a number differs by more than 1e-6 or an id at all. (A float32
    above 1 has no place for 1e-6 of difference: there it is a share of the number.)
    """
    if not samples:
        return Parity(0, 0.0)
    columns = _columns(compute(raw_values(spec, [sample.raw for sample in samples])), spec)
    greatest, mismatches = 0.0, []
    for name, type_ in spec.columns.items():
        expected = np.array([sample.features[name] for sample in samples], np.float64).reshape(len(samples), -1)
        actual = columns[name].reshape(len(samples), -1).astype(np.float64)
        difference = _difference(actual, expected)
        if "int" in type_:
            unlike = actual != expected
        else:
            greatest = max(greatest, float(difference.max(initial=0)))
            unlike = difference > TOLERANCE
        mismatches += [
            f"{name}: Spark {expected[row, position]:g}, model {actual[row, position]:g}, of raw {samples[row].raw}"
            for row, position in np.argwhere(unlike)
        ]
    if mismatches:
        raise QualityError(
            f"parity: {model}'s own preprocessing makes other features of {len(samples):,} raw rows than Spark did, in "
            f"{len(mismatches)} values; expected none of the ids to differ, and numbers by {TOLERANCE:g} at most. "
            f"{'; '.join(mismatches[:SHOWN])}. No model was published."
        )
    return Parity(len(samples), greatest)


def check_scores(actual: npt.NDArray[Any], expected: npt.NDArray[Any], samples: Sequence[Sample], model: str) -> float:
    """The greatest difference between a model's scores and the SavedModel's, measured as Parity's is; raises QualityError when
    it is above 1e-5.
    """
    differences = _difference(*(scores.reshape(len(samples), -1).astype(np.float64) for scores in (actual, expected)))
    greatest = float(differences.max(initial=0))
    if greatest > SCORE_TOLERANCE:
        row = int(differences.max(axis=1).argmax())
        raise QualityError(
            f"parity: {model} gives other scores than the SavedModel, by {greatest:g}; expected {SCORE_TOLERANCE:g} at most. "
            f"{actual[row]} in the place of {expected[row]}, of raw {samples[row].raw}. No model was published."
        )
    return greatest


class SavedModel:
    """An exported SavedModel, to compare with."""

    def __init__(self, path: Path) -> None:
        self._model: Any = tf.saved_model.load(str(path))

    def features(self, values: Arrays) -> Arrays:
        """The network's inputs, of raw values."""
        return {name: tensor.numpy() for name, tensor in self._model.features(self._tensors(values)).items()}

    def scores(self, values: Arrays) -> npt.NDArray[Any]:
        """What it gives for raw values."""
        scores: npt.NDArray[Any] = self._model.serve(self._tensors(values)).numpy()
        return scores

    def _tensors(self, values: Arrays) -> dict[str, tf.Tensor]:
        return {name: tf.constant(array, tf.string if array.dtype == object else tf.float64) for name, array in values.items()}


def raw_values(spec: FittedSpec, rows: Sequence[Raw]) -> dict[str, npt.NDArray[Any]]:
    """Raw rows as a model takes them, an array (n, …) a name: NaN or "" for what is missing."""
    return {name: _raw_array(raw, [row.get(name) for row in rows]) for name, raw in spec.inputs.items()}


def _raw_array(raw: RawKind, column: Sequence[Value | None]) -> npt.NDArray[Any]:
    if raw.dtype == "string":
        return np.array([str(value or "") for value in column], object)
    filled = np.full((len(column), *raw.shape), np.nan)
    for row, value in enumerate(column):
        if value is not None:
            filled[row] = np.array(value, np.float64)  # None becomes NaN
    return filled


def _columns(arrays: Arrays, spec: FittedSpec) -> dict[str, npt.NDArray[Any]]:
    """The network's inputs column by column: values (n,), of arrays (n, …)."""
    columns = {name: arrays["numbers"][:, index] for index, name in enumerate(spec.numbers)}
    columns |= {name: arrays["ids"][:, index] for index, name in enumerate(spec.ids)}
    for tensor in spec.tensors:
        has_channels = len(tensor.columns) > 1
        columns |= {
            name: arrays[tensor.name][..., index] if has_channels else arrays[tensor.name]
            for index, name in enumerate(tensor.columns)
        }
    return columns


def _difference(actual: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    difference: npt.NDArray[np.float64] = np.abs(actual - expected) / np.maximum(1, np.abs(expected))
    difference[~np.isfinite(difference)] = np.inf
    return difference
