"""Raw values prepared in NumPy for a network: the expected arrays are worked out by hand, or by zlib and Pillow."""

from __future__ import annotations

import base64
import io
import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipelines.errors import DataError
from pipelines.features.fitted import (
    FittedCategorical,
    FittedChannel,
    FittedCrossed,
    FittedHashed,
    FittedImage,
    FittedNumeric,
    FittedSpec,
    FittedTarget,
    FittedText,
    FittedTime,
)
from pipelines.features.images import BLANK, decode
from pipelines.features.numpy_rows import Lookups
from pipelines.features.prepared import Preparation

SPEC = FittedSpec(
    features=(
        FittedNumeric(name="miles", fill=10, clip=None, log1p=False, offset=4, scale=2, indicator=True),
        FittedTarget(
            name="town", vocabulary=("Bonn", "Köln"), prior=0.5, deviation=0.5, means=(1.0, 0.25),
            out_of_fold=((0.1, 0.2),) * 2, priors_out_of_fold=(0.5, 0.5),
        ),
        FittedTime(name="at", parts=("hour", "weekday"), zone="Europe/Berlin", encode="ids"),
        FittedCategorical(name="line", vocabulary=("U1", "S7")),
        FittedCrossed(name="both", of=("town", "line"), vocabulary=("Bonn\x1fU1", "Köln\x1fS7")),
        FittedHashed(name="plate", buckets=97),
        FittedChannel(name="past_x", sequence="past", of="x", length=2, fill=1, clip=None, log1p=False, offset=0, scale=2),
        FittedChannel(name="past_y", sequence="past", of="y", length=2, fill=0, clip=None, log1p=False, offset=0, scale=1),
        FittedImage(name="picture", height=1, width=2, channels=1, divide_by=255),
        FittedText(name="review", length=4, vocabulary=("good", "don't")),
        FittedText(name="comment", length=2, buckets=11),
    )
)  # fmt: skip
NOON = 1372935600.0  # 4 July 2013, a Thursday, 11:00 UTC: 13:00 in Berlin


def png(*levels: int, dtype: type = np.uint8) -> str:
    """A PNG of one row of grey pixels as base64."""
    buffer = io.BytesIO()
    Image.fromarray(np.array([levels], dtype)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def values() -> dict[str, npt.NDArray[Any]]:
    """Two rows: one with all values, and one with none but an image."""
    texts = {
        "town": ["Köln", ""], "line": ["S7", ""], "plate": ["K-AB 1\0more", ""], "picture": [png(0, 51), png(255, 255)],
        "review": ["Good, don't! Really?", ""], "comment": ["one two three", ""],
    }  # fmt: skip
    numbers = {
        "miles": [8.0, np.nan],
        "at": [NOON, np.nan],
        "past_x": [[4, np.nan], [np.nan] * 2],
        "past_y": [[5, 6], [np.nan] * 2],
    }
    arrays = {name: np.array(each, object) for name, each in texts.items()}
    return arrays | {name: np.array(each, np.float64) for name, each in numbers.items()}


def test_raw_values_become_what_a_network_takes() -> None:
    prepared = Preparation(SPEC)(values())
    assert {name: (array.dtype.name, array.shape) for name, array in prepared.items()} == {
        "numbers": ("float32", (2, 3)), "ids": ("int32", (2, 5)), "past": ("float32", (2, 2, 2)),
        "picture": ("float32", (2, 1, 2, 1)), "review": ("int32", (2, 4)), "comment": ("int32", (2, 2)),
    }  # fmt: skip
    assert SPEC.numbers == ("miles", "miles_missing", "town")
    np.testing.assert_allclose(prepared["numbers"], [[2.0, 0.0, (0.25 - 0.5) / 0.5], [3.0, 1.0, 0.0]], rtol=1e-7)
    assert SPEC.ids == ("at_hour", "at_weekday", "line", "both", "plate")
    # The hour and the weekday count from 1, as does the bucket.
    assert prepared["ids"].tolist() == [[14, 4, 2, 2, 1 + zlib.crc32(b"K-AB 1") % 97], [0, 0, 0, 0, 0]]
    assert prepared["past"].tolist() == [[[2, 5], [0.5, 6]], [[0.5, 0], [0.5, 0]]]
    np.testing.assert_allclose(prepared["picture"][:, 0, :, 0], [[0.0, 51 / 255], [1.0, 1.0]], rtol=1e-6)
    assert prepared["review"].tolist() == [[2, 3, 1, 0], [0] * 4]
    assert prepared["comment"].tolist() == [[1 + zlib.crc32(word) % 11 for word in (b"one", b"two")], [0, 0]]


def test_a_second_call_with_other_rows_gives_these_rows_values() -> None:
    preparation = Preparation(SPEC)
    first = preparation(values())
    again = preparation({name: array[::-1] for name, array in values().items()})
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array[::-1])


def test_what_can_not_be_prepared_is_named_with_its_row() -> None:
    preparation, raw = Preparation(SPEC), values()
    raw["picture"] = np.array([png(0, 51), png(0, 60_000, dtype=np.uint16)], object)
    raw["miles"] = np.array([1e300, 2.0])
    with pytest.raises(DataError) as caught:
        preparation(raw)
    miles, picture = str(caught.value).splitlines()
    assert miles == "miles: row 0: the feature miles can't be computed; expected a finite number."
    assert picture.startswith("picture: row 1: the feature picture can't be computed; expected finite numbers of it alone (")
    with pytest.raises(DataError, match=r"^picture: the feature picture can't be computed; expected .* a PNG as base64\)\.$"):
        preparation({name: array[1:] for name, array in raw.items()})


def test_the_blank_image_is_one_black_pixel() -> None:
    levels = decode(BLANK, 2, 2, 3)
    assert levels is not None
    assert levels.shape == (2, 2, 3)
    assert not levels.any()


def test_a_table_of_a_vocabulary_is_derived_once() -> None:
    lookups, vocabulary, calls = Lookups(), ("a", "b"), []

    def derive() -> int:
        calls.append(math.nan)
        return len(calls)

    equal = tuple(["a", "b"])  # another object  # noqa: C409
    assert [lookups.get(vocabulary, "words", derive) for _ in range(3)] == [1, 1, 1]
    assert (lookups.get(vocabulary, "tokens", derive), lookups.get(equal, "words", derive)) == (2, 3)
