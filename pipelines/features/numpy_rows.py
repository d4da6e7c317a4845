"""The operations on rows of NumPy arrays that kinds of feature take from a backend, wherever the rows come from."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.features.calendar import DAY, transitions
from pipelines.features.images import decode
from pipelines.features.kinds.base import UNKNOWN_ID
from pipelines.features.kinds.crossed import crossing
from pipelines.features.kinds.rows import Parts
from pipelines.features.kinds.text import FIRST_TOKEN_ID
from pipelines.features.tokens import words_of

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int32]
Table = TypeVar("Table")


class Lookups:
    """Tables that are derived from vocabularies, each computed once for as long as this object lives.

    A vocabulary is known by its identity: to hash 12,000 words takes ten times as long as a small network.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[int, str], tuple[tuple[str, ...], Any]] = {}

    def get(self, vocabulary: tuple[str, ...], purpose: str, derive: Callable[[], Table]) -> Table:
        """The table of a vocabulary for a purpose, derived when it is first wanted."""
        key = id(vocabulary), purpose
        if key not in self._tables:
            self._tables[key] = vocabulary, derive()  # with the vocabulary, so that no other gets its identity
        table: Table = self._tables[key][1]
        return table


class NumpyRows(ABC):
    """Rows whose operations are NumPy's. A subclass reads the raw values: of an Arrow table, or of arrays."""

    ops = np
    side_by_side = 1  # a column lies as one piece, and close to the processor

    def __init__(self, lookups: Lookups | None = None) -> None:
        self.lookups = lookups or Lookups()
        self._split: dict[str, list[list[str]]] = {}

    @property
    @abstractmethod
    def count(self) -> int:
        """How many rows there are, which is the length of every column."""

    @abstractmethod
    def numbers(self, names: Sequence[str]) -> tuple[Values, Mask]:
        """A column's numbers, NaN where missing, and which are missing."""

    @abstractmethod
    def series(self, name: str, length: int) -> tuple[Values, Mask]:
        """The last values of a series (rows, length), and which are missing."""

    @abstractmethod
    def word_ids(self, name: str, vocabulary: tuple[str, ...]) -> Ids:
        """1 + the positions of words in the vocabulary, 0 of others."""

    @abstractmethod
    def hashed_ids(self, name: str, buckets: int) -> Ids:
        """1 + the CRC-32 of words modulo `buckets`, 0 of missing ones."""

    @abstractmethod
    def texts(self, name: str) -> Sequence[str | None]:
        """A column's texts; None or "" where missing."""

    def own_fold(self, folds: int) -> npt.NDArray[np.int64] | None:
        """The folds of rows; None where every row is served."""
        return None

    def cast(self, values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
        return values.astype(dtype)

    def crossed_ids(self, names: tuple[str, ...], vocabulary: tuple[str, ...]) -> Ids:
        if not vocabulary:
            return np.zeros(self.count, np.int32)
        parts, codes = self.lookups.get(vocabulary, "crossing", lambda: crossing(names, vocabulary))
        total = sum(self.word_ids(part.column, part.words).astype(np.int64) * part.unit for part in parts)
        ordered = np.argsort(codes)
        known = np.array(codes)[ordered]
        position = np.minimum(np.searchsorted(known, total), len(known) - 1)
        return np.where(known[position] == total, ordered[position] + 1, UNKNOWN_ID).astype(np.int32)

    def values_at(self, values: Sequence[float], positions: npt.NDArray[Any]) -> Values:
        picked: Values = np.array(values, np.float64)[positions]
        return picked

    def local_time(self, name: str, zone: str) -> Parts:
        seconds, missing = self.numbers([name])
        since, offsets = transitions(zone)
        utc = np.floor(np.where(missing, 0.0, seconds)).astype(np.int64)
        local = utc + np.array(offsets)[np.maximum(np.searchsorted(np.array(since), utc, side="right") - 1, 0)]
        days = local // DAY
        months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        parts = (local % DAY // 3600, (days + 3) % 7, months, days)
        return Parts(*(np.where(missing, -1, part).astype(np.int32) for part in parts))

    def levels(self, name: str, height: int, width: int, channels: int) -> npt.NDArray[np.float32]:
        filled = np.full((self.count, height, width, channels), np.nan, np.float32)
        for row, text in enumerate(self.texts(name)):
            if (levels := decode(text, height, width, channels)) is not None:
                filled[row] = levels
        return filled

    def split(self, name: str) -> list[list[str]]:
        """The words of each row's text, split once for all features of the column."""
        if name not in self._split:
            self._split[name] = [words_of(text) for text in self.texts(name)]
        return self._split[name]

    def tokens(self, name: str, length: int) -> npt.NDArray[np.object_]:
        words = np.full((self.count, length), "", object)
        for row, every in enumerate(self.split(name)):
            some = every[:length]
            words[row, : len(some)] = some
        return words

    def token_ids(self, tokens: npt.NDArray[np.object_], vocabulary: tuple[str, ...]) -> Ids:
        known = self.lookups.get(vocabulary, "tokens", lambda: _token_ids(vocabulary))
        return _each(tokens, lambda word: known.get(word, FIRST_TOKEN_ID - 1))

    def token_hashes(self, tokens: npt.NDArray[np.object_], buckets: int) -> Ids:
        return _each(tokens, lambda word: hashed(word, buckets))


def hashed(word: str | None, buckets: int) -> int:
    """1 + the CRC-32 of a word's UTF-8 modulo `buckets`, 0 of none."""
    return 1 + zlib.crc32(word.encode()) % buckets if word else UNKNOWN_ID


def _token_ids(vocabulary: tuple[str, ...]) -> dict[str, int]:
    return {"": 0, **{word: number for number, word in enumerate(vocabulary, start=FIRST_TOKEN_ID)}}


def _each(tokens: npt.NDArray[np.object_], number: Callable[[str], int]) -> Ids:
    return np.fromiter(map(number, tokens.ravel()), np.int32, tokens.size).reshape(tokens.shape)
