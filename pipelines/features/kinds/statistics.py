"""What kinds of feature ask of rows before they are fitted, and what they are told: requests and profiles, by name."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from pipelines.errors import DataError
from pipelines.features.kinds.summaries import PERCENTILES, Levels

FIRST, MEDIAN, THIRD = (PERCENTILES.index(share) for share in (0.25, 0.5, 0.75))
TRAIN = "train"


class Words(NamedTuple):
    """Words by their positions in a dictionary, an Arrow array; a missing word has the position after the last.

    Where rows have several words or none, `rows` has the row of each.
    """

    codes: Any
    dictionary: Any
    rows: Any = None


class TableRows(Protocol):
    """Rows of a table, as statistics are taken of them."""

    @property
    def ops(self) -> Any:
        """The functions that arrays of these rows are computed with: the module numpy."""

    def numbers(self, names: Sequence[str]) -> tuple[Any, Any]:
        """A column's numbers, NaN where missing, and which are missing."""

    def present(self, name: str) -> Any:
        """A mask of the rows in which a column has a value, shape (rows,)."""

    def words(self, name: str) -> Words:
        """A column's words: a code for each row, and the words that codes stand for."""

    def crossed_words(self, names: tuple[str, ...]) -> Words:
        """Several columns' words as one, joined by `PART`; missing where one is missing, empty or holds that."""

    def hashed_groups(self, name: str, buckets: int, groups: int) -> Words:
        """The remainders of hashed ids, less 1, by a number of groups, as words: "-1" where a word is empty."""

    def text_lengths(self, name: str) -> Any:
        """The number of characters of a text, NaN where missing."""

    def word_counts(self, name: str) -> Any:
        """The number of words of a text, NaN where there is none."""

    def text_words(self, name: str) -> Words:
        """All words of a text, in lower case."""


class Request(NamedTuple):
    """A statistic of rows, by the name of its profile. `values` takes it from rows that have the `columns`.

    The values of a `number` are float64, those that are not finite being missing; of a `word` they are positions in a
    dictionary, of `words` these with the row of each, and of `presence` whether there is a value. With `fits` it is asked of
    the train split alone.
    """

    name: str
    kind: Literal["number", "word", "words", "presence"]
    columns: tuple[str, ...]
    values: Callable[[TableRows], Any]
    fits: bool = False


def number(name: str, column: str | None = None) -> Request:
    """A number: moments, percentiles and levels of a column, by default of the one of the profile's name."""
    return Request(name, "number", (column or name,), partial(_number, column=column or name))


def word(name: str) -> Request:
    """A word: how often each occurs."""
    return Request(name, "word", (name,), partial(_word, column=name))


def presence(name: str) -> Request:
    """Whether there is a value."""
    return Request(name, "presence", (name,), partial(_presence, column=name))


def _number(rows: TableRows, column: str) -> Any:
    return rows.numbers([column])[0]


def _word(rows: TableRows, column: str) -> Any:
    return rows.words(column)


def _presence(rows: TableRows, column: str) -> Any:
    return rows.present(column)


@dataclass(frozen=True)
class ColumnProfile:
    """What is known of one statistic of some rows: how many have a value; a number's moments (the variance is the
    population's), percentiles and levels, None of no value; how often each word occurs, the most frequent first.
    """

    present: int = 0
    mean: float = 0.0
    variance: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    percentiles: tuple[float, ...] | None = None
    levels: Levels | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


NOTHING = ColumnProfile()


class Profiles(NamedTuple):
    """The profiles of a group of rows by name, and how many rows it has; a name without rows has the profile of no value."""

    rows: int = 0
    columns: Mapping[str, ColumnProfile] = MappingProxyType({})

    def of(self, name: str) -> ColumnProfile:
        """The profile of a column by its name; one without values where no row has the column."""
        return self.columns.get(name, NOTHING)


class Stats(NamedTuple):
    """What is known of a feature on a split; moments are those of the values before scaling, imputed ones too. A number that is
    not finite counts as missing.

    `percentiles`: the values at 0.5, 1, 1.5 to 99.5 percent, and `shares` what share of all rows has each word of the
    vocabulary (of a hash each group of buckets): both of what was there, nothing imputed. A text's percentiles are those of its
    number of words, an image's those of its length as text.

    `levels` are numbers in ascending order, all distinct ones where these are few, with the rows below each and at or below it;
    where percentiles are of a sample, so are they.
    """

    rows: int
    missing: int
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quartiles: tuple[float, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    percentiles: tuple[float, ...] | None = None
    shares: tuple[float, ...] | None = None
    levels: Sequence[float] | None = None
    rows_below: Sequence[float] | None = None
    rows_at_most: Sequence[float] | None = None

    @classmethod
    def of(cls, rows: int, profile: ColumnProfile, words: Sequence[str] | None = None) -> Stats:
        """The counts of a profile and its percentiles or, where `words` are given, the share of each."""
        shares = None if words is None else tuple(profile.counts.get(each, 0) / max(rows, 1) for each in words)
        stats = cls(rows, rows - profile.present, percentiles=profile.percentiles, shares=shares)
        return stats.with_levels(profile.levels)

    def with_levels(self, levels: Levels | None) -> Stats:
        """The same, with the distribution of the values that were there."""
        if levels is None:
            return self
        # Of thousands of features: arrays take a fourth of the memory of tuples, and are equal where their numbers are.
        values, below, at_most = (array("d", each.tobytes()) for each in levels)
        return self._replace(levels=values, rows_below=below, rows_at_most=at_most)


class Train(NamedTuple):
    """What features are fitted on: the train split's profiles, and its labels by word of each feature that is a mean label."""

    profiles: Profiles
    labels: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """How many rows of the train split were profiled."""
        return self.profiles.rows

    def profile(self, name: str) -> ColumnProfile:
        """A feature's profile; raises DataError when it has no value."""
        profile = self.profiles.of(name)
        if not profile.present:
            raise DataError(
                f"features.{name}: no value at all in the train split of {self.rows:,} rows. Leave the feature out."
            )
        return profile

    def number(self, name: str) -> ColumnProfile:
        """A number's profile; raises DataError when it has no value, or too few for percentiles."""
        profile = self.profile(name)
        if profile.percentiles is None:
            raise DataError(
                f"features.{name}: {profile.present:,} values in the train split of {self.rows:,} rows, too few for "
                f"percentiles. Leave the feature out, or bring it in as a word."
            )
        return profile
