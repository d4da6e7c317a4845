"""Images decoded in Spark: levels by hand, sizes as TensorFlow's, and what is no image."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pyspark.sql import SparkSession

from pipelines.features.fitted import FittedImage, FittedSpec
from pipelines.features.images import resize
from pipelines.features.transform import transform


def png(mode: str, size: tuple[int, int], content: bytes) -> str:
    """A PNG as base64."""
    buffer = io.BytesIO()
    Image.frombytes(mode, size, content).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("wanted", [(8, 8), (3, 5), (17, 2), (1, 1), (9, 30)])
def test_sizes_are_tensorflows(wanted: tuple[int, int]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (9, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(resize(pixels, *wanted), tf.image.resize(pixels, wanted), rtol=0, atol=1e-4)


def test_a_line_is_drawn_between_centres() -> None:
    line = np.array([[[0.0], [100.0]]], np.float32)
    assert resize(line, 1, 4).ravel().tolist() == [0, 25, 75, 100]


def test_grey_colour_and_what_is_no_image(spark: SparkSession) -> None:
    spec = FittedSpec(features=(FittedImage(name="picture", height=1, width=2, channels=1, divide_by=255),))
    sixteen_bits = png("I;16", (1, 1), b"\0\1")
    header = struct.pack(">4sIIBBBBB", b"IHDR", 30_000, 30_000, 8, 0, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    bomb = base64.b64encode(whole).decode()
    rows = [
        (1, png("L", (2, 1), bytes([0, 51]))),
        (2, png("RGB", (2, 1), bytes([255, 0, 0, 0, 255, 0]))),
        (3, "no image"),
        (4, base64.b64encode(b"GIF89a").decode()),
        (5, None),
        (6, sixteen_bits),
        (7, png("L", (2, 1), bytes(2))[:60]),
        (8, bomb),
    ]
    result = transform(spark.createDataFrame(rows, "key int, picture string"), spec, ("key",))
    pictures = {row.key: row.picture for row in result.rows.collect()}
    assert pictures == {1: pytest.approx([0, 0.2]), 2: pytest.approx([0.299, 0.587])}
    refused = result.quarantined.collect()
    assert [row.reasons for row in refused] == [
        ["picture: expected finite numbers of it alone (of an image, a PNG as base64)"]
    ] * 6
