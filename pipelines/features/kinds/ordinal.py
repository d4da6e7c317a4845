"""A word of a declared order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from pipelines.errors import DataError
from pipelines.features.kinds.base import Fitted
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Stats, Train
from pipelines.features.kinds.words import FittedVocabulary, WordKind


class FittedOrdinal(FittedVocabulary):
    """word → its place in the order, from 0 to 1 in equal steps, or `fill` when it is missing or not there."""

    kind: Literal["ordinal"] = "ordinal"
    vocabulary: tuple[str, ...]
    fill: float

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def values(self) -> list[float]:
        """The positions by id: of the unknown word first, then of the order."""
        last = len(self.vocabulary) - 1
        return [self.fill, *(position / last for position in range(last + 1))]

    def apply(self, rows: Rows) -> dict[str, Array]:
        return {self.name: rows.values_at(self.values, rows.word_ids(self.name, self.vocabulary))}


class Ordinal(WordKind):
    """A word of a declared order, as a number from 0 to 1 in equal steps. A missing or unknown word is the train split's
    median.
    """

    fitted = FittedOrdinal
    order: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]
    """All words, from the first (0) to the last (1)."""

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        counts = train.profile(name).counts
        reached = np.cumsum([counts.get(each, 0) for each in self.order])
        if not reached[-1]:
            raise DataError(
                f"features.ordinal.{name}: no word of the train split is in its order ({', '.join(self.order)}); found "
                f"{', '.join(sorted(counts)[:5])}. Fix the order."
            )
        if strange := sorted(each for each in counts if each and each not in self.order):
            raise DataError(
                f"features.ordinal.{name}: the train split has {', '.join(map(repr, strange[:5]))}, which its order lacks; "
                f"expected {', '.join(self.order)}. Add it to the order where it belongs, or derive another word."
            )
        position = int(np.searchsorted(reached, reached[-1] / 2))
        ordinal = FittedOrdinal(name=name, vocabulary=self.order, fill=position / (len(self.order) - 1))
        yield ordinal, ordinal.stats(train.profiles)._replace(vocabulary=self.order)

    @model_validator(mode="after")
    def _each_once(self) -> Ordinal:
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a word twice")
        return self
