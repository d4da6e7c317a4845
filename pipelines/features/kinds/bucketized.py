"""A number by the bucket that it falls in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from pipelines.features.kinds.base import NUMBERS, UNKNOWN_ID, Fitted, Kind
from pipelines.features.kinds.numeric import Finite
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Request, Stats, Train, number

MOST_EDGES = 64


class FittedBucketized(Fitted):
    """x → 1 + how many edges are at most x, 0 when it is missing."""

    kind: Literal["bucketized"] = "bucketized"
    edges: tuple[float, ...]

    @property
    def ids(self) -> dict[str, int]:
        return {self.name: len(self.edges) + 2}

    @property
    def labels(self) -> list[str]:
        edges = [f"{edge:g}" for edge in self.edges]
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        return ["(missing)", f"below {edges[0]}", *between, f"{edges[-1]} and above"]

    def statistics(self) -> Request:
        return number(self.name)

    def apply(self, rows: Rows) -> dict[str, Array]:
        values, _ = rows.numbers([self.name])
        # An edge a comparison, in float64: Keras's Discretization, or a bare number here, would round to float32 first.
        reached = [rows.cast(values >= rows.ops.full_like(values, np.float64(edge)), "int32") for edge in self.edges]
        return {self.name: rows.ops.where(rows.ops.isnan(values), UNKNOWN_ID, 1 + reduce(add, reached))}


class Bucketized(Kind):
    """A number as the id of the bucket that it falls in, from 1; 0 where it is missing."""

    types = NUMBERS
    fitted = FittedBucketized
    sliceable = True
    edges: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MOST_EDGES)]
    """Bounds of the buckets, ascending. A value at an edge is in the bucket above it."""

    def statistics(self, name: str) -> Iterator[Request]:
        yield number(name)

    def leak(self, name: str) -> Request:
        return number(name)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        train.number(name)  # refuses one without a value
        bucketized = FittedBucketized(name=name, edges=self.edges)
        yield bucketized, bucketized.stats(train.profiles)

    @model_validator(mode="after")
    def _ascending(self) -> Bucketized:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges must ascend, none twice")
        return self
