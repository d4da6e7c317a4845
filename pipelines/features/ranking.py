"""How well scores rank rows of two classes, from counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def area_under_roc(negatives: Floats, positives: Floats) -> float:
    """Area under the ROC curve, from how many rows of either class have each score, shape (n,) in ascending order of scores.

    It is the share of pairs of a negative and a positive that the score orders rightly, ties half. NaN when a class is empty.
    Source: Fawcett, An introduction to ROC analysis (2006), section 7.
    """
    below = np.cumsum(negatives) - negatives
    pairs = negatives.sum() * positives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")
