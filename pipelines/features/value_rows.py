"""Raw values that are given as arrays, as a model takes them: what the served model's features are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.features.kinds.base import UNKNOWN_ID
from pipelines.features.numpy_rows import Ids, Lookups, Mask, NumpyRows, Values, hashed
from pipelines.features.tokens import before_nul


class ValueRows(NumpyRows):
    """Rows of arrays (rows, …) by name: float64 with NaN, or texts with "", where a value is missing. Every row is served."""

    def __init__(self, values: Mapping[str, npt.NDArray[Any]], lookups: Lookups | None = None) -> None:
        super().__init__(lookups)
        self._values = values

    @property
    def count(self) -> int:
        return len(next(iter(self._values.values())))

    def numbers(self, names: Sequence[str]) -> tuple[Values, Mask]:
        [name] = names
        return self._values[name], np.isnan(self._values[name])

    def series(self, name: str, length: int) -> tuple[Values, Mask]:
        return self.numbers([name])

    def word_ids(self, name: str, vocabulary: tuple[str, ...]) -> Ids:
        known = self.lookups.get(vocabulary, "words", lambda: _word_ids(vocabulary))
        ids = (known.get(word, UNKNOWN_ID) for word in self._values[name])
        return np.fromiter(ids, np.int32, self.count)

    def hashed_ids(self, name: str, buckets: int) -> Ids:
        ids = (hashed(before_nul(word), buckets) for word in self._values[name])
        return np.fromiter(ids, np.int32, self.count)

    def texts(self, name: str) -> list[str | None]:
        return list(self._values[name])


def _word_ids(vocabulary: tuple[str, ...]) -> dict[str, int]:
    return {word: number for number, word in enumerate(vocabulary, start=UNKNOWN_ID + 1)}
