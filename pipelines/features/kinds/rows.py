"""Raw values of some rows, and the operations on them that NumPy and Keras do not share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

Array: TypeAlias = Any  # of NumPy, or a tensor of Keras


class Parts(NamedTuple):
    """Parts of local times, whole numbers (rows,): hour and month from 0, weekday from 0 for Monday, days since 1970.

    All are -1 where a time is missing.
    """

    hour: Array
    weekday: Array
    month: Array
    day: Array


class Rows(Protocol):
    """Raw values of some rows, and the operations on them that NumPy and Keras do not share.

    `ops` is the module of the others: `numpy`, or `keras.ops`.
    """

    @property
    def ops(self) -> Any:
        """The module of the functions that both libraries have."""

    @property
    def side_by_side(self) -> int:
        """How many numbers are scaled at once."""

    def cast(self, values: Array, dtype: str) -> Array:
        """The same values in another type of number."""

    def numbers(self, names: Sequence[str]) -> tuple[Array, Array]:
        """Numbers, float64, and which are missing: of one column (rows,), of several side by side (rows, columns).

        A missing number is NaN. In a table a number may also be NaN and not missing: what is made of it is NaN again, so that
        its row is refused.
        """

    def series(self, name: str, length: int) -> tuple[Array, Array]:
        """The last values of a series (rows, length), float64, and which are missing."""

    def word_ids(self, name: str, vocabulary: tuple[str, ...]) -> Array:
        """1 + a word's position in the vocabulary (rows,), 0 where it is missing or not in it."""

    def crossed_ids(self, names: tuple[str, ...], vocabulary: tuple[str, ...]) -> Array:
        """The same of the words of several columns together; the vocabulary has them joined by `PART`."""

    def hashed_ids(self, name: str, buckets: int) -> Array:
        """1 + the CRC-32 of a word's UTF-8, up to its first NUL, modulo `buckets` (rows,); 0 where it is missing or empty."""

    def values_at(self, values: Sequence[float], positions: Array) -> Array:
        """The values, float64, at positions (rows,)."""

    def own_fold(self, folds: int) -> Array | None:
        """The fold that a row of the train split is in (rows,), -1 of any other row; None where every row is served."""

    def local_time(self, name: str, zone: str) -> Parts:
        """The parts of a time on the clock and calendar of an IANA time zone."""

    def levels(self, name: str, height: int, width: int, channels: int) -> Array:
        """The levels of a PNG in base64, from 0 to 255 (rows, height, width, channels), float32, resized bilinearly.

        In a table the levels of what is no such image are NaN.
        """

    def tokens(self, name: str, length: int) -> Array:
        """The first words of a text in lower case (rows, length), then empty ones."""

    def token_ids(self, tokens: Array, vocabulary: tuple[str, ...]) -> Array:
        """The position of tokens in the vocabulary, from 2 on; 1 of others, 0 of empty ones."""

    def token_hashes(self, tokens: Array, buckets: int) -> Array:
        """1 + the CRC-32 of tokens modulo `buckets`, 0 of empty ones."""
