"""Raw values as the arrays that a network takes, without Spark and TensorFlow: what Spark's tasks do to features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError
from pipelines.features.batches import EXPECTED, Features, apply
from pipelines.features.fitted import FittedSpec
from pipelines.features.numpy_rows import Lookups
from pipelines.features.value_rows import ValueRows

Arrays = dict[str, npt.NDArray[Any]]
SHOWN = 10


class Preparation:
    """Prepares raw values for a network. It is built once for a model, and keeps what is derived from its vocabularies."""

    def __init__(self, spec: FittedSpec) -> None:
        self._spec = spec
        self._lookups = Lookups()

    def __call__(self, values: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """The network's inputs by name: numbers (n, numbers) in float32, ids (n, ids) in int32, and the spec's tensors.

        `values` has an array (n, …) for each raw value of the spec: float64 with NaN, or texts with "", where it is missing.
        Raises DataError, which names values and rows, when a number made of them is not finite, or an image is no PNG.
        """
        features = apply(self._spec, ValueRows(values, self._lookups))
        if features.refused:
            raise DataError("\n".join(self._problems(features)[:SHOWN]))
        return dict(self._inputs(features.columns))

    def _inputs(self, columns: Arrays) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        rows = len(next(iter(columns.values())))
        for name, names, dtype in (("numbers", self._spec.numbers, np.float32), ("ids", self._spec.ids, np.int32)):
            yield name, np.stack([columns[each] for each in names], axis=1) if names else np.empty((rows, 0), dtype)
        for tensor in self._spec.tensors:
            if tensor.kind == "sequence":
                yield tensor.name, np.stack([columns[each] for each in tensor.columns], axis=-1)
            else:
                yield tensor.name, columns[tensor.columns[0]].reshape(rows, *tensor.shape)

    def _problems(self, features: Features) -> list[str]:
        """A line for each feature and row that is refused, which begins with the names of the raw values."""
        sources = {column: ", ".join(feature.inputs) for feature in self._spec.features for column in feature.outputs}
        rows = len(features.accepted)
        return [
            f"{sources[column]}: {f'row {row}: ' if rows > 1 else ''}the feature {column} can't be computed; "
            f"{EXPECTED[self._spec.columns[column]]}."
            for column, refused in features.refused.items()
            for row in np.flatnonzero(refused)[:SHOWN]
        ]
