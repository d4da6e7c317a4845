"""A word as the mean label of the rows that have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.features.kinds.base import Fitted
from pipelines.features.kinds.numeric import Finite
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Stats, Train
from pipelines.features.kinds.words import FittedVocabulary, WordKind


class LabelSums(NamedTuple):
    """The most frequent words, and by word (rows) and fold (columns) how many rows there are and the sum of their labels.

    Of all rows, whatever their word: how many there are by fold, the sums of their labels, and the labels' deviation.
    """

    words: tuple[str, ...]
    rows: npt.NDArray[np.float64]
    totals: npt.NDArray[np.float64]
    all_rows: npt.NDArray[np.float64]
    all_totals: npt.NDArray[np.float64]
    deviation: float


class FittedTarget(FittedVocabulary):
    """word → the train split's mean label of rows with that word, `prior` when it is missing or not there; less `prior`, in
    deviations of the label.

    `out_of_fold` has the means, and `priors_out_of_fold` the prior, of the rows outside each fold: what the train split's own
    rows get.
    """

    kind: Literal["target"] = "target"
    differs_in_train = True
    vocabulary: tuple[str, ...]
    prior: float
    deviation: float
    means: tuple[float, ...]
    out_of_fold: tuple[tuple[float, ...], ...]
    priors_out_of_fold: tuple[float, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def values(self) -> list[float]:
        """The scaled means by id: of the unknown word first, then of the vocabulary."""
        return self._scaled([self.prior, *self.means])

    @property
    def values_out_of_fold(self) -> list[list[float]]:
        """The value of each word by the fold that its rows are in, learnt from the other folds."""
        pairs = zip(self.priors_out_of_fold, self.out_of_fold, strict=True)
        return [self._scaled([prior, *means]) for prior, means in pairs]

    def _scaled(self, values: list[float]) -> list[float]:
        return [(value - self.prior) / self.deviation for value in values]

    def apply(self, rows: Rows) -> dict[str, Array]:
        """The mean of all rows, or for a row of the train split the mean of those outside its own fold."""
        ids, fold = rows.word_ids(self.name, self.vocabulary), rows.own_fold(len(self.out_of_fold))
        if fold is None:
            return {self.name: rows.values_at(self.values, ids)}
        table = [value for values in (self.values, *self.values_out_of_fold) for value in values]
        return {self.name: rows.values_at(table, (fold + 1) * (len(self.vocabulary) + 1) + ids)}


class Target(WordKind):
    """A word as its mean label on the train split, in deviations from the mean of all (Micci-Barreca 2001). An unknown or
    missing word is the mean of all. No train row has a part in its own number.
    """

    fitted = FittedTarget
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of the train split. A train row gets the mean label of the rows in the other parts."""
    smoothing: Annotated[Finite, Field(ge=0)] = 20.0
    """Rows with the mean label of all that are added to each word's own. More of them hold rare words closer to it."""
    max_size: Annotated[int, Field(ge=1)] = 1000
    """Most words with a mean of their own; the most frequent ones have it."""

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        train.profile(name)  # refuses one without a word
        target = fit_target(name, train.labels[name], self.smoothing)
        yield target, target.stats(train.profiles)._replace(vocabulary=target.vocabulary)


def fit_target(name: str, sums: LabelSums, smoothing: float) -> FittedTarget:
    """Means drawn to the mean of all: (total + smoothing * prior) / (rows + smoothing).

    Micci-Barreca: A preprocessing scheme for high-cardinality categorical attributes in classification and prediction
    problems (2001), eq. 3 and 4, with n / (n + smoothing) for the weight of a word of n rows.
    """
    rows, totals = sums.all_rows, sums.all_totals
    prior = totals.sum() / rows.sum()
    priors = _mean(totals.sum() - totals, rows.sum() - rows, prior, 0.0)
    outside_rows, outside = (counts.sum(axis=1, keepdims=True) - counts for counts in (sums.rows, sums.totals))
    means = _mean(sums.totals.sum(axis=1), sums.rows.sum(axis=1), prior, smoothing)
    of_fold = _mean(outside, outside_rows, priors, smoothing).T
    return FittedTarget(
        name=name,
        vocabulary=sums.words,
        prior=float(prior),
        deviation=sums.deviation or 1.0,
        means=tuple(means.tolist()),
        out_of_fold=tuple(tuple(fold) for fold in of_fold.tolist()),
        priors_out_of_fold=tuple(priors.tolist()),
    )


def _mean(
    totals: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], prior: npt.NDArray[np.float64] | float, smoothing: float
) -> npt.NDArray[np.float64]:
    """Smoothed means; without any row or smoothing, the prior."""
    weight = rows + smoothing
    whole: npt.NDArray[np.float64] = np.where(weight > 0, (totals + smoothing * prior) / np.where(weight > 0, weight, 1), prior)
    return whole
