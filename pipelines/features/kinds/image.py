"""A picture, which is a PNG as base64 text, as an array of its levels: shape (height, width, channels)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.features.kinds.base import WORDS, Fitted, Kind, Tensor
from pipelines.features.kinds.numeric import Finite
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Request, Stats, TableRows, Train
from pipelines.features.kinds.words import FittedWord
from schemas.contract import ColumnType


def file_length(name: str) -> Request:
    """How long an image's file is, as text: it tells of its measures, its colours and how much there is to see."""
    return Request(name, "number", (name,), partial(_lengths, name=name))


def _lengths(rows: TableRows, name: str) -> Any:
    return rows.text_lengths(name)


class FittedImage(FittedWord):
    """A PNG as base64 → levels, row by row, each pixel's channels side by side, divided by `divide_by`."""

    kind: Literal["image"] = "image"
    height: int
    width: int
    channels: int
    divide_by: float

    @property
    def array(self) -> ColumnType:
        return "array<float>"

    @property
    def tensor(self) -> Tensor:
        return Tensor("image", self.name, (self.name,), (self.height, self.width, self.channels), "float32")

    def statistics(self) -> Request:
        return file_length(self.name)

    def apply(self, rows: Rows) -> dict[str, Array]:
        return {self.name: rows.levels(self.name, self.height, self.width, self.channels) / self.divide_by}


class Image(Kind):
    """A PNG, as base64 text: decoded, resized (bilinear, as tf.image.resize does) and divided."""

    types = WORDS
    fitted = FittedImage
    height: Annotated[int, Field(ge=1, le=4096)]
    """Rows of pixels after resizing."""
    width: Annotated[int, Field(ge=1, le=4096)]
    """Columns of pixels after resizing."""
    channels: Literal[1, 3] = 3
    """1 is grey, 3 are red, green and blue."""
    divide_by: Annotated[Finite, Field(gt=0)] = 255.0
    """Divisor of the levels, which are 0 to 255. 255 brings them to 0 to 1."""

    def statistics(self, name: str) -> Iterator[Request]:
        yield file_length(name)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        train.number(name)  # refuses one without a value
        image = FittedImage(name=name, **self.model_dump())
        yield image, image.stats(train.profiles)
