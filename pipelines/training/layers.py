"""What Keras has no layer for, in the served model's graph. A `.keras` file that has one is loaded after importing this."""

from __future__ import annotations

import zlib
from typing import Any

import keras
import tensorflow as tf

from pipelines.features.calendar import DAY, transitions
from pipelines.features.images import GREY
from pipelines.features.tokens import BETWEEN_WORDS

ERA = 146097  # days, after which the calendar comes round again; whole weeks
ERAS = 5  # by which days are counted from before year 1: ONNX divides negative numbers another way


class _Exact(keras.Layer):  # type: ignore[misc] # Keras has no types
    """A layer without weights that takes its inputs as they are: Keras would make float32 of float64."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"autocast": False, "trainable": False, **options})


@keras.saving.register_keras_serializable("ringmill")
class ValueOf(_Exact):
    """Ids (batch,) to the values (batch,) that stand beside them, float64."""

    def __init__(self, values: list[float], **options: Any) -> None:
        super().__init__(**options)
        self._values = values

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """The value of each id, shape (batch,)."""
        return tf.gather(tf.constant(self._values, tf.float64), ids)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "values": self._values}


@keras.saving.register_keras_serializable("ringmill")
class LocalTime(_Exact):
    """Seconds since 1970 (batch,), float64, to hour, weekday (0: Monday), month (0: January) and days since 1970 of the local
    calendar (batch, 4), int32; -1 in each where the time is missing.

    `since` and `offsets`: from which second on local time is so many seconds ahead of UTC (`transitions`). Dates from days:
    Howard Hinnant, chrono-compatible low-level date algorithms (civil_from_days).
    """

    def __init__(self, since: list[int], offsets: list[int], **options: Any) -> None:
        super().__init__(**options)
        self._since, self._offsets = since, offsets

    @staticmethod
    def of(zone: str, name: str) -> LocalTime:
        """The layer of an IANA time zone."""
        since, offsets = transitions(zone)
        return LocalTime(since, offsets, name=name)

    def call(self, seconds: tf.Tensor) -> tf.Tensor:
        """Split each instant into the parts of its local time."""
        missing = tf.math.is_nan(seconds)
        utc = tf.cast(tf.math.floor(tf.where(missing, tf.zeros_like(seconds), seconds)), tf.int64)
        index = tf.searchsorted(tf.constant(self._since, tf.int64), utc, side="right") - 1
        local = utc + tf.gather(tf.constant(self._offsets, tf.int64), tf.maximum(index, 0)) + ERAS * ERA * DAY
        days, hour = local // DAY, (local % DAY) // 3600
        of_era = (days + 719468) % ERA
        year = (of_era - of_era // 1460 + of_era // 36524 - of_era // (ERA - 1)) // 365
        of_year = of_era - (365 * year + year // 4 - year // 100)
        month = ((5 * of_year + 2) // 153 + 2) % 12  # the algorithm's year begins in March
        parts = tf.cast(tf.stack([hour, (days + 3) % 7, month, days - ERAS * ERA], axis=-1), tf.int32)
        return tf.where(missing[:, None], -tf.ones_like(parts), parts)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "since": self._since, "offsets": self._offsets}


@keras.saving.register_keras_serializable("ringmill")
class Crc32(_Exact):
    """Strings of any shape to 1 + the CRC-32 of their bytes modulo `buckets`, int32; 0 for the empty string."""

    def __init__(self, buckets: int, **options: Any) -> None:
        super().__init__(**options)
        self._buckets = buckets
        self._table = crc32_table()

    def call(self, words: tf.Tensor) -> tf.Tensor:
        """Hash them, all strings a byte at a time."""
        flat = tf.reshape(words, [-1])
        lengths = tf.strings.length(flat)
        longest = tf.maximum(tf.reduce_max(tf.concat([lengths, [0]], 0)), 1)
        table = tf.constant(self._table, tf.int64)
        # Padded with NUL to the longest; a byte beyond a string's end changes nothing.
        content = tf.io.decode_raw(flat, tf.uint8, fixed_length=longest)

        def step(at: tf.Tensor, crc: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            byte = tf.cast(content[:, at], tf.int64)
            after = tf.bitwise.bitwise_xor(tf.gather(table, tf.bitwise.bitwise_xor(crc, byte) % 256), crc // 256)
            return at + 1, tf.where(at < lengths, after, crc)

        start = tf.fill(tf.shape(flat), tf.constant(0xFFFFFFFF, tf.int64))
        _, crc = tf.while_loop(lambda at, _: at < longest, step, [tf.constant(0), start])
        hashed = 1 + tf.bitwise.bitwise_xor(crc, 0xFFFFFFFF) % self._buckets
        return tf.cast(tf.reshape(tf.where(lengths > 0, hashed, tf.zeros_like(hashed)), tf.shape(words)), tf.int32)

    def compute_output_spec(self, words: keras.KerasTensor) -> keras.KerasTensor:
        """The output has the shape of the strings."""
        return keras.KerasTensor(words.shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "buckets": self._buckets}


@keras.saving.register_keras_serializable("ringmill")
class BeforeNul(_Exact):
    """Strings up to their first NUL."""

    def call(self, words: tf.Tensor) -> tf.Tensor:
        """Cut each text before its first NUL byte."""
        return _before_nul(words)


@keras.saving.register_keras_serializable("ringmill")
class FirstWords(_Exact):
    """Texts (batch,) to their first `length` words in lower case (batch, length), then empty strings."""

    def __init__(self, length: int, **options: Any) -> None:
        super().__init__(**options)
        self._length = length

    def call(self, texts: tf.Tensor) -> tf.Tensor:
        """Cut each text into words."""
        lower = tf.strings.lower(_before_nul(texts), encoding="utf-8")
        spaced = tf.strings.regex_replace(lower, f"[{BETWEEN_WORDS}]+", " ")
        # Split at that very space alone: other characters that Unicode calls spaces were taken out above, or are no such.
        words = tf.strings.split(tf.strings.regex_replace(spaced, "^ +| +$", ""), sep=" ")
        return words.to_tensor("", shape=[None, self._length])

    def compute_output_spec(self, texts: keras.KerasTensor) -> keras.KerasTensor:
        """As many strings as words."""
        return keras.KerasTensor((*texts.shape, self._length), dtype="string")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self._length}


@keras.saving.register_keras_serializable("ringmill")
class Png(_Exact):
    """PNGs as base64 (batch,) to levels from 0 to 255 (batch, height, width, channels), float32, resized bilinearly."""

    def __init__(self, height: int, width: int, channels: int, **options: Any) -> None:
        super().__init__(**options)
        self._height, self._width, self._channels = height, width, channels

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Decode and resize them, one by one."""
        shape = (self._height, self._width, self._channels)
        return tf.map_fn(self._decode, images, fn_output_signature=tf.TensorSpec(shape, tf.float32))

    def _decode(self, text: tf.Tensor) -> tf.Tensor:
        # TensorFlow decodes the alphabet that is safe in URLs, without padding.
        safe = tf.strings.regex_replace(tf.strings.regex_replace(tf.strings.regex_replace(text, r"\+", "-"), "/", "_"), "=", "")
        pixels = tf.cast(tf.io.decode_png(tf.io.decode_base64(safe), channels=3), tf.float32)
        if self._channels == 1:
            pixels = tf.tensordot(pixels, tf.constant(GREY), 1)[..., None]
        return tf.image.resize(pixels, (self._height, self._width))

    def compute_output_spec(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """The output is one image for each string."""
        return keras.KerasTensor((*images.shape, self._height, self._width, self._channels), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self._height, "width": self._width, "channels": self._channels}


def _before_nul(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(texts, r"(?s)\x00.*", "")


def crc32_table() -> list[int]:
    """What each value of a byte does to a CRC-32 (reflected polynomial 0xEDB88320), computed by zlib."""
    empty = 0xFFFFFFFF
    return [zlib.crc32(bytes([byte ^ 0xFF])) ^ empty ^ (empty >> 8) for byte in range(256)]
