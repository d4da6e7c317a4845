"""What kinds of feature made of one word share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.features.kinds.base import PART, WORD, WORDS, Fitted, Kind, Raw
from pipelines.features.kinds.statistics import Request, word

UNKNOWN_LABEL = "(unknown)"


def word_labels(vocabulary: tuple[str, ...]) -> list[str]:
    """What each id stands for, for readers: of the unknown word first, then of the vocabulary."""
    return [UNKNOWN_LABEL, *(each.replace(PART, ", ") for each in vocabulary)]


class FittedWord(Fitted):
    """A fitted feature of a word."""

    @property
    def inputs(self) -> dict[str, Raw]:
        return {self.name: WORD}


class FittedVocabulary(FittedWord):
    """A fitted feature that knows the words of a vocabulary, and no others."""

    if TYPE_CHECKING:
        vocabulary: tuple[str, ...]
        """A field of each kind, at its own place among the others."""

    @property
    def words(self) -> tuple[str, ...]:
        return self.vocabulary

    @property
    def groups(self) -> tuple[str, ...]:
        return self.vocabulary

    def statistics(self) -> Request:
        return word(self.name)


class WordKind(Kind):
    """Settings of a feature of a word, of which the rows with each word are counted."""

    types = WORDS

    def statistics(self, name: str) -> Iterator[Request]:
        yield word(name)

    def leak(self, name: str) -> Request:
        return word(name)
