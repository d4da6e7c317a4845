"""Images decoded and resized: the one place where Python meets each row, since Spark has no expression for it."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql.pandas.functions import arrow_udf

from pipelines.fitted import GREY, FittedImage

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


def levels(image: Column, feature: FittedImage) -> Column:
    """An image's levels as the feature has them, a flat array of floats; null where it is missing, no PNG, or one of too
    many pixels to be safe.
    """
    height, width, channels, divide_by = feature.height, feature.width, feature.channels, np.float32(feature.divide_by)

    def decode(batch: pa.Array) -> pa.Array:
        decoded = [_levels(text, height, width, channels, divide_by) for text in batch.to_pylist()]
        return pa.array(decoded, pa.list_(pa.float32()))

    pixels: Column = arrow_udf(decode, "array<float>")(image)  # type: ignore[call-overload]
    return pixels


def _levels(text: str | None, height: int, width: int, channels: int, divide_by: np.float32) -> npt.NDArray[np.float32] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(base64.b64decode(text or "", validate=True)), formats=["PNG"]) as opened:
            if opened.mode not in EIGHT_BITS:
                return None
            pixels = np.asarray(opened.convert("RGB"), np.float32)
    except (binascii.Error, UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return None
    if channels == 1:
        pixels = (pixels @ np.array(GREY, np.float32))[..., None]
    resized = resize(pixels, height, width)
    return (resized / divide_by).reshape(-1)


def resize(pixels: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Resize (rows, columns, channels) by bilinear interpolation between the centres of pixels, without smoothing, as
    TensorFlow's `image.resize` does.
    """
    for axis, wanted in ((1, width), (0, height)):
        size = pixels.shape[axis]
        if size == wanted:
            continue
        places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * np.float32(size / wanted) - np.float32(0.5)
        low = np.floor(places)
        share = (places - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        first, second = (np.clip(low + step, 0, size - 1).astype(int) for step in (0, 1))
        before, after = pixels.take(first, axis), pixels.take(second, axis)
        pixels = before + (after - before) * share
    return pixels
