"""A word of a set without end, as an id by its hash."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.features.kinds.base import Fitted
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Request, Stats, TableRows, Train
from pipelines.features.kinds.words import FittedWord, WordKind

GROUPS = 20  # of the buckets of a hash, by which it is told whether words have moved; no word is kept for it


def hashed_group(name: str, buckets: int) -> Request:
    """The group of buckets that the hash of a word falls in, as a word: "-1" where it is empty, missing where it is missing."""
    return Request(name, "word", (name,), partial(_groups, name=name, buckets=buckets))


def _groups(rows: TableRows, name: str, buckets: int) -> Any:
    return rows.hashed_groups(name, buckets, GROUPS)


class FittedHashed(FittedWord):
    """word → 1 + the CRC-32 of its UTF-8 modulo `buckets`, 0 when it is missing."""

    kind: Literal["hashed"] = "hashed"
    buckets: int

    @property
    def ids(self) -> dict[str, int]:
        return {self.name: self.buckets + 1}

    @property
    def words(self) -> None:
        return None

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(map(str, range(GROUPS)))

    def statistics(self) -> Request:
        return hashed_group(self.name, self.buckets)

    def apply(self, rows: Rows) -> dict[str, Array]:
        return {self.name: rows.hashed_ids(self.name, self.buckets)}


class Hashed(WordKind):
    """A word of a set without end, as an id from 1 by its CRC-32; 0 where it is missing. Nothing is fitted."""

    fitted = FittedHashed
    buckets: Annotated[int, Field(ge=1, le=1 << 24)]
    """Number of ids. Words may share one: the more ids, the fewer do."""

    def statistics(self, name: str) -> Iterator[Request]:
        yield hashed_group(name, self.buckets)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        train.profile(name)  # refuses one without a word
        hashed = FittedHashed(name=name, buckets=self.buckets)
        yield hashed, hashed.stats(train.profiles)
