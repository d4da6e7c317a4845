"""Words of several columns together, as one word."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from pipelines.features.kinds.base import PART, WORD, WORDS, Fitted, Kind, Raw
from pipelines.features.kinds.categorical import frequent_words
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Request, Stats, TableRows, Train
from pipelines.features.kinds.words import word_labels


def crossed_word(name: str, of: tuple[str, ...]) -> Request:
    """The words of several columns as one."""
    return Request(name, "word", of, partial(_crossed, of=of))


def _crossed(rows: TableRows, of: tuple[str, ...]) -> Any:
    return rows.crossed_words(of)


class FittedCrossed(Fitted):
    """words, one a column → 1 + the place of all of them together in the vocabulary, 0 when one is missing or they are not
    there. The vocabulary holds them side by side, with `PART` between.
    """

    kind: Literal["crossed"] = "crossed"
    of: tuple[str, ...]
    vocabulary: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, Raw]:
        return dict.fromkeys(self.of, WORD)

    @property
    def ids(self) -> dict[str, int]:
        return {self.name: len(self.vocabulary) + 1}

    @property
    def labels(self) -> list[str]:
        return word_labels(self.vocabulary)

    @property
    def groups(self) -> tuple[str, ...]:
        return self.vocabulary

    def statistics(self) -> Request:
        return crossed_word(self.name, self.of)

    def apply(self, rows: Rows) -> dict[str, Array]:
        return {self.name: rows.crossed_ids(self.of, self.vocabulary)}


class Crossed(Kind):
    """Words of several columns together as one word; it is missing where one of them is."""

    types = WORDS
    fitted = FittedCrossed
    sliceable = True
    of: Annotated[tuple[str, ...], Field(min_length=2)]
    """Columns whose words form one."""
    min_count: Annotated[int, Field(ge=1)] = 1
    """As of a categorical feature, of the joined words."""
    max_size: Annotated[int, Field(ge=1)] = 1000
    """As of a categorical feature, of the joined words."""

    def columns(self, name: str) -> tuple[str, ...]:
        """The columns that are crossed."""
        return self.of

    def statistics(self, name: str) -> Iterator[Request]:
        yield crossed_word(name, self.of)

    def leak(self, name: str) -> Request:
        return crossed_word(name, self.of)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        vocabulary = frequent_words(train.profile(name).counts, self.min_count, self.max_size)
        crossed = FittedCrossed(name=name, of=self.of, vocabulary=vocabulary)
        yield crossed, crossed.stats(train.profiles)._replace(vocabulary=vocabulary)


class Part(NamedTuple):
    """A column of a cross, the words that its vocabulary has of it, and what a word's position is multiplied by."""

    column: str
    words: tuple[str, ...]
    unit: int


def crossing(of: tuple[str, ...], vocabulary: tuple[str, ...]) -> tuple[list[Part], list[int]]:
    """How crossed words become one number, and the number of each entry of the vocabulary.

    The words' positions, from 1 on, are the number's digits: with an unknown part, which has 0, it is that of no entry.
    """
    entries, parts, unit = [entry.split(PART) for entry in vocabulary], [], 1
    codes = [0] * len(entries)
    for column, words in zip(of, zip(*entries, strict=True), strict=True):
        position = {word: number for number, word in enumerate(dict.fromkeys(words), start=1)}
        parts.append(Part(column, tuple(position), unit))
        codes = [code + position[word] * unit for code, word in zip(codes, words, strict=True)]
        unit *= len(position) + 1
    return parts, codes
