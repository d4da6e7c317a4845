"""PNGs in base64, decoded and resized as the served model decodes and resizes them."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
import numpy.typing as npt

GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
BLANK = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="  # one black pixel
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


def decode(text: str | None, height: int, width: int, channels: int) -> npt.NDArray[np.float32] | None:
    """The levels of an image, from 0 to 255 (height, width, channels); None where it is missing, no PNG of eight bits, or one
    of too many pixels to be safe.
    """
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
    return resize(pixels, height, width)


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
