"""A word as an id by frequency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from pipelines.features.kinds.base import UNKNOWN_WORD, Fitted
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Stats, Train
from pipelines.features.kinds.words import FittedVocabulary, WordKind, word_labels


def frequent_words(counts: Mapping[str, int], min_count: int, max_size: int) -> tuple[str, ...]:
    """The words of a vocabulary, the most frequent first, those as frequent by name.

    Left out is what a model can't tell from others: to one "" is missing, and a NUL at the end is not there.
    """
    words = (each for each in counts if each and each != UNKNOWN_WORD and "\0" not in each)
    frequent = sorted((-counts[each], each) for each in words if counts[each] >= min_count)
    return tuple(each for _, each in frequent[:max_size])


class FittedCategorical(FittedVocabulary):
    """word → 1 + its place in the vocabulary, 0 when it is missing or not there."""

    kind: Literal["categorical"] = "categorical"
    vocabulary: tuple[str, ...]

    @property
    def ids(self) -> dict[str, int]:
        return {self.name: len(self.vocabulary) + 1}

    @property
    def labels(self) -> list[str]:
        return word_labels(self.vocabulary)

    def apply(self, rows: Rows) -> dict[str, Array]:
        return {self.name: rows.word_ids(self.name, self.vocabulary)}


class Categorical(WordKind):
    """A word as an id: 1 for the most frequent of the train split, 0 for an unknown, rare or missing one."""

    fitted = FittedCategorical
    sliceable = True
    min_count: Annotated[int, Field(ge=1)] = 1
    """Fewest rows of the train split that a word needs for an id of its own."""
    max_size: Annotated[int, Field(ge=1)] = 1000
    """Most words with an id of their own; the most frequent ones have it."""

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        vocabulary = frequent_words(train.profile(name).counts, self.min_count, self.max_size)
        categorical = FittedCategorical(name=name, vocabulary=vocabulary)
        yield categorical, categorical.stats(train.profiles)._replace(vocabulary=vocabulary)
