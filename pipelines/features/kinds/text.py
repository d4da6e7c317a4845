"""A text as the ids of its first words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.errors import DataError
from pipelines.features.kinds.base import WORDS, Fitted, Kind, Tensor
from pipelines.features.kinds.categorical import frequent_words
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Request, Stats, TableRows, Train
from pipelines.features.kinds.words import FittedWord
from schemas.contract import ColumnType

FIRST_TOKEN_ID = 2  # 0 is no word at all, 1 one that the vocabulary lacks


def word_count(name: str) -> Request:
    """How many words a text has; one without a word is missing."""
    return Request(name, "number", (name,), partial(_word_counts, name=name))


def words_name(name: str) -> str:
    """The profile of a text's words."""
    return f"{name} words"


def _word_counts(rows: TableRows, name: str) -> Any:
    return rows.word_counts(name)


def _words(rows: TableRows, name: str) -> Any:
    return rows.text_words(name)


class FittedText(FittedWord):
    """text → ids of its first `length` words, then zeros: by the vocabulary from 2 on (1: unknown), or 1 + CRC-32 modulo
    `buckets`.
    """

    kind: Literal["text"] = "text"
    length: int
    vocabulary: tuple[str, ...] = ()
    buckets: int | None = None

    @property
    def size(self) -> int:
        """How many ids there are, that of no word among them."""
        return self.buckets + 1 if self.buckets else len(self.vocabulary) + FIRST_TOKEN_ID

    @property
    def array(self) -> ColumnType:
        return "array<int>"

    @property
    def tensor(self) -> Tensor:
        return Tensor("text", self.name, (self.name,), (self.length,), "int32", self.size)

    def statistics(self) -> Request:
        return word_count(self.name)

    def apply(self, rows: Rows) -> dict[str, Array]:
        tokens = rows.tokens(self.name, self.length)
        ids = rows.token_hashes(tokens, self.buckets) if self.buckets else rows.token_ids(tokens, self.vocabulary)
        return {self.name: ids}


class Text(Kind):
    """A text as the ids of its first words, in lower case: from 2 by frequency in the train split, 1 for an unknown word, 0 for
    none. A word is what stands between spaces and punctuation; an apostrophe is part of it.
    """

    types = WORDS
    fitted = FittedText
    length: Annotated[int, Field(ge=1, le=10_000)]
    """First words that count. A shorter text is filled up with 0."""
    min_count: Annotated[int, Field(ge=1)] = 1
    """Fewest occurrences in the train split that a word needs for an id of its own. Without effect with `buckets`."""
    max_size: Annotated[int, Field(ge=1)] = 20_000
    """Most words with an id of their own, the most frequent ones. Without effect with `buckets`."""
    buckets: Annotated[int, Field(ge=1, le=1 << 24)] | None = None
    """Number of ids by CRC-32, instead of ids by frequency. Nothing is counted then."""

    def statistics(self, name: str) -> Iterator[Request]:
        yield word_count(name)
        if not self.buckets:
            yield Request(words_name(name), "words", (name,), partial(_words, name=name), fits=True)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        train.number(name)  # refuses one without a value
        counts = train.profiles.of(words_name(name)).counts
        words = () if self.buckets else frequent_words(counts, self.min_count, self.max_size)
        if not words and not self.buckets:
            raise DataError(
                f"features.text.{name}: no word is in the train split's {train.rows:,} rows {self.min_count:,} times or more; "
                f"expected some for its vocabulary. Lower its min_count ({self.min_count:,}), or give it buckets."
            )
        text = FittedText(name=name, length=self.length, vocabulary=words, buckets=self.buckets)
        yield text, text.stats(train.profiles)
