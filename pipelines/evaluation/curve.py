"""Positives and negatives by distinct score: all that any of the metrics needs to know of the predictions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Curve(NamedTuple):
    """Distinct scores in falling order, shape (n,), and the rows of each class that have them, shape (n,) each."""

    scores: Floats
    positives: Floats
    negatives: Floats

    @staticmethod
    def of(scores: npt.NDArray[np.generic], positives: npt.NDArray[np.generic], negatives: npt.NDArray[np.generic]) -> Curve:
        """A curve from counts by score in any order."""
        order = np.argsort(-scores.astype(np.float64), kind="stable")
        return Curve(*(values[order].astype(np.float64) for values in (scores, positives, negatives)))

    @property
    def true_positives(self) -> Floats:
        """Positives with at least each score."""
        return np.cumsum(self.positives)

    @property
    def false_positives(self) -> Floats:
        """Negatives with at least each score."""
        return np.cumsum(self.negatives)

    @property
    def rows(self) -> float:
        """The number of rows, of both classes together."""
        return float(self.positives.sum() + self.negatives.sum())
